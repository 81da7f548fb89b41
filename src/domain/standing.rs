//! What is true of an entity now.

use crate::types::attributes::{covers, object_text};
use crate::types::{Attributes, Kind, Sequence, Timestamp};

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
    /// The stored text of its [`Attributes`]; empty after removal.
    pub attributes: &'a str,
}

impl Standing<'_> {
    /// Whether the claim holds for this standing. An entity that is not registered fulfils none.
    ///
    /// `digest_of` is SHA-256, handed in so that this floor needs no cryptography.
    pub fn fulfils(&self, claim: &Claim, digest_of: impl Fn(&str) -> [u8; 32]) -> bool {
        self.registered
            && match claim {
                Claim::Registered => true,
                Claim::Attributes(asked) => covers(self.attributes, Attributes::as_str(asked)),
                Claim::Digest(digest) => digest_of(object_text(self.attributes)) == digest.0,
            }
    }
}
