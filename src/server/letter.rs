//! What cores write to each other.

use crate::domain::{Asked, Outcome};

/// Whose command it is: a slot of a connection of a core. Connections are numbered once per core and never reused, so
/// an answer for one that is gone finds nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tag {
    pub(super) core: usize,
    pub(super) connection: u64,
    pub(super) slot: u64,
}

/// All that one core asks of another at one time, in order.
pub(super) struct Questions {
    pub(super) from: usize,
    pub(super) questions: Vec<(Tag, Asked)>,
}

/// What one core tells another.
#[derive(Default)]
pub(super) struct Answers {
    /// Answers, each for a slot of a connection of the receiver.
    pub(super) answers: Vec<(Tag, Outcome)>,
    /// Connections of the receiver, once for each of their changes that has its place in the log now (or was denied),
    /// though perhaps not its answer: the connection's next change may go to another core.
    pub(super) decided: Vec<u64>,
}

impl Answers {
    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.decided.is_empty()
    }
}
