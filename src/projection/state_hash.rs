//! One number for all of the state, by which two projections of one log are compared.

use std::fmt;

use crate::domain::Standing;

/// The sum, modulo 2^256 in four lanes, of the BLAKE3 hashes of every entity's standing. A sum, so that neither the
/// order of the entities nor the number of shards matters. It tells accidents apart, not attacks.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct StateHash([u64; 4]);

impl StateHash {
    /// Adds an entity.
    pub fn add(&mut self, name: &str, standing: &Standing<'_>) {
        let mut hasher = blake3::Hasher::new();
        for text in [name, standing.kind.name(), standing.registrant, standing.attributes] {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.update(&[u8::from(standing.registered)]);
        hasher.update(&standing.sequence.value().to_le_bytes());
        hasher.update(&standing.updated.unix_ms().to_le_bytes());
        let digest = *hasher.finalize().as_bytes();
        for (lane, bytes) in self.0.iter_mut().zip(digest.chunks_exact(8)) {
            *lane = lane.wrapping_add(u64::from_le_bytes(bytes.try_into().unwrap_or_default()));
        }
    }

    /// Adds the entities of another part of the state.
    pub fn merge(&mut self, other: StateHash) {
        for (lane, more) in self.0.iter_mut().zip(other.0) {
            *lane = lane.wrapping_add(more);
        }
    }
}

impl fmt::Display for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|lane| write!(f, "{lane:016x}"))
    }
}

impl fmt::Debug for StateHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
