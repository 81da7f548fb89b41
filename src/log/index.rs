//! The AUDIT index: which events concern which entity. On disk up to a *place*, in memory behind it.
//!
//! The index is a function of the log (P3), so a commit need not write it. Its entries gather in memory, a *run* of
//! them is now and then written in one piece, and what a crash leaves unwritten is read from the log again. Runs cover
//! the log one behind the other; those of the same size are merged when there are many. Which runs count is written
//! down after they are durable, so it never says too much; what is on disk beside them is dropped at the next start.

mod merge;
mod run;
mod stored;

use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::domain::Order;
use crate::types::Sequence;

use super::chain::Chain;
use super::fields::Malformed;
use super::writes::{Area, Scan, Writes};
use super::{LogError, Store};

pub(super) use merge::Merge;
pub(super) use run::{Row, Run, hash_of, key_of, position_of, row, sequence_of};
#[cfg(test)]
pub(super) use stored::put_list;
pub(super) use stored::{StoredRun, Wanted, place, read_block};

/// What is known of the index. Whoever takes both locks takes that of `disk` first.
pub(super) struct Index {
    disk: RwLock<Disk>,
    memory: RwLock<Memory>,
}

/// What of the index is on disk. Who reads there keeps this locked, so that no run goes meanwhile.
struct Disk {
    /// Whether the list was read, and the log behind it.
    loaded: bool,
    /// The runs that count, oldest first.
    runs: Vec<StoredRun>,
    /// The number of the next run.
    next: u64,
}

/// What of the index is in memory, behind what is on disk.
struct Memory {
    /// A run that is being written.
    sealed: Option<Arc<Run>>,
    /// What follows that.
    open: Run,
}

impl Index {
    pub(super) fn new() -> Index {
        Index {
            disk: RwLock::new(Disk { loaded: false, runs: Vec::new(), next: 1 }),
            memory: RwLock::new(Memory { sealed: None, open: Run::new() }),
        }
    }

    /// A change adds or moves whole rows and runs, so that a panic elsewhere leaves none half done.
    fn disk(&self) -> RwLockReadGuard<'_, Disk> {
        self.disk.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk_mut(&self) -> RwLockWriteGuard<'_, Disk> {
        self.disk.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it read again when it is asked next, since a test has changed what is stored.
    #[cfg(test)]
    pub(super) fn forget(&self) {
        self.disk_mut().loaded = false;
    }

    /// Adds the entries of a commit, in the order of their events.
    pub(super) fn add(&self, rows: &[Row]) {
        let mut memory = self.memory_mut();
        rows.iter().for_each(|row| memory.open.push(row));
    }

    /// How many entries have gathered since the last run was sealed.
    pub(super) fn open_rows(&self) -> usize {
        self.memory().open.len()
    }

    /// Makes what has gathered a run that is to be written. There MUST be no other one.
    pub(super) fn seal(&self) -> Arc<Run> {
        let mut memory = self.memory_mut();
        let run = Arc::new(std::mem::replace(&mut memory.open, Run::new()));
        memory.sealed = Some(Arc::clone(&run));
        run
    }

    /// Writes down which runs count now.
    pub(super) fn put_list(&self, writes: &mut Writes) {
        stored::put_list(&self.disk().runs, writes);
    }

    /// The next merge that is due, if one is. There MUST be no other one.
    pub(super) fn merge_due(&self, run_rows: usize) -> Option<Merge> {
        let mut disk = self.disk_mut();
        let merge = Merge::due(&disk.runs, run_rows, disk.next)?;
        disk.next += 1;
        Some(merge)
    }
}

impl Store {
    /// How many events the index on disk lacks: those are read from the log when a committer starts.
    ///
    /// # Errors
    /// When that cannot be read, or the list of the index is damaged.
    pub fn unindexed_events(&self) -> Result<u64, LogError> {
        Ok(self.head()?.last.value().saturating_sub(place(&self.stored_runs()?).value()))
    }

