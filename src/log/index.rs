//! The AUDIT index: which events concern which entity. On disk up to a *place*, in memory behind it.
//!
//! The index is a function of the log (P3), so a commit need not write it. Its entries gather in memory, a *run* of
//! them is now and then written as one sorted table, and what a crash leaves unwritten is read from the log again. The
//! place up to which all entries are on disk stands in the meta area. It is written after the table is durable, so it
//! never says too much; entries behind it may be on disk too, and readers take those from memory.
//!
//! In memory the entries of an entity stand in one of many parts, by the front of its hash: adding is appending, and
//! looking up reads one short part.

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::domain::Order;
use crate::types::{EntityHash, Sequence};

use super::chain::Chain;
use super::fields::Malformed;
use super::key::entity_key;
use super::writes::{Area, Scan, Writes};
use super::{LogError, Store};

const PLACE: &[u8] = b"index";
/// Length of a key of the index; the rest of a row is its value.
const KEY_BYTES: usize = 24;
/// Parts of a run, by the first twelve bits of the hash: few enough that the ends of all stay in the processor's
/// cache, and enough that a part of a full run has some hundred rows.
const PARTS: usize = 1 << 12;

/// An entry: its key and its value, as they stand on disk.
pub(super) type Row = [u8; KEY_BYTES + 2];

/// The entry for the event at `sequence`, which stands at `position` in its batch.
pub(super) fn row(hash: EntityHash, sequence: Sequence, position: u16) -> Row {
    let mut row = [0; KEY_BYTES + 2];
    let (key, value) = row.split_at_mut(KEY_BYTES);
    key.copy_from_slice(&entity_key(hash, sequence));
    value.copy_from_slice(&position.to_le_bytes());
    row
}

/// The key of an entry, and its value.
pub(super) fn key_and_value(row: &Row) -> (&[u8], &[u8]) {
    row.split_at(KEY_BYTES)
}

