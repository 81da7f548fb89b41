//! A map by numbers that the server itself gave out, one after the other.
//!
//! Nobody else can choose them, so no keyed hash is needed, and one multiplication spreads them well enough.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// What is known under each number.
pub(super) type Numbered<T> = HashMap<u64, T, BuildHasherDefault<Spread>>;

/// Spreads numbers over all bits.
#[derive(Default)]
pub(super) struct Spread(u64);

/// An odd number near 2^64 divided by the golden ratio: neighbours end up far apart.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hasher for Spread {
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(GOLDEN);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn finish(&self) -> u64 {
        // Maps take their tag from the highest bits and the place from the lowest; the product is best in the high ones.
        self.0 ^ self.0.rotate_right(32)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use super::*;

    #[test]
    fn neighbours_get_places_and_tags_of_their_own() {
        let builder = BuildHasherDefault::<Spread>::default();
        let hashes: Vec<u64> = (1..=1024_u64).map(|number| builder.hash_one(number)).collect();
        for (what, part) in [("places", 0), ("tags", 57)] {
            let mut seen = [0_u32; 128];
            for hash in &hashes {
                seen[usize::try_from(hash >> part & 127).unwrap()] += 1;
            }
            assert!(seen.iter().all(|count| (1..=32).contains(count)), "{what}: {seen:?}");
        }
    }
}
