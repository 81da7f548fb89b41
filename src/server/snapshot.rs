//! Copies of the projections into the log's store, taken while the shards go on, so that a start need not replay
//! history.
//!
//! A snapshot is fuzzy: a shard copies its entities a few at a time between other work, each with the place of its last
//! event. That is enough, since what an event leaves is a function of the event alone: the tail from where the copying
//! began can be applied over whatever the copies already contain. What is new, or had to move, after the copying began is not
//! copied at all: its event is in that tail.

use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::log::{Append, SnapshotEntry, SnapshotNonce, SnapshotWriter};
use crate::projection::{Current, Nonces, Remembered, STRIPES, Walk};
use crate::runtime::uring;
use crate::types::Sequence;

use super::core::Core;

/// Entities copied in one go: a fraction of a millisecond.
const SLICE_ENTITIES: usize = 2048;
/// Pause between two slices, for everything else.
const PAUSE: Duration = Duration::from_millis(1);
/// Length of a stored chunk.
const CHUNK_BYTES: usize = 256 * 1024;
/// How long a chunk waits for a moment in which few messages wait: under steady load there may be none, and a snapshot
/// that never ends makes every start longer.
/// With 256 KiB each 20 ms, a million entities take some five seconds then.
const PATIENCE: Duration = Duration::from_millis(20);
/// Messages that may wait in the committer's lane before another chunk is added: events must not queue behind many.
const QUEUED_MAX: usize = 4;

/// Begins a snapshot of all shards if the last one is old enough. Called on one core only.
pub(super) fn begin_if_due(core: &Core) {
    let shared = &core.shared;
    let durable = shared.progress.durable().value();
    let last_start = shared.snapshot_start.load(Ordering::Acquire);
    let open = shared.snapshot_open.load(Ordering::Acquire);
    if open > 0 || shared.progress.stopping() || durable.saturating_sub(last_start) < core.settings.snapshot_events {
        return;
    }
    shared.snapshot_open.store(shared.mesh.cores(), Ordering::Release);
    // Everything durable has long taken effect in memory, so it is in every copy that begins now.
    shared.snapshot_start.store(durable, Ordering::Release);
    shared.snapshot.fetch_add(1, Ordering::AcqRel);
    tracing::info!(start = durable, "snapshot begun");
}

/// Copies this core's share into snapshot `number`.
pub(super) async fn take(core: Rc<Core>, nonces: std::sync::Arc<Nonces>, number: u64) {
    let start = Sequence::new(core.shared.snapshot_start.load(Ordering::Acquire));
    let cores = core.shared.mesh.cores();
    let mut writer = SnapshotWriter::new(number, u16::try_from(core.index).unwrap_or(u16::MAX));
    let mut walk = core.brain.borrow().as_ref().map(|brain| brain.engine.table().walk());
    while let Some(here) = walk {
        if core.shared.progress.stopping() {
            // A snapshot without its end does not count; the next start replays a longer tail.
            return;
        }
        walk = core.brain.borrow().as_ref().and_then(|brain| copy_slice(brain.engine.table(), here, &mut writer));
        if writer.len_bytes() >= CHUNK_BYTES {
            send(&core, &mut writer).await;
        }
        uring::sleep(PAUSE).await;
    }
    for stripe in (core.index..STRIPES).step_by(cores) {
        if core.shared.progress.stopping() {
            return;
        }
        nonces.visit(stripe, &mut |seen| {
            let Remembered { nonce, fingerprint, sequence, time } = seen;
            writer.nonce(&SnapshotNonce { nonce, fingerprint, sequence, time });
        });
        if writer.len_bytes() >= CHUNK_BYTES {
            send(&core, &mut writer).await;
        }
        uring::sleep(PAUSE).await;
    }
    send(&core, &mut writer).await;
    core.append(Append::SnapshotEnd(writer.end(u16::try_from(cores).unwrap_or(u16::MAX), start)));
    core.flush();
    core.shared.snapshot_open.fetch_sub(1, Ordering::AcqRel);
}

fn copy_slice(table: &Current, from: Walk, writer: &mut SnapshotWriter) -> Option<Walk> {
    table.visit(from, SLICE_ENTITIES, &mut |hash, text, standing| {
        writer.entry(&SnapshotEntry::of(hash, text, standing));
    })
}

/// Gives the chunk to the committer, and waits while too many wait there already.
async fn send(core: &Core, writer: &mut SnapshotWriter) {
    if let Some(chunk) = writer.take_chunk() {
        core.append(Append::Snapshot(chunk));
        core.flush();
    }
    let until = Instant::now() + PATIENCE;
    let is_busy = || core.lane_waiting() > QUEUED_MAX && Instant::now() < until;
    while (core.unsent_appends() > 0 || is_busy()) && !core.shared.progress.failed() && !core.shared.progress.stopping()
    {
        uring::sleep(PAUSE).await;
        core.flush();
    }
}
