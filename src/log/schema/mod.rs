//! Events as stored: frozen mirrors of [`Event`], one module per format version.
//!
//! Only this folder names rkyv, and only the log's floor calls it. A released version is never changed; a change of
//! [`Event`] makes a new version beside the old ones. The version is that of the batch around the events.
//!
//! May use: `types`, `domain`, rkyv. Never: trusts bytes. Access is always checked, since a checksum says that the
//! bytes are those that were written and not who wrote them.

mod v1;

use crate::domain::Event;

use super::fields::Malformed;

/// Appends the stored form of an event.
///
/// # Errors
/// When the memory for it cannot be had.
pub fn encode_event(event: &Event, into: &mut Vec<u8>) -> Result<(), Malformed> {
    v1::encode(event, into)
}

/// Reads an event from exactly its stored form.
///
/// # Errors
/// When the bytes are anything else than the stored form of one event.
pub fn decode_event(bytes: &[u8]) -> Result<Event, Malformed> {
    v1::decode(bytes)
}

#[cfg(test)]
mod tests;
