//! Threads that fill the tables of the shards while another one reads the log: at a start, reading and filling take
//! about as long as each other.

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::domain::{Event, Standing, apply};
use crate::log::SnapshotEntry;
use crate::projection::{Current, Nonces};
use crate::types::{EntityHash, Fingerprint, Kind, Sequence, Timestamp};

/// Pieces of state that travel together: enough that handing them over costs little for each.
const PARCEL: usize = 1024;
/// Parcels that may wait for a thread: about a megabyte.
const WAITING_MAX: usize = 8;
/// Entities whose memory is asked for together before they are put: as many as a core has loads in flight.
pub(super) const TOUCHED_TOGETHER: usize = 32;

/// Entries of a snapshot, or events behind it, for one shard, in order.
enum Parcel {
    Entries(Entries),
    Events(Vec<(EntityHash, Event)>),
}

/// Entries that own their texts together.
#[derive(Default)]
struct Entries {
    /// The name and the registrant of each, one behind the other.
    texts: String,
    entries: Vec<Entry>,
}

struct Entry {
    hash: EntityHash,
    name_bytes: usize,
    registrant_bytes: usize,
    kind: Kind,
    registered: bool,
    sequence: Sequence,
    updated: Timestamp,
    attributes: Option<Fingerprint>,
}

/// Gathers the state of one shard into parcels and sends them.
pub(super) struct Sending {
    parcels: Sender<Parcel>,
    entries: Entries,
    events: Vec<(EntityHash, Event)>,
}

impl Sending {
    /// The entry's place is behind all that was sent before.
    pub(super) fn entry(&mut self, entry: &SnapshotEntry<'_>) {
        self.entries.texts.push_str(entry.text);
        self.entries.texts.push_str(entry.registrant);
        self.entries.entries.push(Entry {
            hash: entry.hash,
            name_bytes: entry.text.len(),
            registrant_bytes: entry.registrant.len(),
            kind: entry.kind.clone(),
            registered: entry.registered,
            sequence: entry.sequence,
            updated: entry.time,
            attributes: entry.attributes,
        });
        if self.entries.entries.len() >= PARCEL {
            self.send_entries();
        }
    }

    /// The event's place is behind all that was sent before.
    pub(super) fn event(&mut self, hash: EntityHash, event: Event) {
        self.send_entries();
        self.events.push((hash, event));
        if self.events.len() >= PARCEL {
            self.send_events();
        }
    }

    fn send_entries(&mut self) {
        if !self.entries.entries.is_empty() {
            // Whoever does not take it any more has panicked, which its joining tells.
            let _ = self.parcels.send(Parcel::Entries(std::mem::take(&mut self.entries)));
        }
    }

    fn send_events(&mut self) {
        if !self.events.is_empty() {
            let _ = self.parcels.send(Parcel::Events(std::mem::take(&mut self.events)));
        }
    }
}

/// What was not sent yet goes out with the last of it.
impl Drop for Sending {
    fn drop(&mut self) {
        self.send_entries();
        self.send_events();
    }
}

/// The two ends of the way to the thread that fills a table.
pub(super) fn way() -> (Sending, Filling) {
    let (parcels, arriving) = bounded(WAITING_MAX);
    (Sending { parcels, entries: Entries::default(), events: Vec::new() }, Filling(arriving))
}

/// What arrives for one shard.
pub(super) struct Filling(Receiver<Parcel>);

impl Filling {
    /// Fills a table, and the memory of nonces as seen from `now`, until the sender is dropped. Blocks.
    pub(super) fn fill(self, table: &mut Current, nonces: &Nonces, now: Timestamp) {
        for parcel in self.0 {
            match parcel {
                Parcel::Entries(Entries { texts, entries }) => put(table, &texts, &entries),
                Parcel::Events(events) => {
                    for events in events.chunks(TOUCHED_TOGETHER) {
                        table.touch(events.iter().map(|(hash, _)| *hash));
                        for (hash, event) in events {
                            table.put(*hash, event.entity.as_str(), &apply(event, table.key()));
                            nonces.apply(event, now);
                        }
                    }
                }
            }
        }
    }
}

fn put(table: &mut Current, mut texts: &str, entries: &[Entry]) {
    for entries in entries.chunks(TOUCHED_TOGETHER) {
        table.touch(entries.iter().map(|entry| entry.hash));
        for entry in entries {
            // Cut where they were put together.
            let (name, rest) = texts.split_at(entry.name_bytes);
            let (registrant, rest) = rest.split_at(entry.registrant_bytes);
            texts = rest;
            let standing = Standing {
                kind: entry.kind.clone(),
                registered: entry.registered,
                sequence: entry.sequence,
                updated: entry.updated,
                registrant,
                attributes: entry.attributes,
            };
            table.put(entry.hash, name, &standing);
        }
    }
}
