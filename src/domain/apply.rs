//! The standing that an event leaves.

use crate::types::HashKey;

use super::{Change, Event, Standing};

/// The standing of `event.entity` after `event`, under the store's key. A function of the event alone: each event
/// carries all that remains of an entity after it, so a snapshot may overlap the tail that is applied to it.
pub fn apply(event: &Event, key: HashKey) -> Standing<'_> {
    let (registered, registrant, attributes) = match &event.change {
        Change::Registered { attributes } => (true, event.principal.name(), key.fingerprint(attributes)),
        Change::Removed => (false, "", None),
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
