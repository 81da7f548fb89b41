//! The time, read once for all that a core does together.
//!
//! Reading a clock takes about as long as looking an entity up. So all that gathers until it is decided has one moment,
//! by both clocks. Whoever decides [forgets](Clock::forget) it first, so that a decision never has a time before its
//! question has come.

use std::cell::Cell;
use std::time::Instant;

use crate::types::Timestamp;

/// The clocks of one core.
pub(super) struct Clock {
    read: fn() -> Timestamp,
    moment: Cell<Option<Moment>>,
}

/// One moment.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// By the clock that peers see, which may be set.
    pub(super) time: Timestamp,
    /// By one that nobody sets.
    pub(super) instant: Instant,
}

impl Clock {
    /// Clocks of which `read` is the one that peers see.
    pub(super) fn new(read: fn() -> Timestamp) -> Clock {
        Clock { read, moment: Cell::new(None) }
    }

    /// The moment that was read, if it is not forgotten, or else this one.
    pub(super) fn moment(&self) -> Moment {
        if let Some(moment) = self.moment.get() {
            return moment;
        }
        let moment = Moment { time: (self.read)(), instant: Instant::now() };
        self.moment.set(Some(moment));
        moment
    }

    /// Has the next [`moment`](Self::moment) read anew.
    pub(super) fn forget(&self) {
        self.moment.set(None);
    }

    /// Whether a moment was read and not forgotten.
    pub(super) fn stands(&self) -> bool {
        self.moment.get().is_some()
    }
}
