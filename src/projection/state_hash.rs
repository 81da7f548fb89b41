//! One number for all of the state, by which two projections of one log are compared.

use std::fmt;

use siphasher::sip128::SipHasher13;

use crate::domain::Standing;
use crate::types::Fingerprint;

/// The sum, modulo 2^128, of the hashes of every entity's standing. A sum, so that neither the order of the entities
/// nor the number of shards matters. It tells accidents apart, not attacks, so the hash is one that ten million
/// entities do not wait for. Attributes count by their fingerprint: two stores with the same events and different keys
/// have different hashes.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct StateHash(u128);

impl StateHash {
    /// Adds the entities of another part of the state.
    pub fn merge(&mut self, other: StateHash) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

/// A state hash that is being summed up.
#[derive(Default)]
pub struct StateSum {
    sum: StateHash,
    /// What is hashed of an entity, one behind the other.
    bytes: Vec<u8>,
}

impl StateSum {
    /// Adds an entity. The bytes of its name are those of a text.
    pub fn add(&mut self, name: &[u8], standing: &Standing<'_>) {
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(&standing.sequence.value().to_le_bytes());
        bytes.extend_from_slice(&standing.updated.unix_ms().to_le_bytes());
        bytes.extend_from_slice(&standing.attributes.map(Fingerprint::to_le_bytes).unwrap_or_default());
        bytes.extend_from_slice(&[u8::from(standing.registered), u8::from(standing.attributes.is_some())]);
        for text in [standing.kind.name().as_bytes(), standing.registrant.as_bytes(), name] {
            bytes.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
            bytes.extend_from_slice(text);
        }
        self.sum.merge(StateHash(SipHasher13::new().hash(bytes).into()));
    }

    /// The sum so far.
    pub fn hash(&self) -> StateHash {
        self.sum
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
