//! The state at the start: the newest snapshot, and every event behind it.

use std::ops::ControlFlow;

use crate::types::{EntityHash, Sequence, Timestamp};

use super::batch::BatchDigest;
use super::fields::Malformed;
use super::key::{read_state_key, state_key};
use super::replay::{Progress, Span};
use super::schema::StoredEvent;
use super::snapshot::{Marker, Record, SnapshotEntry, SnapshotNonce, is_old_chunk, read_chunk};
use super::writes::{Area, Scan};
use super::{LogError, Store};

/// A piece of state, in the order in which it must be taken in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Recovered<'a> {
    /// There is a snapshot, and no more than so many entities of it follow; fewer, where it also has nonces or is damaged.
    Snapshot(u64),
    /// What a shard held about an entity.
    Entry(SnapshotEntry<'a>),
    /// A nonce that must be remembered.
    Nonce(SnapshotNonce),
    /// An event behind the snapshot, to be applied even where an entry is younger: its own event follows.
    Event(EntityHash, StoredEvent<'a>),
}

/// Where recovery arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    /// The last event; the next one has the next place.
    pub last: Sequence,
    /// Its time; no later event may be earlier.
    pub last_time: Timestamp,
    /// The digest of the last batch.
    pub head_digest: BatchDigest,
    /// The event behind which the tail began; zero when there was no snapshot that could be used.
    pub snapshot_sequence: Sequence,
    /// Entities and nonces that came from the snapshot.
    pub snapshot_records: u64,
    /// Events that came behind it.
    pub tail_events: u64,
    /// The number of the next snapshot.
    pub next_snapshot: u64,
    /// Why the snapshot could not be used. Then everything was replayed, and nothing is lost but time.
    pub snapshot_damage: Option<LogError>,
}

impl Store {
    /// Shows the state: entries and nonces of the newest snapshot, then the events behind it in order.
    ///
    /// A damaged snapshot is told and replaced by the replay of all events; what was shown of it by then does no harm,
    /// since each entity's last event comes again. `progress` counts records and events.
    ///
    /// # Errors
    /// `Corrupt` with the place when the log itself is damaged, or `Io`.
    pub fn recover(&self, take: &mut dyn FnMut(Recovered<'_>), progress: Progress<'_>) -> Result<Recovery, LogError> {
        let head = self.head()?;
        let (marker, mut damage) = match self.marker() {
            Ok(marker) => (marker, None),
            Err(error) => (None, Some(error)),
        };
        let expected =
            marker.map_or(0, |marker| marker.records + head.last.value().saturating_sub(marker.start.value()));
        let mut records = 0;
        let mut start = Sequence::ZERO;
        if let Some(marker) = marker {
            // Each entity had its event.
            take(Recovered::Snapshot(marker.records.min(head.last.value())));
            match self.load(&marker, head.last, take, &mut |done| progress(done, expected)) {
                Ok(()) => (records, start) = (marker.records, marker.start),
                Err(error) => damage = Some(error),
            }
        }
        let mut tail_events = 0;
        let total = records + head.last.value().saturating_sub(start.value());
        let span = Span { from: start.next(), to: None };
        let reached = self.replay_batches(span, &mut |done, _| progress(records + done, total), |events| {
            for (hash, event) in events {
                tail_events += 1;
                take(Recovered::Event(*hash, event.clone()));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Recovery {
            last: reached.last,
            // Without a tail no event was read.
            last_time: reached.last_time.max(head.last_time),
            head_digest: reached.digest,
            snapshot_sequence: start,
            snapshot_records: records,
            tail_events,
            next_snapshot: self.next_snapshot(marker)?,
            snapshot_damage: damage,
        })
    }

    /// Which snapshot is complete, if one is.
    pub(super) fn marker(&self) -> Result<Option<Marker>, LogError> {
        let marker = self.read(Area::Meta, Marker::KEY, Marker::read)?.transpose();
        marker.map_err(|why| LogError::corrupt(Sequence::ZERO, "the marker of the snapshot", why))
    }

    /// Shows the records of a complete snapshot; `progress` is told how many were shown.
    pub(super) fn load(
        &self,
        marker: &Marker,
        last: Sequence,
        take: &mut dyn FnMut(Recovered<'_>),
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), LogError> {
        let corrupt = |why| LogError::corrupt(marker.start, "the snapshot", why);
        if marker.start > last {
            return Err(corrupt(Malformed("it is younger than the log")));
        }
        let (mut chunks, mut records, mut too_young) = (0, 0, false);
        let (from, to) = (state_key(marker.snapshot, 0), state_key(marker.snapshot.saturating_add(1), 0));
        self.scan(&Scan { bulk: true, ..Scan::range(Area::State, from, to) }, |key, value| {
            if read_state_key(key) != Ok((marker.snapshot, chunks)) {
                return Err(corrupt(Malformed("a chunk is missing")));
            }
            records += read_chunk(marker.snapshot, value, &mut |record| match record {
                Record::Entry(entry) => {
                    too_young |= entry.sequence > last;
                    take(Recovered::Entry(entry));
                }
                Record::Nonce(nonce) => {
                    too_young |= nonce.sequence > last;
                    take(Recovered::Nonce(nonce));
                }
            })
            .map_err(|why| if is_old_chunk(value) { LogError::OldSnapshot } else { corrupt(why) })?;
            chunks += 1;
            progress(records);
            Ok(ControlFlow::Continue(()))
        })?;
        if too_young {
            Err(corrupt(Malformed("it has records that are younger than the log")))
        } else if (chunks, records) == (marker.chunks, marker.records) {
            Ok(())
        } else {
            Err(corrupt(Malformed("a chunk is missing")))
        }
    }

    /// A number above those of all chunks that are there, also of snapshots that never became complete. What is there
    /// beside snapshots does not keep a store from starting, since a snapshot only saves time; but it must not come to
    /// stand between the chunks of the next one either, so keys that are no chunk's count by where they sort.
    fn next_snapshot(&self, marker: Option<Marker>) -> Result<u64, LogError> {
        let counts = marker.map_or(0, |marker| marker.snapshot);
        Ok(self.last_number(Area::State)?.max(counts).saturating_add(1))
    }
}

#[cfg(test)]
mod tests;
