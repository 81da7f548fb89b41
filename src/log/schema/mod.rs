//! Events as stored: frozen mirrors of [`Event`], one module per format version.
//!
//! Only this folder names rkyv, and only the log's floor calls it. A released version is never changed; a change of
//! [`Event`] makes a new version beside the old ones. The version is that of the batch around the events.
//!
//! May use: `types`, `domain`, rkyv. Never: trusts bytes. Reading always checks, since a checksum says that the
//! bytes are those that were written and not who wrote them.

mod v1;

use crate::domain::{Change, Event, EventRef, Standing, standing_after};
use crate::types::{Attributes, Entity, HashKey, Kind, Nonce, Once, Principal, Sequence, Timestamp};

use super::fields::Malformed;

const INVALID_NONCE: Malformed = Malformed("an event's nonce is invalid");

/// An event as it stands in a batch, read without copying its texts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredEvent<'a> {
    /// Its place in the log.
    pub sequence: Sequence,
    /// When it was decided.
    pub time: Timestamp,
    /// The name of the principal; empty for the anonymous one.
    pub actor: &'a str,
    /// The nonce; empty for none.
    pub nonce: &'a str,
    /// When the command with that nonce was made.
    pub made: Timestamp,
    /// The canonical text of the entity.
    pub entity: &'a str,
    /// Its kind.
    pub kind: Kind,
    /// The attributes with which its life began; `None` where it ended.
    pub attributes: Option<&'a str>,
}

impl<'a> StoredEvent<'a> {
    /// Whether all of it is what an event has. Reading looks at everything but the alphabet of the nonce.
    ///
    /// # Errors
    /// When the nonce is none.
    pub fn check(&self) -> Result<(), Malformed> {
        match self.nonce {
            "" => Ok(()),
            text => Nonce::check(text).map_err(|_| INVALID_NONCE),
        }
    }

    /// What [`apply`](crate::domain::apply()) makes of the event that was stored.
    pub fn standing(&self, key: HashKey) -> Standing<'a> {
        let began = self.attributes.map(|attributes| (self.actor, key.fingerprint(attributes)));
        standing_after(self.sequence, self.time, self.kind.clone(), began)
    }

    /// The event that was stored.
    ///
    /// # Errors
    /// When the nonce is none.
    pub fn into_event(self) -> Result<Event, Malformed> {
        let once = match self.nonce {
            "" => None,
            text => {
                let nonce = Nonce::parse(text).map_err(|_| INVALID_NONCE)?;
                Some(Once { made: self.made, nonce })
            }
        };
        Ok(Event {
            sequence: self.sequence,
            time: self.time,
            principal: Principal::from_name(self.actor),
            once,
            entity: Entity::from_canonical(self.kind, self.entity),
            change: match self.attributes {
                Some(text) => Change::Registered { attributes: Attributes::from_canonical(text) },
                None => Change::Removed,
            },
        })
    }
}

/// Appends the stored form of an event.
///
/// # Errors
/// When its texts have more than 1 GiB.
#[inline]
pub fn encode_event(event: &EventRef<'_>, into: &mut Vec<u8>) -> Result<(), Malformed> {
    v1::encode(event, into)
}

/// Reads an event from exactly its stored form.
///
/// # Errors
/// When the bytes are anything else than the stored form of one event.
pub fn read_event(bytes: &[u8]) -> Result<StoredEvent<'_>, Malformed> {
    v1::read(bytes)
}

#[cfg(test)]
mod tests;
