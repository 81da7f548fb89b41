//! The thread that writes: group commit without a timer.
//!
//! It takes what has gathered while the previous sync ran, writes all of it at once, syncs once, and says how far the
//! log is durable now. Under no load a command waits for one sync; under load a sync carries thousands.
//!
//! The contract of durability is that of the [floor](super). What fails here, or panics, ends all writing.

mod arrivals;
mod gathering;
mod indexing;
mod stepped;

use std::rc::Rc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

use crate::types::{Sequence, Timestamp};

use super::access::AccessBlock;
use super::batch::{BATCH_EVENTS_LIMIT, BatchHead, encode_batch};
use super::encoded::Encoded;
use super::index::{Row, row};
use super::key::{access_key, log_key};
use super::snapshot::{SnapshotChunk, SnapshotEnd};
use super::store::Head;
use super::writes::{Area, Writes};
use super::{LogError, Store};

use arrivals::Arrivals;
use gathering::{Gathered, Gathering};
use indexing::{Indexing, RUN_ROWS};
pub use stepped::{LaneEnd, SteppedCommitter};

/// What a shard hands to the committer.
#[derive(Debug)]
pub enum Append {
    /// Events with their places and times.
    Events(Encoded),
    /// A block of the access journal.
    Access(AccessBlock),
    /// A part of a snapshot.
    Snapshot(SnapshotChunk),
    /// A shard has sent all its parts.
    SnapshotEnd(SnapshotEnd),
    /// Commit what is there, and stop.
    Stop,
}

/// Who wants to know how far the log is durable. Called on the committer's thread, so it must not block.
pub trait CommitSink {
    /// Every event up to this one is on disk.
    fn durable(&self, up_to: Sequence);

    /// Nothing more will be durable (P7). Called once, and nothing after it.
    fn failed(&self, error: &LogError);

    /// A snapshot counts from now on; the tail begins behind `start`.
    fn snapshot_complete(&self, snapshot: u64, start: Sequence) {
        let _ = (snapshot, start);
    }

    /// A snapshot will not count: a newer one began before it was complete, or a chunk of it is missing.
    fn snapshot_abandoned(&self, snapshot: u64) {
        let _ = snapshot;
    }
}

/// The bounds of the committer.
#[derive(Clone, Copy, Debug)]
pub struct CommitterOptions {
    /// Messages that may wait; beyond, a shard gets its message back.
    pub lane_messages: usize,
    /// Events in one commit. More would make the first of them wait for long.
    pub commit_events_max: usize,
    /// Bytes in one commit, roughly, for the same reason.
    pub commit_bytes_max: usize,
    /// Events in one batch. Reading one event reads its batch; more of them compress better.
    pub batch_events_max: usize,
    /// Entries of the AUDIT index that gather in memory before they are written.
    pub index_rows: usize,
    /// For how long the access journal is kept, in ms.
    pub access_retention_ms: u64,
    /// The clock, for the times of commits.
    pub now: fn() -> Timestamp,
}

/// How soon the committer notices, with nothing else to do, that a part of the index was written, or was not.
const INDEX_LOOKED_AT: Duration = Duration::from_millis(50);
/// How often old blocks of the access journal are deleted: each time costs readers a little.
const RETENTION_EVERY_MS: u64 = 3_600_000;

impl Default for CommitterOptions {
    fn default() -> CommitterOptions {
        CommitterOptions {
            lane_messages: 4096,
            commit_events_max: 10_000,
            commit_bytes_max: 8 << 20,
            batch_events_max: 64,
            index_rows: RUN_ROWS,
            access_retention_ms: 7 * 24 * RETENTION_EVERY_MS,
            now: system_time,
        }
    }
}

fn system_time() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The way to the committer. Clones lead to the same one.
#[derive(Clone)]
pub struct Lane(Sender<Append>);

/// A message that was not taken, given back.
#[derive(Debug)]
pub enum NotSent {
    /// Too many wait already; try again after the next `durable`.
    Full(Append),
    /// The committer has stopped or failed.
    Closed(Append),
}

impl Lane {
    /// How many messages wait in it now.
    pub fn waiting(&self) -> usize {
        self.0.len()
    }

    /// Hands over a message without waiting.
    ///
    /// # Errors
    /// Gives it back when the lane is full or closed.
    #[allow(clippy::result_large_err, reason = "the message is what the caller wants back")]
    pub fn try_send(&self, append: Append) -> Result<(), NotSent> {
        self.0.try_send(append).map_err(|error| match error {
            TrySendError::Full(append) => NotSent::Full(append),
            TrySendError::Disconnected(append) => NotSent::Closed(append),
        })
    }
}

