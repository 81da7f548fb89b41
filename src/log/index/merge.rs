//! Merging runs: of a few that follow each other one is made, so that an entity is looked for in few places.
//!
//! A run of a *level* has about [`FANOUT`] times the entries of one of the level below, so an entry is copied once for
//! each level, and a log of n runs of entries has at the most [`FANOUT`] - 1 runs for each of its log(n) levels. Copying
//! goes by slices, so that whoever merges can do something else in between.

use std::ops::Range;

use crate::types::Sequence;

use super::super::writes::Scan;
use super::super::{LogError, Store};
use super::run::{Row, RowKey, key_of, order_of};
use super::stored::{StoredRun, after, place};

/// How many runs become one. More of them are merged less often, and leave more places to look in.
pub(in super::super) const FANOUT: usize = 8;
/// Entries of a slice, about: some 25 ms of a processor, and the syncs of a table.
const SLICE_ROWS: usize = 1 << 19;

/// Runs that become one.
pub(in super::super) struct Merge {
    inputs: Vec<StoredRun>,
    /// The run that they become.
    pub(super) into: StoredRun,
    /// The last entry that was copied.
    behind: Option<RowKey>,
    slice_rows: usize,
}

impl Merge {
    /// The next merge that is due, if one is, where runs have `run_rows` entries when they are written first.
    pub(super) fn due(runs: &[StoredRun], run_rows: usize, number: u64) -> Option<Merge> {
        let inputs = runs.get(due(runs, run_rows)?)?.to_vec();
        let into = StoredRun { number, last: place(&inputs) };
        Some(Merge { inputs, into, behind: None, slice_rows: SLICE_ROWS.min(run_rows) })
    }

    /// The numbers of the runs that are merged.
    pub(in super::super) fn inputs(&self) -> impl Iterator<Item = u64> + '_ {
        self.inputs.iter().map(|run| run.number)
    }

    /// Puts the new run in the place of the others.
    pub(super) fn replace_in(&self, runs: &mut Vec<StoredRun>) {
        if let Some(at) = runs.iter().position(|run| Some(run) == self.inputs.first()) {
            runs.splice(at..at + self.inputs.len(), [self.into]);
        }
    }

    /// Copies the next slice, and tells whether it was the last.
    ///
    /// # Errors
    /// When that fails; then nothing is written any more (P7).
    pub(super) fn copy(&mut self, store: &Store) -> Result<bool, LogError> {
        let behind = self.behind.unwrap_or_default();
        let is_new = |row: &&Row| self.behind.is_none() || *key_of(row) > behind;
        let each = (self.slice_rows / self.inputs.len()).max(1);
        let mut rows: Vec<Row> = Vec::with_capacity(self.slice_rows);
        // Up to here, every run was read.
        let mut until: Option<RowKey> = None;
        for run in &self.inputs {
            let start = rows.len();
            let mut ended = true;
            store.scan_blocks(&Scan { bulk: true, ..after(run.number, &behind) }, |block| {
                rows.extend(block.iter().filter(is_new));
                ended = rows.len() - start < each;
                Ok(ended)
            })?;
            if let Some(last) = rows.last().filter(|_| !ended).map(key_of) {
                until = Some(until.map_or(*last, |until| until.min(*last)));
            }
        }
        // What is sorted in parts is recognized as such by this way of sorting.
        rows.sort_by_key(order_of);
        if let Some(until) = until {
            rows.truncate(rows.partition_point(|row| *key_of(row) <= until));
        }
        if !rows.is_empty() {
            store.write_rows(self.into.number, &rows)?;
        }
        self.behind = rows.last().map(key_of).copied().or(self.behind);
        Ok(until.is_none())
    }
}

/// Which runs are to be merged next: the oldest of the lowest level that has enough of them at the end of the log, with no
/// run of a higher one among them.
fn due(runs: &[StoredRun], run_rows: usize) -> Option<Range<usize>> {
    let mut before = Sequence::ZERO;
    let levels: Vec<u32> = runs
        .iter()
        .map(|run| level(run.last.value() - std::mem::replace(&mut before, run.last).value(), run_rows))
        .collect();
    let highest = levels.iter().max().copied()?;
    (0..=highest).find_map(|level| {
        let start = levels.iter().rposition(|other| *other > level).map_or(0, |above| above + 1);
        let mut of_level = (start..levels.len()).filter(|at| levels[*at] == level);
        of_level.nth(FANOUT - 1).map(|last| start..last + 1)
    })
}

