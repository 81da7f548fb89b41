//! The standing that an event leaves.

use super::{Change, Event, Standing};

/// The standing of `event.entity` after `event`. A function of the event alone: each event carries all that remains
/// of an entity after it, so a snapshot may overlap the tail that is applied to it.
pub fn apply(event: &Event) -> Standing<'_> {
    let (registered, registrant, attributes) = match &event.change {
        Change::Registered { attributes } => (true, event.principal.name(), attributes.as_str()),
        Change::Removed => (false, "", ""),
    };
    Standing {
        kind: event.entity.kind().clone(),
        registered,
        sequence: event.sequence,
        updated: event.time,
        registrant,
        attributes,
    }
}