/// Starts committers.
pub struct Committer;

/// A committer that runs.
pub struct CommitterHandle {
    lane: Lane,
    thread: JoinHandle<Result<Sequence, LogError>>,
}

impl Committer {
    /// Starts the thread. A store MUST have one committer at the most.
    ///
    /// # Errors
    /// When the head of the log cannot be read or the thread not be made.
    pub fn start(
        store: Store,
        options: CommitterOptions,
        sink: impl CommitSink + Send + 'static,
    ) -> Result<CommitterHandle, LogError> {
        store.load_index(Some(options.index_rows.max(1)))?;
        let head = store.head()?;
        let (sender, receiver) = bounded(options.lane_messages.max(1));
        // The access journal's keys must not repeat those of an earlier run.
        let counter = getrandom::u32().map_err(|error| LogError::io("asking the system for randomness", &error))?;
        let body = move || {
            let sink = Rc::new(sink);
            let _alarm = Alarm { store: store.clone(), sink: Rc::clone(&sink) };
            let mut work = Work::new(store, options, Rc::clone(&sink), receiver, head, counter);
            let outcome = work.run();
            if let Err(error) = &outcome {
                work.store.latch();
                sink.failed(error);
            }
            outcome.map(|()| work.head.last)
        };
        let thread = thread::Builder::new()
            .name("committer".to_owned())
            .spawn(body)
            .map_err(|error| LogError::io("starting the committer", &error))?;
        Ok(CommitterHandle { lane: Lane(sender), thread })
    }
}

impl CommitterHandle {
    /// A way to the committer.
    pub fn lane(&self) -> Lane {
        self.lane.clone()
    }

    /// Hands over a message without waiting.
    ///
    /// # Errors
    /// As [`Lane::try_send`].
    #[allow(clippy::result_large_err, reason = "the message is what the caller wants back")]
    pub fn try_send(&self, append: Append) -> Result<(), NotSent> {
        self.lane.try_send(append)
    }

    /// Has everything committed that is in the lane and has no gap before it, and waits for that. Blocks.
    ///
    /// # Errors
    /// What ended the committer, if it had failed. `Ok` names the last durable event.
    pub fn stop(self) -> Result<Sequence, LogError> {
        // A committer that has failed takes no message; the join tells why.
        let _ = self.lane.0.send(Append::Stop);
        self.thread.join().unwrap_or(Err(LogError::Failed))
    }
}

/// Turns a panic of the committer's thread into the failure of the store.
struct Alarm<S: CommitSink> {
    store: Store,
    sink: Rc<S>,
}

impl<S: CommitSink> Drop for Alarm<S> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.store.latch();
            self.sink.failed(&LogError::Failed);
        }
    }
}

/// What the thread holds.
struct Work<S: CommitSink> {
    store: Store,
    options: CommitterOptions,
    sink: Rc<S>,
    lane: Receiver<Append>,
    /// Where the log ends on disk.
    head: Head,
    arrivals: Arrivals,
    gathering: Option<Gathering>,
    access_counter: u32,
    retained_at: Timestamp,
    writes: Writes,
    /// The entries of the commit are gathered here; kept for its memory.
    rows: Vec<Row>,
    indexing: Indexing,
    stopping: bool,
}

impl<S: CommitSink> Work<S> {
    fn new(
        store: Store,
        options: CommitterOptions,
        sink: Rc<S>,
        lane: Receiver<Append>,
        head: Head,
        access_counter: u32,
    ) -> Work<S> {
        let batch_events_max = options.batch_events_max.clamp(1, BATCH_EVENTS_LIMIT);
        Work {
            store,
            options: CommitterOptions { batch_events_max, ..options },
            sink,
            lane,
            head,
            arrivals: Arrivals::behind(head.last, head.last_time),
            gathering: None,
            access_counter,
            retained_at: Timestamp::ZERO,
            writes: Writes::new(),
            rows: Vec::new(),
            indexing: Indexing::new(options.index_rows),
            stopping: false,
        }
    }

    fn run(&mut self) -> Result<(), LogError> {
        loop {
            self.gather()?;
            self.commit()?;
            if self.stopping && self.arrivals.is_empty() && self.lane.is_empty() {
                return self.finish();
            }
        }
    }

    fn finish(&mut self) -> Result<(), LogError> {
        self.indexing.finish(&self.store, &mut self.writes)?;
        if self.writes.is_empty() { Ok(()) } else { self.store.write(&self.writes) }
    }

