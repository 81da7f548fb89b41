//! Threads that fill the tables of the shards while another one reads the log: at a start, reading and filling take
//! about as long as each other.

use crossbeam::channel::{Receiver, Sender, bounded};

use crate::domain::{Standing, standing_after};
use crate::log::{SnapshotEntry, StoredEvent};
use crate::projection::{Current, Nonces, Repeatable, Used, on_belt};
use crate::types::{EntityHash, Fingerprint, Kind, Sequence, Timestamp};

/// Pieces of state that travel together: enough that handing them over costs little for each.
const PARCEL: usize = 256;
/// Parcels that may wait for a thread: less than a megabyte.
const WAITING_MAX: usize = 16;

/// How many entities are coming, entries of a snapshot, or events behind it, for one shard, in order.
enum Parcel {
    Room(usize),
    Entries(Entries),
    Events(Events),
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

/// Events that own their texts together.
#[derive(Default)]
struct Events {
    /// Entity, actor, nonce and attributes of each, one behind the other.
    texts: String,
    events: Vec<Happened>,
}

struct Happened {
    hash: EntityHash,
    entity_bytes: usize,
    actor_bytes: usize,
    nonce_bytes: usize,
    attributes_bytes: Option<usize>,
    kind: Kind,
    sequence: Sequence,
    time: Timestamp,
}

/// Gathers the state of one shard into parcels and sends them.
pub(super) struct Sending {
    parcels: Sender<Parcel>,
    entries: Entries,
    events: Events,
}

impl Sending {
    /// About so many entities will come.
    pub(super) fn room_for(&mut self, entities: usize) {
        let _ = self.parcels.send(Parcel::Room(entities));
    }

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
    pub(super) fn event(&mut self, hash: EntityHash, event: StoredEvent<'_>) {
        self.send_entries();
        let Events { texts, events } = &mut self.events;
        for text in [event.entity, event.actor, event.nonce, event.attributes.unwrap_or_default()] {
            texts.push_str(text);
        }
        events.push(Happened {
            hash,
            entity_bytes: event.entity.len(),
            actor_bytes: event.actor.len(),
            nonce_bytes: event.nonce.len(),
            attributes_bytes: event.attributes.map(str::len),
            kind: event.kind,
            sequence: event.sequence,
            time: event.time,
        });
        if events.len() >= PARCEL {
            self.send_events();
        }
    }

    fn send_entries(&mut self) {
        if !self.entries.entries.is_empty() {
            let texts = String::with_capacity(self.entries.texts.len());
            let next = Entries { texts, entries: Vec::with_capacity(PARCEL) };
            // Whoever does not take it any more has panicked, which its joining tells.
            let _ = self.parcels.send(Parcel::Entries(std::mem::replace(&mut self.entries, next)));
        }
    }

    fn send_events(&mut self) {
        if !self.events.events.is_empty() {
            let texts = String::with_capacity(self.events.texts.len());
            let next = Events { texts, events: Vec::with_capacity(PARCEL) };
            let _ = self.parcels.send(Parcel::Events(std::mem::replace(&mut self.events, next)));
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
    (Sending { parcels, entries: Entries::default(), events: Events::default() }, Filling(arriving))
}

/// What arrives for one shard.
pub(super) struct Filling(Receiver<Parcel>);

impl Filling {
    /// Fills a table, and the memory of nonces as seen from `now`, until the sender is dropped. Blocks.
    pub(super) fn fill(self, table: &mut Current, nonces: &Nonces, now: Timestamp) {
        for parcel in self.0 {
            match parcel {
                Parcel::Room(entities) => table.reserve(entities),
                Parcel::Entries(Entries { texts, entries }) => put(table, &texts, &entries),
                Parcel::Events(Events { texts, events }) => apply(table, nonces, now, &texts, &events),
            }
        }
    }
}

fn apply(table: &mut Current, nonces: &Nonces, now: Timestamp, mut texts: &str, events: &[Happened]) {
    on_belt(
        table,
        events,
        |table, event| (table, event.hash),
        |table, event| {
            let Happened { hash, kind, sequence, time, .. } = event;
            let entity = cut(&mut texts, event.entity_bytes);
            let (principal, nonce) = (cut(&mut texts, event.actor_bytes), cut(&mut texts, event.nonce_bytes));
            let attributes = event.attributes_bytes.map(|bytes| table.key().fingerprint(cut(&mut texts, bytes)));
            let began = attributes.map(|attributes| (principal, attributes));
            table.put(*hash, entity, &standing_after(*sequence, *time, kind.clone(), began));
            if !nonce.is_empty() {
                let (entity, sequence, time) = (*hash, *sequence, *time);
                let what = attributes.map_or(Repeatable::Removes, Repeatable::Registers);
                nonces.apply(&Used { principal, nonce, entity, kind, what, sequence, time }, now);
            }
        },
    );
}

fn put(table: &mut Current, mut texts: &str, entries: &[Entry]) {
    on_belt(
        table,
        entries,
        |table, entry| (table, entry.hash),
        |table, entry| {
            let (name, registrant) = (cut(&mut texts, entry.name_bytes), cut(&mut texts, entry.registrant_bytes));
            let standing = Standing {
                kind: entry.kind.clone(),
                registered: entry.registered,
                sequence: entry.sequence,
                updated: entry.updated,
                registrant,
                attributes: entry.attributes,
            };
            table.put(entry.hash, name, &standing);
        },
    );
}

/// Takes a text from the front, where it was put together with the others.
fn cut<'a>(texts: &mut &'a str, bytes: usize) -> &'a str {
    let (text, rest) = texts.split_at(bytes);
    *texts = rest;
    text
}
