//! Copies of the projections into the log's store, taken while the shards go on, so that a start need not replay
//! history.
//!
//! A snapshot is fuzzy: a shard copies its entities a few at a time between other work, each with the place of its last
//! event. That is enough, since what an event leaves is a function of the event alone: the tail from where the copying
//! began can be applied over whatever the copies already contain. What is new, or had to move, after the copying began is not
//! copied at all: its event is in that tail. Nor are nonces that were used by an event of that tail.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::log::{Append, SnapshotEntry, SnapshotNonce, SnapshotWriter};
use crate::projection::{NonceWalk, Nonces, Remembered, STRIPES, Walk};
use crate::runtime::uring;
use crate::types::Sequence;

use super::core::Core;
use super::shared::Shared;

/// Entities that are copied in one go: a fraction of a millisecond, and some 160 KiB.
const SLICE_ENTITIES: usize = 2048;
/// Nonces that take as long as an entity does, and as many bytes.
const NONCES_AN_ENTITY: usize = 2;
/// Pause between two slices, for everything else.
const PAUSE: Duration = Duration::from_millis(1);
/// Length from which on a chunk is stored: as slices are, each is one. It has a commit of its own if nothing else waits, and
/// what comes then waits for that.
const CHUNK_BYTES: usize = 64 * 1024;
/// How long a chunk waits for a moment in which few messages wait: under steady load there may be none, and a snapshot
/// that never ends makes every start longer.
/// With a slice each 8 ms, as it was measured under full load, a million entities take some four seconds, and a million
/// nonces two more.
const PATIENCE: Duration = Duration::from_millis(5);
/// Messages that may wait in the committer's lane before another chunk is added: events must not queue behind many.
const QUEUED_MAX: usize = 4;

/// Begins a snapshot of all shards if the last one is old enough. Called on one core only.
pub(super) fn begin_if_due(core: &Core, snapshot_events: u64) {
    let shared = &core.shared;
    if !shared.progress.stopping() && is_due(shared, snapshot_events) {
        begin(shared);
        tracing::info!(start = shared.snapshot_start.load(Ordering::Acquire), "snapshot begun");
    }
}

/// Whether so many events have come since the last snapshot began, and that one has come to its end on disk: a newer one
/// would take the place of one that is still to be written, and under steady load none would ever be whole.
fn is_due(shared: &Shared, snapshot_events: u64) -> bool {
    let last = shared.snapshot.load(Ordering::Acquire);
    let is_settled = shared.snapshot_settled.load(Ordering::Acquire) >= last;
    let start = shared.snapshot_start.load(Ordering::Acquire);
    let since = shared.progress.durable().value().saturating_sub(start);
    is_settled && shared.snapshot_open.load(Ordering::Acquire) == 0 && since >= snapshot_events
}

/// Begins a snapshot of all shards. None may be open.
pub(super) fn begin(shared: &Shared) {
    let durable = shared.progress.durable().value();
    shared.snapshot_open.store(shared.mesh.cores(), Ordering::Release);
    // Everything durable has long taken effect in memory, so it is in every copy that begins now.
    shared.snapshot_start.store(durable, Ordering::Release);
    shared.snapshot.fetch_add(1, Ordering::AcqRel);
}

/// A core's share of a snapshot that is being taken.
pub(super) struct Copying {
    writer: SnapshotWriter,
    start: Sequence,
    /// Where the copying of entities has come to; `None` behind the last.
    walk: Option<Walk>,
    /// What is left of the nonces. Of n cores each has every n-th of their stripes.
    nonces: Vec<NonceWalk>,
}

impl Copying {
    /// Begins the copying of this core's share into snapshot `number`.
    pub(super) fn begin(core: &Core, nonces: &Nonces, number: u64) -> Copying {
        let stripes = (core.index..STRIPES).step_by(core.shared.mesh.cores());
        Copying {
            writer: SnapshotWriter::new(number, u16::try_from(core.index).unwrap_or(u16::MAX)),
            start: Sequence::new(core.shared.snapshot_start.load(Ordering::Acquire)),
            walk: core.brain.borrow().as_ref().map(|brain| brain.engine.table().walk()),
            nonces: stripes.map(|stripe| nonces.walk(stripe)).collect(),
        }
    }

