//! All that the store may have to say to a face.

use crate::types::{Entity, Kind, Sequence, Timestamp};

use super::{Changes, Event, Lookups, Refusal};

/// The end of a command, in the domain's words. A face turns it into its protocol's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The entity was registered.
    Registered {
        /// The entity in canonical form.
        entity: Entity,
        /// The place of the event.
        sequence: Sequence,
        /// The time of the event.
        time: Timestamp,
        /// Whether this repeats an earlier answer (P8).
        replayed: bool,
    },
    /// The entity was removed.
    Removed {
        /// The entity in canonical form.
        entity: Entity,
        /// The place of the event.
        sequence: Sequence,
        /// The time of the event.
        time: Timestamp,
        /// Whether this repeats an earlier answer (P8).
        replayed: bool,
    },
    /// The entity is registered; whether as claimed is inside.
    Verified(Verified),
    /// What was found of the names of a bulk lookup, or of some of them.
    VerifiedMany(Box<Lookups>),
    /// What was found by lookups that are answered one by one, or by some of them.
    VerifiedEach(Box<Lookups>),
    /// What came of changes that are answered one by one, or of some of them.
    Changed(Box<Changes>),
    /// A page of history.
    Audited(Box<HistoryPage>),
    /// The command was denied.
    Refused(Refusal),
    /// The store could not do it.
    Unavailable(Unavailable),
}

/// What came of a change that was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Changed {
    /// Nobody has decided it yet.
    #[default]
    Undecided,
    /// It took effect.
    Happened {
        /// The place of the event.
        sequence: Sequence,
        /// The time of the event.
        time: Timestamp,
        /// Whether this repeats an earlier answer (P8).
        replayed: bool,
    },
    /// It was denied.
    Refused(Refusal),
    /// The store could not do it.
    Unavailable(Unavailable),
}

/// What VERIFY says of an entity that is registered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// Whether the claim holds.
    pub verified: bool,
    /// Its kind.
    pub kind: Kind,
    /// When its state last changed.
    pub last_updated: Timestamp,
}

/// A page of history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryPage {
    /// The entity in canonical form.
    pub entity: Entity,
    /// Its events, in the order asked for.
    pub events: Vec<Event>,
    /// The last event of this page, if more follow.
    pub next: Option<Sequence>,
}

/// Why the store could not do what it would have allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unavailable {
    /// Too much waits already; ask again later.
    Overloaded,
    /// The store is stopping.
    Stopping,
    /// A write or a read of the disk failed; nothing more is promised.
    Failed,
}
