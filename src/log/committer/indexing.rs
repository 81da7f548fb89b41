//! When the index goes from memory to disk: a run at a time, on a thread beside the committer.

use std::thread::{self, JoinHandle};

use super::super::index::Run;
use super::super::writes::Writes;
use super::super::{LogError, Store};

/// Entries that gather in memory before they are written: 13 MB, and a quarter of a second to read them from the log
/// again after a crash. Fewer would make more tables, which are then merged more often.
pub(super) const RUN_ROWS: usize = 1 << 19;
/// Runs that may gather while one is written; then the committer waits, so that memory stays bounded.
const RUNS_WAITING_MAX: usize = 2;

/// The run that is being written, if one is.
pub(super) struct Indexing {
    run_rows: usize,
    /// Whether runs are written by whoever commits, instead of beside it.
    in_line: bool,
    thread: Option<JoinHandle<Result<(), LogError>>>,
}

impl Indexing {
    pub(super) fn new(run_rows: usize) -> Indexing {
        Indexing { run_rows: run_rows.max(1), in_line: false, thread: None }
    }

    /// The same without a thread: a run is written when it is full.
    pub(super) fn in_line(run_rows: usize) -> Indexing {
        Indexing { in_line: true, ..Indexing::new(run_rows) }
    }

    /// Whether a run is being written, whose end is to be looked for.
    pub(super) fn is_running(&self) -> bool {
        self.thread.is_some()
    }

    /// Looks whether a run was written, whose place then goes with the next commit; begins the next if it is time.
    ///
    /// # Errors
    /// What went wrong with a run: a failed write like any other.
    pub(super) fn step(&mut self, store: &Store, writes: &mut Writes) -> Result<(), LogError> {
        let rows = store.tail().open_rows();
        if self.in_line {
            return if rows >= self.run_rows { self.finish(store, writes) } else { Ok(()) };
        }
        let must_wait = rows / self.run_rows >= RUNS_WAITING_MAX;
        if self.thread.as_ref().is_some_and(|thread| must_wait || thread.is_finished()) {
            self.join(store, writes)?;
        }
        if self.thread.is_none() && rows >= self.run_rows {
            let (store, run) = (store.clone(), store.tail().seal());
            let body = move || store.write_run(&run);
            let thread = thread::Builder::new().name("index".to_owned()).spawn(body);
            self.thread = Some(thread.map_err(|error| LogError::io("starting the index", &error))?);
        }
        Ok(())
    }

    fn join(&mut self, store: &Store, writes: &mut Writes) -> Result<(), LogError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or(Err(LogError::Failed))?;
        store.put_index_place(writes);
        Ok(())
    }

    /// Writes all that has gathered, so that the next start need not read it from the log.
    ///
    /// # Errors
    /// As [`Indexing::step`].
    pub(super) fn finish(&mut self, store: &Store, writes: &mut Writes) -> Result<(), LogError> {
        self.join(store, writes)?;
        if store.tail().open_rows() > 0 {
            let run: &Run = &store.tail().seal();
            store.write_run(run)?;
            store.put_index_place(writes);
        }
        Ok(())
    }
}