    /// Copies some entities, or behind the last of them as much of the nonces. Returns whether there is more to copy.
    pub(super) fn copy(&mut self, core: &Core, nonces: &Nonces, entities: usize) -> bool {
        if let Some(here) = self.walk {
            let brain = core.brain.borrow();
            self.walk = brain.as_ref().and_then(|brain| {
                brain.engine.table().visit(here, entities, &mut |hash, text, standing| {
                    self.writer.entry(&SnapshotEntry::of(hash, text, standing));
                })
            });
        } else if let Some(here) = self.nonces.pop() {
            let rest = nonces.visit(here, entities * NONCES_AN_ENTITY, &mut |seen| {
                let Remembered { nonce, fingerprint, sequence, time } = seen;
                if sequence <= self.start {
                    self.writer.nonce(&SnapshotNonce { nonce, fingerprint, sequence, time });
                }
            });
            self.nonces.extend(rest);
        }
        self.walk.is_some() || !self.nonces.is_empty()
    }

    /// Length of what was copied and not sent.
    pub(super) fn len_bytes(&self) -> usize {
        self.writer.len_bytes()
    }

    /// Queues what was copied for the log.
    pub(super) fn send(&mut self, core: &Core) {
        if let Some(chunk) = self.writer.take_chunk() {
            core.append(Append::Snapshot(chunk));
            core.flush();
        }
    }

    /// Says behind the last chunk that there are no more.
    pub(super) fn end(self, core: &Core) {
        let cores = u16::try_from(core.shared.mesh.cores()).unwrap_or(u16::MAX);
        core.append(Append::SnapshotEnd(self.writer.end(cores, self.start)));
        core.flush();
        core.shared.snapshot_open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Copies this core's share into snapshot `number`, a little at a time.
pub(super) async fn take(core: Rc<Core>, nonces: Arc<Nonces>, number: u64) {
    let mut copying = Copying::begin(&core, &nonces, number);
    loop {
        if core.shared.progress.stopping() {
            // A snapshot without its end does not count; the next start replays a longer tail.
            return;
        }
        let more = copying.copy(&core, &nonces, SLICE_ENTITIES);
        if !more || copying.len_bytes() >= CHUNK_BYTES {
            copying.send(&core);
            make_way(&core).await;
        }
        if !more {
            return copying.end(&core);
        }
        uring::sleep(PAUSE).await;
    }
}

/// Waits while too many messages wait for the committer already.
async fn make_way(core: &Core) {
    let until = Instant::now() + PATIENCE;
    let is_busy = || core.lane_waiting() > QUEUED_MAX && Instant::now() < until;
    while (core.unsent_appends() > 0 || is_busy()) && !core.shared.progress.failed() && !core.shared.progress.stopping()
    {
        uring::sleep(PAUSE).await;
        core.flush();
    }
}

#[cfg(test)]
mod tests {
    use crate::log::CommitSink as _;
    use crate::runtime::Mesh;

    use super::super::shared::Sink;
    use super::*;

    #[test]
    fn a_snapshot_waits_until_the_one_before_is_on_disk_or_given_up() {
        let (mesh, _ears) = Mesh::new(1).unwrap();
        let shared = Shared::new(mesh, crossbeam::channel::unbounded().0);
        let sink = Sink(Arc::clone(&shared));
        sink.durable(Sequence::new(99));
        assert!(!is_due(&shared, 100));
        sink.durable(Sequence::new(100));
        assert!(is_due(&shared, 100));
        let end: [fn(&Sink, u64); 2] = [
            |sink, number| sink.snapshot_complete(number, Sequence::ZERO),
            |sink, number| sink.snapshot_abandoned(number),
        ];
        for (number, end) in (1..).zip(end) {
            begin(&shared);
            sink.durable(Sequence::new(100 + 100 * number));
            assert!(!is_due(&shared, 100), "the core copies");
            shared.snapshot_open.fetch_sub(1, Ordering::AcqRel);
            assert!(!is_due(&shared, 100), "the committer writes");
            end(&sink, number);
            assert!(is_due(&shared, 100));
        }
    }
}