fn sequence_of(row: &Row) -> u64 {
    row[..KEY_BYTES].last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Entries of events that follow each other.
pub(super) struct Run {
    parts: Vec<Vec<Row>>,
    rows: usize,
    /// The last event.
    last: Sequence,
}

impl Run {
    fn new() -> Run {
        Run { parts: vec![Vec::new(); PARTS], rows: 0, last: Sequence::ZERO }
    }

    /// Adds an entry; those of one entity MUST come in the order of their events.
    fn push(&mut self, row: &Row) {
        let [first, second, ..] = *row;
        self.parts[usize::from(first) << 4 | usize::from(second) >> 4].push(*row);
        self.rows += 1;
        self.last = self.last.max(Sequence::new(sequence_of(row)));
    }

    /// The entries of an entity, oldest first.
    fn of(&self, hash: EntityHash) -> impl DoubleEndedIterator<Item = &Row> {
        let hash = hash.to_be_bytes();
        let [first, second, ..] = hash;
        let part = &self.parts[usize::from(first) << 4 | usize::from(second) >> 4];
        part.iter().filter(move |row| row.starts_with(&hash))
    }

    /// All entries in the order of their keys.
    fn sorted(&self) -> Vec<Row> {
        let mut rows = Vec::with_capacity(self.rows);
        for part in &self.parts {
            let start = rows.len();
            rows.extend_from_slice(part);
            rows[start..].sort_unstable();
        }
        rows
    }
}

/// What of the index is in memory.
pub(super) struct Tail(RwLock<State>);

struct State {
    /// Whether the log behind `place` was read.
    loaded: bool,
    /// All entries up to here are on disk.
    place: Sequence,
    /// A run that is being written, and follows `place`.
    sealed: Option<Arc<Run>>,
    /// What follows that.
    open: Run,
}

impl Tail {
    pub(super) fn new() -> Tail {
        Tail(RwLock::new(State { loaded: false, place: Sequence::ZERO, sealed: None, open: Run::new() }))
    }

    /// A change adds or moves whole rows, so that a panic elsewhere leaves none half done.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the entries of a commit, in the order of their events.
    pub(super) fn add(&self, rows: &[Row]) {
        let mut state = self.write();
        rows.iter().for_each(|row| state.open.push(row));
    }

    /// How many entries have gathered since the last run was sealed.
    pub(super) fn open_rows(&self) -> usize {
        self.read().open.rows
    }

    /// Makes what has gathered a run that is to be written. There MUST be no other one.
    pub(super) fn seal(&self) -> Arc<Run> {
        let mut state = self.write();
        let run = Arc::new(std::mem::replace(&mut state.open, Run::new()));
        state.sealed = Some(Arc::clone(&run));
        run
    }
}

impl Store {
    /// Up to which event all entries are on disk, as far as that is written down.
    pub(super) fn index_place(&self) -> Result<Sequence, LogError> {
        let place = self.read(Area::Meta, PLACE, |bytes| {
            bytes.try_into().map(u64::from_le_bytes).map_err(|_| Malformed("it has the wrong length"))
        })?;
        let place = place.unwrap_or(Ok(0));
        place.map(Sequence::new).map_err(|why| LogError::corrupt(Sequence::ZERO, "the place of the index", why))
    }

    /// Writes down up to which event all entries are on disk.
    pub(super) fn put_index_place(&self, writes: &mut Writes) {
        writes.put(Area::Meta, PLACE, &self.tail().read().place.value().to_le_bytes());
    }

    /// Reads what the log has behind the place of the index, unless that was done.
    ///
    /// # Errors
    /// `Corrupt` when that part of the log is damaged, or `Io`.
    pub(super) fn load_index(&self) -> Result<(), LogError> {
        if self.tail().read().loaded {
            return Ok(());
        }
        let mut state = self.tail().write();
        if state.loaded {
            return Ok(());
        }
        let (place, head) = (self.index_place()?, self.head()?);
        if place > head.last {
            return Err(LogError::corrupt(place, "the index", Malformed("it is younger than the log")));
        }
        let hash_key = self.identity().hash_key;
        let mut open = Run::new();
        let mut chain = Chain::before(self, place.next())?;
        let scan = Scan::all_from(Area::Log, chain.next_key());
        self.scan(&scan, |key, value| {
            let batch = chain.follow(key, value)?;
            for (position, sequence) in (0_u16..).zip(batch.head().first.value()..=batch.last().value()) {
                let sequence = Sequence::new(sequence);
                let event = batch.stored(sequence).map_err(|why| LogError::corrupt(sequence, "a batch", why))?;
                if sequence > place {
                    open.push(&row(hash_key.hash(event.entity), sequence, position));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        *state = State { loaded: true, place, sealed: None, open };
        Ok(())
    }

    /// Writes a sealed run to disk. From then on its entries are read from there.
    ///
    /// # Errors
    /// When that fails; then nothing is written any more (P7).
    pub(super) fn write_run(&self, run: &Run) -> Result<(), LogError> {
        let rows = run.sorted();
        self.ingest(Area::Entity, &mut rows.iter().map(key_and_value))?;
        let mut state = self.tail().write();
        state.place = state.place.max(run.last);
        state.sealed = None;
        Ok(())
    }

    /// The first `count` entries of an entity whose events are in the range and whose order is that, and that must be
    /// taken from memory; and the place, up to which they must be taken from disk.
    ///
    /// # Errors
    /// As [`Store::load_index`].
    pub(super) fn index_tail(
        &self,
        hash: EntityHash,
        range: RangeInclusive<u64>,
        order: Order,
        count: usize,
    ) -> Result<(Sequence, Vec<Row>), LogError> {
        self.load_index()?;
        let state = self.tail().read();
        let sealed = state.sealed.iter().flat_map(|run| run.of(hash));
        let all = sealed.chain(state.open.of(hash)).filter(|row| range.contains(&sequence_of(row))).copied();
        let rows = match order {
            Order::Ascending => all.take(count).collect(),
            Order::Descending => all.rev().take(count).collect(),
        };
        Ok((state.place, rows))
    }
}

#[cfg(test)]
mod tests;
