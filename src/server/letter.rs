//! What cores write to each other.

use crate::domain::{Asked, Outcome};

/// Whose command it is: a slot of a connection of a core. Connections are numbered once per core and never reused, so
/// an answer for one that is gone finds nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    /// The core that the connection belongs to.
    pub core: usize,
    /// The connection's number.
    pub connection: u64,
    /// The message's place in the conversation.
    pub slot: u64,
}

/// All that one core asks of another at one time, in order.
pub struct Questions {
    /// The core that asks.
    pub from: usize,
    /// What it asks, and for whom.
    pub questions: Vec<(Tag, Asked)>,
}

/// What one core tells another.
#[derive(Default)]
pub struct Answers {
    /// Answers, each for a slot of a connection of the receiver.
    pub answers: Vec<(Tag, Outcome)>,
    /// Connections of the receiver, once for each of their changes that has its place in the log now (or was denied),
    /// though perhaps not its answer: the connection's next change may go to another core.
    pub decided: Vec<u64>,
}

impl Answers {
    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.decided.is_empty()
    }
}
