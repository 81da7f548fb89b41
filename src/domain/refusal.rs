//! Why a well-formed command was denied.

use crate::types::Timestamp;

/// A denied command, with what its asker may know. The order of the variants is the order of precedence: of two
/// causes the first is named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// `ts` lies further from the server's clock than the replay window.
    StaleTimestamp {
        /// The server's clock, so that the peer can set its own.
        now: Timestamp,
    },
    /// The nonce belongs to another command of the same principal.
    NonceReused,
    /// More commands with nonces than can be remembered came within the replay window.
    TooManyNonces,
    /// The entity is registered already.
    AlreadyRegistered,
    /// The entity was never registered.
    UnknownEntity,
    /// The entity is not registered (any more, or at the moment asked about).
    NotRegistered,
    /// Only who registered the entity may remove it.
    NotRegistrant,
    /// The moment asked about has not come.
    AtInFuture,
}
