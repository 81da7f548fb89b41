//! Which log this is: made once, at random, and only checked afterwards.
//!
//! Stored under `identity` in the meta area:
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `RSEC` |
//! | 4 | 4 | format version, little-endian |
//! | 8 | 16 | id of the log |
//! | 24 | 16 | hash key |
//! | 40 | 32 | BLAKE3 of everything before it |
//!
//! Magic and version keep their place in every format, so that a store of a later one is named as such.

use crate::types::{HashKey, Sequence};

use super::error::LogError;
use super::fields::{Fields, Malformed, seal, unseal};

const MAGIC: [u8; 4] = *b"RSEC";
/// The newest format that this program reads, and the one that it writes.
pub const FORMAT_VERSION: u32 = 1;

/// The random name of a log. Each batch carries it, so that a batch of another log is recognized.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogId(pub [u8; 16]);

/// Lower-case hex.
impl std::fmt::Display for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for LogId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogId({self})")
    }
}

/// What is fixed for the life of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The name of the log.
    pub log_id: LogId,
    /// The key under which entities are hashed.
    pub hash_key: HashKey,
}

impl Identity {
    /// A new one, from the operating system's randomness.
    ///
    /// # Errors
    /// When the operating system has none.
    pub fn random() -> Result<Identity, LogError> {
        let (mut log_id, mut hash_key) = ([0; 16], [0; 16]);
        for bytes in [&mut log_id, &mut hash_key] {
            getrandom::fill(bytes).map_err(|error| LogError::io("asking the system for randomness", &error))?;
        }
        Ok(Identity { log_id: LogId(log_id), hash_key: HashKey::new(hash_key) })
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(72);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.log_id.0);
        bytes.extend_from_slice(&self.hash_key.bytes());
        seal(&mut bytes, 0);
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// `Version` when the format is not ours, `Corrupt` when the bytes are not what was written.
    pub fn decode(bytes: &[u8]) -> Result<Identity, LogError> {
        let corrupt = |why| LogError::corrupt(Sequence::ZERO, "the identity of the store", why);
        let mut fields = Fields::of(bytes);
        if fields.array().map_err(corrupt)? != MAGIC {
            return Err(corrupt(Malformed("it does not begin as it should")));
        }
        let found = fields.u32().map_err(corrupt)?;
        if found != FORMAT_VERSION {
            return Err(LogError::Version { found, supported: FORMAT_VERSION });
        }
        Identity::decode_v1(bytes).map_err(corrupt)
    }

    fn decode_v1(bytes: &[u8]) -> Result<Identity, Malformed> {
        let (covered, _) = unseal(bytes)?;
        let mut fields = Fields::of(covered);
        fields.bytes(8)?;
        let identity = Identity { log_id: LogId(fields.array()?), hash_key: HashKey::new(fields.array()?) };
        fields.end()?;
        Ok(identity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { log_id: LogId([1; 16]), hash_key: HashKey::new([2; 16]) };

    #[test]
    fn two_random_ones_differ_and_come_back() {
        let (one, other) = (Identity::random().unwrap(), Identity::random().unwrap());
        assert_ne!(one.log_id, other.log_id);
        assert_ne!(one.hash_key, other.hash_key);
        assert_eq!(Identity::decode(&one.encode()), Ok(one));
    }

    #[test]
    fn stored_form_is_pinned() {
        let bytes = IDENTITY.encode();
        assert_eq!(bytes.len(), 72);
        assert_eq!(bytes[..8], *b"RSEC\x01\x00\x00\x00");
        assert_eq!(bytes[8..40], [[1_u8; 16], [2; 16]].concat());
    }

    #[test]
    fn another_version_is_named_and_damage_is_damage() {
        let mut later = IDENTITY.encode();
        later[4] = 2;
        assert_eq!(Identity::decode(&later), Err(LogError::Version { found: 2, supported: 1 }));
        for at in (0..72).filter(|at| !(4..8).contains(at)) {
            let mut bytes = IDENTITY.encode();
            bytes[at] ^= 1;
            assert!(matches!(Identity::decode(&bytes), Err(LogError::Corrupt { .. })), "{at}");
        }
        assert!(Identity::decode(&[IDENTITY.encode(), vec![0]].concat()).is_err());
    }
}
