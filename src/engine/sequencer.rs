//! The one place where events get their order.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::sync::{AtomicU64, Mutex};
use crate::types::{Sequence, Timestamp};

/// Hands out places in the log, dense and in order, and times that never run backwards along them. All shards share
/// it. A shard that has taken a place MUST append an event there: the committer waits for it.
#[derive(Debug)]
pub struct Sequencer {
    taken: Mutex<(Sequence, Timestamp)>,
    /// The last place that was taken, for those who only look: lookups must not wait for changes.
    last: AtomicU64,
}

impl Sequencer {
    /// Goes on behind the last event of a log.
    pub fn new(last: Sequence, last_time: Timestamp) -> Sequencer {
        Sequencer { taken: Mutex::new((last, last_time)), last: AtomicU64::new(last.value()) }
    }

    /// The next place, and the time of its event: `now`, or that of the event before if the clock went back.
    pub fn take(&self, now: Timestamp) -> (Sequence, Timestamp) {
        // A poisoned lock means that a shard panicked, which ends the process anyway.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = (taken.0.next(), taken.1.max(now));
        self.last.store(taken.0.value(), Ordering::Release);
        *taken
    }

    /// The last place that was taken.
    pub fn last(&self) -> Sequence {
        Sequence::new(self.last.load(Ordering::Acquire))
    }
}
