//! Entries of the index, and what gathers of them in memory.

use crate::types::{EntityHash, Sequence};

use super::super::key::entity_key;

/// Length of the part of an entry by which entries are ordered.
pub(in super::super) const KEY_BYTES: usize = 24;
/// Parts of a run, by the first twelve bits of the hash: few enough that the ends of all stay in the processor's
/// cache, and enough that a part of a full run has some hundred rows.
const PARTS: usize = 1 << 12;

/// The hash of an entity and the sequence of an event, as they stand on disk: what an entry is ordered by.
pub(in super::super) type RowKey = [u8; KEY_BYTES];
/// An entry, as it stands on disk: its key, and the position of the event in its batch.
pub(in super::super) type Row = [u8; KEY_BYTES + 2];

/// The entry for the event at `sequence`, which stands at `position` in its batch.
pub(in super::super) fn row(hash: EntityHash, sequence: Sequence, position: u16) -> Row {
    let mut row = [0; KEY_BYTES + 2];
    let (key, value) = row.split_at_mut(KEY_BYTES);
    key.copy_from_slice(&entity_key(hash, sequence));
    value.copy_from_slice(&position.to_le_bytes());
    row
}

/// The key of an entry.
pub(in super::super) fn key_of(row: &Row) -> &RowKey {
    row.first_chunk().unwrap_or(&[0; KEY_BYTES])
}

/// The key as numbers, which are compared sooner than bytes are.
pub(super) fn order_of(row: &Row) -> (EntityHash, Sequence) {
    (hash_of(row), sequence_of(row))
}

/// The hash of the entity that an entry is about.
pub(in super::super) fn hash_of(row: &Row) -> EntityHash {
    EntityHash::from_be_bytes(row.first_chunk().copied().unwrap_or_default())
}

/// The place of the event that an entry names.
pub(in super::super) fn sequence_of(row: &Row) -> Sequence {
    Sequence::new(row[..KEY_BYTES].last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)))
}

/// The position in its batch of the event that an entry names.
pub(in super::super) fn position_of(row: &Row) -> u16 {
    row.last_chunk().map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

/// Entries of events that follow each other, in memory. Those of an entity stand in one of many parts, by the front of its
/// hash: adding is appending, and looking up reads one short part.
pub(in super::super) struct Run {
    parts: Vec<Vec<Row>>,
    rows: usize,
    last: Sequence,
}

impl Run {
    pub(super) fn new() -> Run {
        Run { parts: vec![Vec::new(); PARTS], rows: 0, last: Sequence::ZERO }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// The last event.
    pub(super) fn last(&self) -> Sequence {
        self.last
    }

    /// Adds an entry; those of one entity MUST come in the order of their events.
    pub(super) fn push(&mut self, row: &Row) {
        let [first, second, ..] = *row;
        self.parts[usize::from(first) << 4 | usize::from(second) >> 4].push(*row);
        self.rows += 1;
        self.last = self.last.max(sequence_of(row));
    }

    /// The entries of an entity, oldest first.
    pub(super) fn of(&self, hash: EntityHash) -> impl DoubleEndedIterator<Item = &Row> {
        let hash = hash.to_be_bytes();
        let [first, second, ..] = hash;
        let part = &self.parts[usize::from(first) << 4 | usize::from(second) >> 4];
        part.iter().filter(move |row| row.starts_with(&hash))
    }

    /// All entries in the order of their keys.
    pub(super) fn sorted(&self) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.rows);
        for part in &self.parts {
            let start = rows.len();
            rows.extend_from_slice(part);
            rows[start..].sort_unstable_by_key(order_of);
        }
        rows
    }
}
