//! A snapshot on its way to disk: which chunks came, and whether all shards have sent theirs.

use crate::types::Sequence;

use super::super::key::state_key;
use super::super::snapshot::{Marker, SnapshotChunk, SnapshotEnd};
use super::super::writes::{Area, Writes};

/// The snapshot whose chunks are arriving. A newer one displaces it; what comes late for an older one is dropped.
pub(super) struct Gathering {
    marker: Marker,
    highest: Sequence,
    chunks_announced: u64,
    shards_left: Option<u16>,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Gathered {
    /// More is awaited, or there is nothing to do.
    Waiting,
    /// The snapshot with this number will not become complete.
    Abandoned(u64),
}

impl Gathering {
    fn new(snapshot: u64) -> Gathering {
        let marker = Marker { snapshot, start: Sequence::new(u64::MAX), chunks: 0, records: 0 };
        Gathering { marker, highest: Sequence::ZERO, chunks_announced: 0, shards_left: None }
    }

    /// Makes the current snapshot the one that a message belongs to. `None`: the message is too late.
    fn at(current: &mut Option<Gathering>, snapshot: u64) -> Option<(&mut Gathering, Gathered)> {
        let displaced = current.as_ref().map(|gathering| gathering.marker.snapshot).filter(|old| *old != snapshot);
        if displaced.is_some_and(|old| old > snapshot) {
            return None;
        }
        if displaced.is_some() {
            *current = None;
        }
        let outcome = displaced.map_or(Gathered::Waiting, Gathered::Abandoned);
        Some((current.get_or_insert_with(|| Gathering::new(snapshot)), outcome))
    }

    /// Adds a chunk to what is written next.
    pub(super) fn chunk(current: &mut Option<Gathering>, chunk: &SnapshotChunk, writes: &mut Writes) -> Gathered {
        let Some((gathering, outcome)) = Gathering::at(current, chunk.snapshot) else { return Gathered::Waiting };
        writes.put(Area::State, &state_key(chunk.snapshot, gathering.marker.chunks), &chunk.bytes);
        gathering.marker.chunks += 1;
        outcome
    }

    /// Notes that a shard has sent all.
    pub(super) fn end(current: &mut Option<Gathering>, end: &SnapshotEnd) -> Gathered {
        let Some((gathering, outcome)) = Gathering::at(current, end.snapshot) else { return Gathered::Waiting };
        gathering.marker.start = gathering.marker.start.min(end.start);
        gathering.marker.records += end.records;
        gathering.highest = gathering.highest.max(end.highest);
        gathering.chunks_announced += u64::from(end.chunks);
        let left = gathering.shards_left.unwrap_or(end.shards).saturating_sub(1);
        gathering.shards_left = Some(left);
        if left == 0 && gathering.chunks_announced != u64::from(gathering.marker.chunks) {
            *current = None;
            return Gathered::Abandoned(end.snapshot);
        }
        outcome
    }

    /// If all shards have sent all, and every event in it is durable with this write: makes the snapshot the one that
    /// counts, and deletes those before it.
    pub(super) fn complete(current: &mut Option<Gathering>, durable: Sequence, writes: &mut Writes) -> Option<Marker> {
        let ready = |gathering: &mut Gathering| gathering.shards_left == Some(0) && gathering.highest <= durable;
        let marker = current.take_if(ready)?.marker;
        marker.put(writes);
        writes.delete_range(Area::State, &state_key(0, 0), &state_key(marker.snapshot, 0));
        Some(marker)
    }
}