    /// Reads what the log has behind the index on disk, unless that was done. With `run_rows`, what is more than so many
    /// entries goes to disk on the way; without, all of it stays in memory.
    ///
    /// # Errors
    /// `Corrupt` when that part of the log, or the list of the index, is damaged; or `Io`.
    pub(super) fn load_index(&self, run_rows: Option<usize>) -> Result<(), LogError> {
        if self.index().disk().loaded {
            return Ok(());
        }
        let mut disk = self.index().disk_mut();
        if disk.loaded {
            return Ok(());
        }
        let mut runs = self.stored_runs()?;
        let (from, head) = (place(&runs), self.head()?);
        if from > head.last {
            return Err(LogError::corrupt(from, "the index for AUDIT", Malformed("it is younger than the log")));
        }
        let mut next = self.next_run(&runs)?;
        if run_rows.is_some() {
            self.drop_other_runs(&runs, next)?;
        }
        let hash_key = self.identity().hash_key;
        let mut open = Run::new();
        let mut chain = Chain::before(self, from.next())?;
        let scan = Scan::all_from(Area::Log, chain.next_key());
        self.scan(&scan, |key, value| {
            let batch = chain.follow(key, value)?;
            for (position, sequence) in (0_u16..).zip(batch.head().first.value()..=batch.last().value()) {
                let sequence = Sequence::new(sequence);
                let event = batch.stored(sequence).map_err(|why| LogError::corrupt(sequence, "a batch", why))?;
                if sequence > from {
                    open.push(&row(hash_key.hash(event.entity), sequence, position));
                }
            }
            if run_rows.is_some_and(|rows| open.len() >= rows) {
                let run = std::mem::replace(&mut open, Run::new());
                self.write_rows(next, &run.sorted())?;
                runs.push(StoredRun { number: next, last: run.last() });
                next += 1;
                let mut writes = Writes::new();
                stored::put_list(&runs, &mut writes);
                self.write(&writes)?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        *self.index().memory_mut() = Memory { sealed: None, open };
        *disk = Disk { loaded: true, runs, next };
        Ok(())
    }

    /// Writes a sealed run to disk. From then on its entries are read from there.
    ///
    /// # Errors
    /// When that fails; then nothing is written any more (P7).
    pub(super) fn write_run(&self, run: &Run) -> Result<(), LogError> {
        let number = {
            let mut disk = self.index().disk_mut();
            disk.next += 1;
            disk.next - 1
        };
        self.write_rows(number, &run.sorted())?;
        let mut disk = self.index().disk_mut();
        disk.runs.push(StoredRun { number, last: run.last() });
        self.index().memory_mut().sealed = None;
        Ok(())
    }

    /// Goes on with a merge, and tells whether it is done: then its run counts, and the others must be dropped once that is
    /// written down.
    ///
    /// # Errors
    /// As [`Store::write_run`].
    pub(super) fn merge_on(&self, merge: &mut Merge) -> Result<bool, LogError> {
        let done = merge.copy(self)?;
        if done {
            merge.replace_in(&mut self.index().disk_mut().runs);
        }
        Ok(done)
    }

    /// The wanted entries, in their order.
    ///
    /// # Errors
    /// As [`Store::load_index`].
    pub(super) fn indexed(&self, wanted: &Wanted) -> Result<Vec<Row>, LogError> {
        self.load_index(None)?;
        let disk = self.index().disk();
        let mut rows = Vec::new();
        match wanted.order {
            Order::Ascending => {
                self.find_stored(&disk.runs, wanted, &mut rows)?;
                self.find_in_memory(wanted, &mut rows);
            }
            Order::Descending => {
                self.find_in_memory(wanted, &mut rows);
                self.find_stored(&disk.runs, wanted, &mut rows)?;
            }
        }
        Ok(rows)
    }

    /// Adds the wanted entries that are on disk, until there are as many as wanted.
    pub(super) fn find_stored(
        &self,
        runs: &[StoredRun],
        wanted: &Wanted,
        found: &mut Vec<Row>,
    ) -> Result<(), LogError> {
        let behind = |at: usize| place(&runs[..at]).value();
        let mut visit = |at: usize| match &runs[at] {
            run if run.last.value() < *wanted.range.start() || behind(at) >= *wanted.range.end() => Ok(()),
            _ if found.len() >= wanted.count => Ok(()),
            run => self.find_rows(run.number, wanted, found),
        };
        match wanted.order {
            Order::Ascending => (0..runs.len()).try_for_each(&mut visit),
            Order::Descending => (0..runs.len()).rev().try_for_each(&mut visit),
        }
    }

    /// The same with those in memory. Their lock is not kept while anything is read from disk: commits take it.
    fn find_in_memory(&self, wanted: &Wanted, found: &mut Vec<Row>) {
        let memory = self.index().memory();
        let sealed = memory.sealed.iter().flat_map(|run| run.of(wanted.hash));
        let all = sealed.chain(memory.open.of(wanted.hash));
        let all = all.filter(|row| wanted.range.contains(&sequence_of(row).value())).copied();
        let count = wanted.count.saturating_sub(found.len());
        match wanted.order {
            Order::Ascending => found.extend(all.take(count)),
            Order::Descending => found.extend(all.rev().take(count)),
        }
    }
}

#[cfg(test)]
mod tests;
