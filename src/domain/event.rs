//! What happened.

use crate::types::{Attributes, Entity, Kind, Once, OnceRef, Principal, Sequence, Timestamp};

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

/// An event whose texts stand elsewhere, so that none of them is copied while it is decided, noted and encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventRef<'a> {
    /// As [`Event::sequence`].
    pub sequence: Sequence,
    /// As [`Event::time`].
    pub time: Timestamp,
    /// The name of the principal.
    pub principal: &'a str,
    /// As [`Event::once`].
    pub once: Option<OnceRef<'a>>,
    /// The canonical text of the entity.
    pub entity: &'a str,
    /// Its kind.
    pub kind: &'a Kind,
    /// The stored text of the attributes with which its life began; `None` where it ended.
    pub attributes: Option<&'a str>,
}

impl<'a> From<&'a Event> for EventRef<'a> {
    fn from(event: &'a Event) -> EventRef<'a> {
        EventRef {
            sequence: event.sequence,
            time: event.time,
            principal: event.principal.name(),
            once: event.once.as_ref().map(Once::as_ref),
            entity: event.entity.as_str(),
            kind: event.entity.kind(),
            attributes: match &event.change {
                Change::Registered { attributes } => Some(attributes.as_str()),
                Change::Removed => None,
            },
        }
    }
}

impl From<EventRef<'_>> for Event {
    fn from(event: EventRef<'_>) -> Event {
        Event {
            sequence: event.sequence,
            time: event.time,
            principal: Principal::from_name(event.principal),
            once: event.once.map(Once::from),
            entity: Entity::from_canonical(event.kind.clone(), event.entity),
            change: match event.attributes {
                Some(text) => Change::Registered { attributes: Attributes::from_canonical(text) },
                None => Change::Removed,
            },
        }
    }
}
