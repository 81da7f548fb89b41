//! How far the store has come, for all its threads to see: numbers that only grow, and flags that are only raised.
//!
//! Whoever changes one tells all cores, behind the change, so that none sleeps over it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::sync::{AtomicBool, AtomicU64, AtomicUsize};
use crate::types::Sequence;

use super::Mesh;

/// What all cores act on.
pub struct Progress<Q, A> {
    mesh: Arc<Mesh<Q, A>>,
    durable: AtomicU64,
    failed: AtomicBool,
    stopping: AtomicBool,
    drained: AtomicUsize,
}

impl<Q, A> Progress<Q, A> {
    /// Nothing durable, nothing failed, nobody stopping.
    pub fn new(mesh: Arc<Mesh<Q, A>>) -> Progress<Q, A> {
        Progress {
            mesh,
            durable: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            drained: AtomicUsize::new(0),
        }
    }

    /// Everything up to here is on disk, and whoever reads this finds it there.
    pub fn durable(&self) -> Sequence {
        Sequence::new(self.durable.load(Ordering::Acquire))
    }

    /// Publishes that everything up to here is on disk.
    pub fn set_durable(&self, up_to: Sequence) {
        // Not `fetch_max`, which is the same, and which ThreadSanitizer does not see.
        let later = |durable: u64| Some(durable.max(up_to.value()));
        let _ = self.durable.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
        self.mesh.tell_all();
    }

    /// Whether a write failed.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Says that a write failed: nothing more will be durable.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
        self.mesh.tell_all();
    }

    /// Whether the server stops: no new connections, no more reading; answer what was accepted, and end.
    pub fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Begins the stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.mesh.tell_all();
    }

    /// Says that the connections of one more core have all ended.
    pub fn drain(&self) {
        self.drained.fetch_add(1, Ordering::AcqRel);
        self.mesh.tell_all();
    }

    /// Whether the connections of all cores have ended, so that no core will be asked anything any more.
    pub fn all_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire) >= self.mesh.cores()
    }
}
