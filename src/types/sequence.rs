//! Places in the log.

use std::fmt;

/// The dense position of an event in the log, assigned in commit order. The first event has 1; 0 means
/// "before everything" and is the sequence of an empty log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Sequence(u64);

impl Sequence {
    /// The place before the first event.
    pub const ZERO: Sequence = Sequence(0);

    /// The place with this number.
    pub const fn new(value: u64) -> Sequence {
        Sequence(value)
    }

    /// The number of this place.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// The place behind this one.
    ///
    /// # Panics
    /// After 2^64 - 1 events, which at ten million a second takes 58,000 years.
    #[must_use]
    pub const fn next(self) -> Sequence {
        match self.0.checked_add(1) {
            Some(value) => Sequence(value),
            None => panic!("the log is full: 2^64 - 1 events"),
        }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