fn level(rows: u64, run_rows: usize) -> u32 {
    let (mut level, mut rows) = (0, rows / run_rows.max(1) as u64);
    while rows >= FANOUT as u64 {
        (level, rows) = (level + 1, rows / FANOUT as u64);
    }
    level
}

#[cfg(test)]
mod tests {
    use super::super::row;
    use super::*;
    use crate::types::EntityHash;
    use proptest::prelude::*;

    fn simulate(steps: &[(u64, bool)], run_rows: usize) -> (Vec<StoredRun>, u64) {
        let (mut runs, mut number, mut copied) = (Vec::new(), 0, 0);
        for (rows, is_full) in steps {
            let rows = if *is_full { run_rows as u64 } else { 1 + rows % run_rows as u64 };
            number += 1;
            runs.push(StoredRun { number, last: Sequence::new(place(&runs).value() + rows) });
            while let Some(merge) = Merge::due(&runs, run_rows, number + 1) {
                number += 1;
                let first = merge.inputs[0].number;
                let at = runs.iter().position(|run| run.number == first).unwrap();
                let before = if at == 0 { 0 } else { runs[at - 1].last.value() };
                copied += merge.into.last.value() - before;
                let last = place(&runs);
                merge.replace_in(&mut runs);
                assert_eq!(place(&runs), last);
            }
        }
        (runs, copied)
    }

    proptest! {
        /// However large the runs are that come, few stay, and they follow each other.
        #[test]
        fn few_runs_stay(steps in proptest::collection::vec((any::<u64>(), any::<bool>()), 1..600), run_rows in 1..50_usize) {
            let (runs, _) = simulate(&steps, run_rows);
            let rows = place(&runs).value();
            let levels = u64::from(level(rows, run_rows)) + 1;
            prop_assert!(runs.len() as u64 <= levels * (FANOUT as u64 - 1), "{} of {} levels", runs.len(), levels);
            prop_assert!(runs.windows(2).all(|pair| pair[0].last < pair[1].last));
        }

        /// Whatever the slices are, the new run has each entry of the others once, in order.
        #[test]
        fn slices_make_the_whole(
            sizes in proptest::collection::vec(1..400_u64, FANOUT),
            entities in 1..300_u64,
            slice_rows in 1..1500_usize,
        ) {
            let store = Store::in_memory().unwrap();
            let (mut inputs, mut all) = (Vec::new(), Vec::new());
            for (number, size) in (1..).zip(sizes) {
                let before = place(&inputs).value();
                let hash = |at: u64| EntityHash::from_be_bytes((u128::from(at % entities) << 99).to_be_bytes());
                let mut rows: Vec<Row> =
                    (before + 1..=before + size).map(|at| row(hash(at), Sequence::new(at), 0)).collect();
                rows.sort();
                store.write_rows(number, &rows).unwrap();
                inputs.push(StoredRun { number, last: Sequence::new(before + size) });
                all.extend(rows);
            }
            all.sort();
            let into = StoredRun { number: 99, last: place(&inputs) };
            let mut merge = Merge { inputs, into, behind: None, slice_rows };
            let mut slices = 1;
            while !merge.copy(&store).unwrap() {
                slices += 1;
                prop_assert!(slices <= all.len());
            }
            let mut merged = Vec::new();
            store
                .scan_blocks(&after(99, &[0; 24]), |rows| {
                    merged.extend_from_slice(rows);
                    Ok(true)
                })
                .unwrap();
            prop_assert_eq!(merged, all);
        }

        /// An entry of full runs is copied once for each level.
        #[test]
        fn an_entry_is_copied_once_for_each_level(count in 1..2000_usize) {
            let (runs, copied) = simulate(&vec![(0, true); count], 10);
            let rows = place(&runs).value();
            prop_assert!(copied <= rows * u64::from(level(rows, 10)), "{copied} of {rows}");
        }
    }
}
