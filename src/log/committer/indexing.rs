//! When the index goes from memory to disk, and when its runs are merged: a step at a time, on a thread beside the
//! committer.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::super::index::{Merge, Run};
use super::super::writes::Writes;
use super::super::{LogError, Store};

/// Entries that gather in memory before they are written: 13 MB, and a quarter of a second to read them from the log
/// again after a crash. Fewer would make more runs, which are then merged more often.
pub(super) const RUN_ROWS: usize = 1 << 19;
/// Runs that may gather while something else is done; then the committer waits, so that memory stays bounded.
const RUNS_WAITING_MAX: usize = 2;

/// A step of the work on the index.
enum Step {
    Write(Arc<Run>),
    /// Goes on with a merge, or looks for one.
    Merge(Option<Merge>),
    Drop(Vec<u64>),
}

/// What a step has changed.
#[derive(Default)]
struct Outcome {
    /// Other runs count now than are written down.
    listed: bool,
    /// A merge that is not done.
    merge: Option<Merge>,
    /// Whether to look for one.
    looks: bool,
    /// Runs that do not count any more.
    replaced: Vec<u64>,
}

impl Step {
    fn take(self, store: &Store, run_rows: usize) -> Result<Outcome, LogError> {
        match self {
            Step::Write(run) => {
                store.write_run(&run)?;
                Ok(Outcome { listed: true, looks: true, ..Outcome::default() })
            }
            Step::Merge(merge) => {
                let Some(mut merge) = merge.or_else(|| store.index().merge_due(run_rows)) else {
                    return Ok(Outcome::default());
                };
                if store.merge_on(&mut merge)? {
                    let replaced = merge.inputs().collect();
                    Ok(Outcome { listed: true, looks: true, replaced, ..Outcome::default() })
                } else {
                    Ok(Outcome { merge: Some(merge), ..Outcome::default() })
                }
            }
            Step::Drop(runs) => {
                runs.into_iter().try_for_each(|run| store.drop_run(run))?;
                Ok(Outcome::default())
            }
        }
    }
}

/// The work on the index.
pub(super) struct Indexing {
    run_rows: usize,
    /// Whether whoever commits does all of it, instead of a thread beside it.
    in_line: bool,
    /// The step that is being taken, if one is.
    thread: Option<JoinHandle<Result<Outcome, LogError>>>,
    /// A merge that was begun.
    merge: Option<Merge>,
    /// Whether a merge may have become due.
    looks: bool,
    /// Runs that do not count any more, as the next commit says.
    replaced: Vec<u64>,
    /// Runs that do not count any more, as is written down.
    dropped: Vec<u64>,
}

impl Indexing {
    pub(super) fn new(run_rows: usize) -> Indexing {
        Indexing {
            run_rows: run_rows.max(1),
            in_line: false,
            thread: None,
            merge: None,
            looks: true,
            replaced: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// The same without a thread: a step is taken when it is due.
    pub(super) fn in_line(run_rows: usize) -> Indexing {
        Indexing { in_line: true, ..Indexing::new(run_rows) }
    }

    /// Whether there is something to do, or to look after, though no message comes.
    pub(super) fn is_busy(&self) -> bool {
        self.thread.is_some() || self.merge.is_some() || !self.dropped.is_empty()
    }

    /// Looks whether a step was taken, whose news then go with the next commit; begins the next if it is time.
    ///
    /// # Errors
    /// What went wrong with a step: a failed write like any other.
    pub(super) fn step(&mut self, store: &Store, writes: &mut Writes) -> Result<(), LogError> {
        if self.in_line {
            while let Some(step) = self.next(store) {
                let outcome = step.take(store, self.run_rows)?;
                self.note(outcome, store, writes);
            }
            return Ok(());
        }
        let must_wait = store.index().open_rows() / self.run_rows >= RUNS_WAITING_MAX;
        if self.thread.as_ref().is_some_and(|thread| must_wait || thread.is_finished()) {
            self.join(store, writes)?;
        }
        if self.thread.is_none()
            && let Some(step) = self.next(store)
        {
            let (store, run_rows) = (store.clone(), self.run_rows);
            let body = move || step.take(&store, run_rows);
            let thread = thread::Builder::new().name("index".to_owned()).spawn(body);
            self.thread = Some(thread.map_err(|error| LogError::io("starting the index", &error))?);
        }
        Ok(())
    }

    /// What is written down is written: runs that do not count any more may go.
    pub(super) fn committed(&mut self) {
        self.dropped.append(&mut self.replaced);
    }

    fn next(&mut self, store: &Store) -> Option<Step> {
        if store.index().open_rows() >= self.run_rows {
            Some(Step::Write(store.index().seal()))
        } else if !self.dropped.is_empty() {
            Some(Step::Drop(std::mem::take(&mut self.dropped)))
        } else if self.looks || self.merge.is_some() {
            self.looks = false;
            Some(Step::Merge(self.merge.take()))
        } else {
            None
        }
    }

    fn note(&mut self, outcome: Outcome, store: &Store, writes: &mut Writes) {
        if outcome.listed {
            store.index().put_list(writes);
        }
        self.merge = self.merge.take().or(outcome.merge);
        self.looks |= outcome.looks;
        self.replaced.extend(outcome.replaced);
    }

    fn join(&mut self, store: &Store, writes: &mut Writes) -> Result<(), LogError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let outcome = thread.join().unwrap_or(Err(LogError::Failed))?;
        self.note(outcome, store, writes);
        Ok(())
    }

    /// Writes all that has gathered, so that the next start need not read it from the log. A merge that was begun is given
    /// up.
    ///
    /// # Errors
    /// As [`Indexing::step`].
    pub(super) fn finish(&mut self, store: &Store, writes: &mut Writes) -> Result<(), LogError> {
        self.join(store, writes)?;
        if store.index().open_rows() > 0 {
            store.write_run(&store.index().seal())?;
            store.index().put_list(writes);
        }
        Ok(())
    }
}
