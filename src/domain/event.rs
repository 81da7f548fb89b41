//! What happened.

use crate::types::{Attributes, Entity, Once, Principal, Sequence, Timestamp};

/// A change that took effect. State is a function of the events and of nothing else (P3).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Its place in the log.
    pub sequence: Sequence,
    /// When it was decided, by the server's clock. Never runs backwards along the log.
    pub time: Timestamp,
    /// On whose behalf.
    pub principal: Principal,
    /// What makes its repetition recognizable, if the command carried it.
    pub once: Option<Once>,
    /// To what.
    pub entity: Entity,
    /// What.
    pub change: Change,
}

/// What an event did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A life of the entity began.
    Registered {
        /// What is known about it.
        attributes: Attributes,
    },
    /// The life of the entity ended.
    Removed,
}
