//! What all threads of the server see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::log::{CommitSink, LogError};
use crate::runtime::{Mesh, Progress};
use crate::types::Sequence;
use crossbeam::channel::Sender;

use super::letter::{Answers, Questions};

/// What the main thread waits for.
#[derive(Debug)]
pub(super) enum Happened {
    /// SIGTERM or SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// The log can no longer be written.
    Failed(String),
    /// A thread of the server ended although nobody stopped it.
    ThreadEnded(String),
}

/// What any thread may look at.
pub(super) struct Shared {
    pub(super) mesh: Arc<Mesh<Questions, Answers>>,
    pub(super) progress: Progress<Questions, Answers>,
    /// Connections of all cores.
    pub(super) connections: AtomicUsize,
    /// Commands that were accepted and given up at the end of the drain.
    pub(super) unanswered: AtomicUsize,
    /// Answers that their peers had not taken at the end of the drain.
    pub(super) untaken: AtomicUsize,
    /// The snapshot that the cores should take or have taken; 0: none yet.
    pub(super) snapshot: AtomicU64,
    /// Where that snapshot begins: every event up to here is in it.
    pub(super) snapshot_start: AtomicU64,
    /// Cores that have still to finish that snapshot.
    pub(super) snapshot_open: AtomicUsize,
    /// The last snapshot of which the committer has said what became of it.
    pub(super) snapshot_settled: AtomicU64,
    happened: Sender<Happened>,
}

impl Shared {
    pub(super) fn new(mesh: Arc<Mesh<Questions, Answers>>, happened: Sender<Happened>) -> Arc<Shared> {
        Arc::new(Shared {
            progress: Progress::new(Arc::clone(&mesh)),
            mesh,
            connections: AtomicUsize::new(0),
            unanswered: AtomicUsize::new(0),
            untaken: AtomicUsize::new(0),
            snapshot: AtomicU64::new(0),
            snapshot_start: AtomicU64::new(0),
            snapshot_open: AtomicUsize::new(0),
            snapshot_settled: AtomicU64::new(0),
            happened,
        })
    }

    pub(super) fn tell(&self, happened: Happened) {
        // The main thread is gone only when the process ends.
        let _ = self.happened.send(happened);
    }
}

/// How the committer tells the cores what is durable.
pub(super) struct Sink(pub(super) Arc<Shared>);

impl CommitSink for Sink {
    fn durable(&self, up_to: Sequence) {
        self.0.progress.set_durable(up_to);
    }

    fn snapshot_complete(&self, snapshot: u64, start: Sequence) {
        self.0.snapshot_settled.fetch_max(snapshot, Ordering::AcqRel);
        tracing::info!(snapshot, start = start.value(), "snapshot complete");
    }

    fn snapshot_abandoned(&self, snapshot: u64) {
        self.0.snapshot_settled.fetch_max(snapshot, Ordering::AcqRel);
        tracing::info!(snapshot, "snapshot given up");
    }

    fn failed(&self, error: &LogError) {
        self.0.progress.fail();
        self.0.tell(Happened::Failed(error.to_string()));
    }
}
