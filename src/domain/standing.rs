//! What is true of an entity now.

use crate::types::{Attributes, Fingerprint, HashKey, Kind, Sequence, Timestamp};

use super::command::Claim;

/// The current state of one entity that has ever been registered. Borrowed from the table's packed record or from
/// the event that made it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing<'a> {
    /// The kind it was last registered as.
    pub kind: Kind,
    /// Whether it is registered now; if not, this is what remains of a removed entity.
    pub registered: bool,
    /// The place of the last event about it.
    pub sequence: Sequence,
    /// The time of the last event about it.
    pub updated: Timestamp,
    /// The name of the principal who registered it; empty for the anonymous one, and after removal.
    pub registrant: &'a str,
    /// What stands for its attributes, which are in its last event; `None` where it has none, and after removal.
    pub attributes: Option<Fingerprint>,
}

impl Standing<'_> {
    /// Whether the claim holds for this standing, as far as it can be told without the attributes themselves. `None`:
    /// the last event of the entity must be read. An entity that is not registered fulfils no claim.
    ///
    /// `key` is that of the fingerprint. `digest_of` is SHA-256, handed in so that this floor needs no cryptography.
    pub fn fulfils(&self, claim: &Claim, key: HashKey, digest_of: impl Fn(&str) -> [u8; 32]) -> Option<bool> {
        match (claim, self.attributes) {
            _ if !self.registered => Some(false),
            (Claim::Registered, _) => Some(true),
            (Claim::Attributes(asked), _) if asked.is_empty() => Some(true),
            (_, None) => Some(claim.holds_for(&Attributes::none(), digest_of)),
            // Exactly what is registered. A part of it may be claimed as well, and another fingerprint does not tell.
            (Claim::Attributes(asked), known) if key.fingerprint(asked.as_str()) == known => Some(true),
            (Claim::Attributes(_) | Claim::Digest(_), Some(_)) => None,
        }
    }
}