    /// Waits for one message if there is nothing to do, then takes what else is there.
    fn gather(&mut self) -> Result<(), LogError> {
        if self.arrivals.is_empty() && !self.stopping {
            let received = if self.indexing.is_busy() {
                self.lane.recv_timeout(INDEX_LOOKED_AT)
            } else {
                self.lane.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match received {
                Ok(append) => self.take(append)?,
                Err(RecvTimeoutError::Timeout) => {}
                // Everybody who could send has gone.
                Err(RecvTimeoutError::Disconnected) => self.stopping = true,
            }
        }
        let (events_max, bytes_max) = (self.options.commit_events_max, self.options.commit_bytes_max);
        while !self.arrivals.fill(events_max, bytes_max) && self.writes.len_bytes() < bytes_max {
            let Ok(append) = self.lane.try_recv() else { break };
            self.take(append)?;
        }
        Ok(())
    }

    fn take(&mut self, append: Append) -> Result<(), LogError> {
        let gathered = match append {
            Append::Events(events) => {
                self.arrivals.push(&events)?;
                Gathered::Waiting
            }
            Append::Access(block) => {
                self.access_counter = self.access_counter.wrapping_add(1);
                let key = block.key(self.access_counter);
                self.writes.put(Area::Access, &key, &block.into_stored());
                Gathered::Waiting
            }
            Append::Snapshot(chunk) => Gathering::chunk(&mut self.gathering, &chunk, &mut self.writes),
            Append::SnapshotEnd(end) => Gathering::end(&mut self.gathering, &end),
            Append::Stop => {
                self.stopping = true;
                Gathered::Waiting
            }
        };
        if let Gathered::Abandoned(snapshot) = gathered {
            self.sink.snapshot_abandoned(snapshot);
        }
        Ok(())
    }

    /// One write, one sync, and the news of it.
    fn commit(&mut self) -> Result<(), LogError> {
        let events = self.arrivals.take(self.options.commit_events_max, self.options.commit_bytes_max);
        let now = (self.options.now)();
        let head = self.add_events(&events, now)?;
        self.indexing.step(&self.store, &mut self.writes)?;
        let complete = Gathering::complete(&mut self.gathering, head.last, &mut self.writes);
        if self.writes.is_empty() {
            return Ok(());
        }
        self.add_retention(now);
        self.store.write(&self.writes)?;
        self.writes.clear();
        self.indexing.committed();
        self.head = head;
        // Before the news of it, so that whoever hears of an event finds it.
        self.store.index().add(&self.rows);
        self.rows.clear();
        if !events.is_empty() {
            self.sink.durable(head.last);
        }
        if let Some(marker) = complete {
            self.sink.snapshot_complete(marker.snapshot, marker.start);
        }
        self.arrivals.reuse(events);
        Ok(())
    }

    /// Adds the batches of these events and the new head to what is written next, and gathers their index.
    fn add_events(&mut self, events: &Encoded, now: Timestamp) -> Result<Head, LogError> {
        let mut head = self.head;
        for part in events.parts(self.options.batch_events_max) {
            let Some(last) = part.each.last() else { continue };
            let first = head.last.next();
            let committed = now.max(head.committed).max(last.time);
            let batch_head =
                BatchHead { log_id: self.store.identity().log_id, first, committed, previous: head.digest };
            let encode = |into: &mut Vec<u8>| encode_batch(&batch_head, part, into);
            let digest = self
                .writes
                .put_with(Area::Log, &log_key(first), encode)
                .map_err(|why| LogError::OutOfOrder { sequence: first, what: why.0 })?;
            for (position, placed) in (0_u16..).zip(part.each) {
                self.rows.push(row(placed.hash, placed.sequence, position));
            }
            head = Head { last: last.sequence, last_time: last.time, committed, batches: head.batches + 1, digest };
        }
        if head != self.head {
            head.put(&mut self.writes);
        }
        Ok(head)
    }

    /// Now and then, deletes what is old of the access journal along with what is written anyway.
    fn add_retention(&mut self, now: Timestamp) {
        if now.unix_ms().saturating_sub(self.retained_at.unix_ms()) < RETENTION_EVERY_MS {
            return;
        }
        self.retained_at = now;
        let oldest = Timestamp::from_unix_ms(now.unix_ms().saturating_sub(self.options.access_retention_ms));
        self.writes.delete_range(Area::Access, &access_key(Timestamp::ZERO, 0, 0), &access_key(oldest, 0, 0));
    }
}

#[cfg(test)]
mod tests;
