//! Runs on disk: where they are listed, how one is written, and how the entries of an entity are found in it.
//!
//! A run is many *blocks*: a value holds entries that follow each other, and its key is the number of the run with the key
//! of the last of them. So the block in which an entry stands, if it does, is the first one whose key is not below.
//!
//! The list of the runs that count stands in the meta area: version 1, for each run in the order of its events its number
//! and its last event (u64 each), BLAKE3 of everything before. What is on disk beside them a crash has left.

use std::ops::{ControlFlow, RangeInclusive};

use crate::domain::Order;
use crate::types::{EntityHash, Sequence};

use super::super::fields::{Fields, Malformed, seal, unseal};
use super::super::key::{INDEX_KEY_BYTES, entity_key, index_key};
use super::super::writes::{Area, Scan, Writes};
use super::super::{LogError, Store};
use super::run::{Row, RowKey, key_of};

/// Where the list stands.
const RUNS: &[u8] = b"runs";
const LIST_VERSION: u8 = 1;
/// Entries of a block: one is read for a lookup, and merging handles blocks.
const BLOCK_ROWS: usize = 128;

/// A run on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct StoredRun {
    /// Its name. None is used twice.
    pub(in super::super) number: u64,
    /// Its last event. The first is the one behind the last of the run before.
    pub(in super::super) last: Sequence,
}

/// Up to which event runs hold all entries.
pub(in super::super) fn place(runs: &[StoredRun]) -> Sequence {
    runs.last().map_or(Sequence::ZERO, |run| run.last)
}

/// The entries of a block.
pub(in super::super) fn read_block(value: &[u8]) -> Result<&[Row], Malformed> {
    match value.as_chunks() {
        (rows, []) if !rows.is_empty() => Ok(rows),
        _ => Err(Malformed("a part of it has the wrong length")),
    }
}

fn corrupt(why: Malformed) -> LogError {
    LogError::corrupt(Sequence::ZERO, "the index for AUDIT", why)
}

/// Which entries of one entity are wanted.
#[derive(Clone)]
pub(in super::super) struct Wanted {
    pub(in super::super) hash: EntityHash,
    /// The places of their events.
    pub(in super::super) range: RangeInclusive<u64>,
    pub(in super::super) order: Order,
    /// How many of them, from the front of that order.
    pub(in super::super) count: usize,
}

impl Store {
    /// The runs that count, oldest first.
    pub(in super::super) fn stored_runs(&self) -> Result<Vec<StoredRun>, LogError> {
        let runs = self.read(Area::Meta, RUNS, read_list)?.unwrap_or_else(|| Ok(Vec::new()));
        runs.map_err(|why| LogError::corrupt(Sequence::ZERO, "the list of the index", why))
    }

    /// A number above those of all runs that are on disk, whether or not they count.
    pub(super) fn next_run(&self, runs: &[StoredRun]) -> Result<u64, LogError> {
        let counts = runs.iter().map(|run| run.number).max().unwrap_or(0);
        Ok(self.last_number(Area::Index)?.max(counts).saturating_add(1))
    }

    /// Writes sorted entries as a run, or as the next part of one.
    ///
    /// # Errors
    /// When that fails; then nothing is written any more (P7).
    pub(in super::super) fn write_rows(&self, number: u64, rows: &[Row]) -> Result<(), LogError> {
        let blocks = || rows.chunks(BLOCK_ROWS);
        let keys: Vec<[u8; INDEX_KEY_BYTES]> =
            blocks().filter_map(|block| block.last()).map(|last| index_key(number, key_of(last))).collect();
        self.ingest(Area::Index, &mut keys.iter().map(|key| &key[..]).zip(blocks().map(<[Row]>::as_flattened)))
    }

    /// Drops a run that does not count any more from the disk.
    ///
    /// # Errors
    /// As [`Store::write_rows`].
    pub(in super::super) fn drop_run(&self, number: u64) -> Result<(), LogError> {
        self.drop_range(Area::Index, &number.to_be_bytes(), &number.saturating_add(1).to_be_bytes())
    }

