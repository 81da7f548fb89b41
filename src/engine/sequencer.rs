//! The one place where events get their order.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::types::{Sequence, Timestamp};

/// Hands out places in the log, dense and in order, and times that never run backwards along them. All shards share
/// it. A shard that has taken a place MUST append an event there: the committer waits for it.
#[derive(Debug)]
pub struct Sequencer(Mutex<(Sequence, Timestamp)>);

impl Sequencer {
    /// Goes on behind the last event of a log.
    pub fn new(last: Sequence, last_time: Timestamp) -> Sequencer {
        Sequencer(Mutex::new((last, last_time)))
    }

    /// The next place, and the time of its event: `now`, or that of the event before if the clock went back.
    pub fn take(&self, now: Timestamp) -> (Sequence, Timestamp) {
        let mut last = self.lock();
        *last = (last.0.next(), last.1.max(now));
        *last
    }

    /// The last place that was taken.
    pub fn last(&self) -> Sequence {
        self.lock().0
    }

    /// A poisoned lock means that a shard panicked, which ends the process anyway.
    fn lock(&self) -> MutexGuard<'_, (Sequence, Timestamp)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
