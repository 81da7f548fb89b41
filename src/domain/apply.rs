//! The standing that an event leaves.

use crate::types::{Fingerprint, HashKey, Kind, Sequence, Timestamp};

use super::{Change, Event, Standing};

/// The standing of `event.entity` after `event`, under the store's key. A function of the event alone: each event
/// carries all that remains of an entity after it, so a snapshot may overlap the tail that is applied to it.
pub fn apply(event: &Event, key: HashKey) -> Standing<'_> {
    let began = match &event.change {
        Change::Registered { attributes } => Some((event.principal.name(), key.fingerprint(attributes.as_str()))),
        Change::Removed => None,
    };
    standing_after(event.sequence, event.time, event.entity.kind().clone(), began)
}

/// The same from the parts of an event: its place and time, the kind of the entity, and with what a life began, if that
/// is what happened: the name of the principal, and the fingerprint of the attributes.
pub fn standing_after<'a>(
    sequence: Sequence,
    time: Timestamp,
    kind: Kind,
    began: Option<(&'a str, Option<Fingerprint>)>,
) -> Standing<'a> {
    let (registrant, attributes) = began.unwrap_or_default();
    Standing { kind, registered: began.is_some(), sequence, updated: time, registrant, attributes }
}