    /// Drops what a crash has left of runs that do not count.
    pub(super) fn drop_other_runs(&self, runs: &[StoredRun], next: u64) -> Result<(), LogError> {
        let mut numbers: Vec<u64> = runs.iter().map(|run| run.number).collect();
        numbers.sort_unstable();
        numbers.push(next);
        let mut from = 0_u64;
        for number in numbers {
            let mut is_there = false;
            self.scan(&Scan::range(Area::Index, from.to_be_bytes(), number.to_be_bytes()), |_, _| {
                is_there = true;
                Ok(ControlFlow::Break(()))
            })?;
            if is_there {
                self.drop_range(Area::Index, &from.to_be_bytes(), &number.to_be_bytes())?;
            }
            from = number.saturating_add(1);
        }
        Ok(())
    }

    /// Adds what of the wanted entries this run has, up to `wanted.count` entries in all.
    pub(super) fn find_rows(&self, run: u64, wanted: &Wanted, found: &mut Vec<Row>) -> Result<(), LogError> {
        let key = |sequence: u64| entity_key(wanted.hash, Sequence::new(sequence));
        let (first, last) = (key(*wanted.range.start()), key(*wanted.range.end()));
        let within = |rows: &[Row]| {
            let from = rows.partition_point(|row| *key_of(row) < first);
            from..rows.partition_point(|row| *key_of(row) <= last).max(from)
        };
        match wanted.order {
            Order::Ascending => self.scan_blocks(&after(run, &first), |rows| {
                let inside = within(rows);
                let goes_on = inside.end == rows.len();
                found.extend(rows[inside].iter().take(wanted.count.saturating_sub(found.len())));
                Ok(goes_on && found.len() < wanted.count)
            }),
            Order::Descending => {
                let mut take = |rows: &[Row]| {
                    let inside = within(rows);
                    let goes_on = inside.start == 0;
                    found.extend(rows[inside].iter().rev().take(wanted.count.saturating_sub(found.len())));
                    goes_on && found.len() < wanted.count
                };
                // The block in which the last of them would stand, then those before it.
                let mut more = true;
                self.scan_blocks(&after(run, &last), |rows| {
                    more = take(rows);
                    Ok(false)
                })?;
                if more {
                    let before = Scan::range(Area::Index, index_key(run, &first), index_key(run, &last)).backwards();
                    self.scan_blocks(&before, |rows| Ok(take(rows)))?;
                }
                Ok(())
            }
        }
    }

    /// Shows blocks until `visit` says that it has enough.
    pub(super) fn scan_blocks(
        &self,
        scan: &Scan,
        mut visit: impl FnMut(&[Row]) -> Result<bool, LogError>,
    ) -> Result<(), LogError> {
        self.scan(scan, |_, value| {
            let goes_on = visit(read_block(value).map_err(corrupt)?)?;
            Ok(if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })
    }
}

/// The blocks of a run from the one on in which an entry with this key would stand.
pub(super) fn after(run: u64, key: &RowKey) -> Scan {
    Scan::range(Area::Index, index_key(run, key), run.saturating_add(1).to_be_bytes())
}

/// Writes down which runs count.
pub(in super::super) fn put_list(runs: &[StoredRun], writes: &mut Writes) {
    let mut bytes = vec![LIST_VERSION];
    for run in runs {
        bytes.extend_from_slice(&run.number.to_le_bytes());
        bytes.extend_from_slice(&run.last.value().to_le_bytes());
    }
    seal(&mut bytes, 0);
    writes.put(Area::Meta, RUNS, &bytes);
}

fn read_list(bytes: &[u8]) -> Result<Vec<StoredRun>, Malformed> {
    let (covered, _) = unseal(bytes)?;
    let mut fields = Fields::of(covered);
    if fields.u8()? != LIST_VERSION {
        return Err(Malformed("its version is unknown"));
    }
    let mut runs: Vec<StoredRun> = Vec::new();
    while !fields.is_empty() {
        let run = StoredRun { number: fields.u64()?, last: Sequence::new(fields.u64()?) };
        if run.last <= place(&runs) || runs.iter().any(|other| other.number == run.number) {
            return Err(Malformed("its runs do not follow each other"));
        }
        runs.push(run);
    }
    Ok(runs)
}
