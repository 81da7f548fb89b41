//! Deliberate bugs of the simulated wiring and disk: whoever tests the tester needs something to be found.

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// Events count as durable as soon as they are handed to the log.
    AnswerBeforeSync,
    /// A write that failed is told as if it had not.
    FailureHidden,
    /// A core that rests does not hear its bell.
    LostWakeUp,
    /// A core does not see that something has gathered which it should decide.
    LostGathering,
    /// A core that decided another's changes does not always say so.
    LostDecided,
    /// A start does not remember nonces.
    NonceForgotten,
    /// A start does not know that it may have forgotten some.
    ForgottenForgotten,
    /// A commit lacks its new head now and then.
    HeadLeftOut,
    /// A part of the index lacks a row now and then.
    IndexLeftOut,
    /// A change does not wait for the one before it, which another core decides.
    OrderIgnored,
    /// A snapshot claims to begin where it ended.
    SnapshotTooYoung,
    /// Events count as durable while a slow disk still writes them.
    SyncNotAwaited,
    /// Letters from one core to another overtake each other.
    LettersReordered,
}

impl Bug {
    /// All of them, each with the seeds within which it must be found.
    pub const ALL: [(Bug, u64); 13] = [
        (Bug::AnswerBeforeSync, 50),
        (Bug::FailureHidden, 50),
        (Bug::LostWakeUp, 50),
        (Bug::LostGathering, 50),
        (Bug::LostDecided, 50),
        (Bug::NonceForgotten, 100),
        (Bug::ForgottenForgotten, 2000),
        (Bug::HeadLeftOut, 50),
        (Bug::IndexLeftOut, 50),
        (Bug::OrderIgnored, 50),
        (Bug::SnapshotTooYoung, 50),
        (Bug::SyncNotAwaited, 50),
        (Bug::LettersReordered, 200),
    ];
}
