//! The keyed hash of an entity: its place in the AUDIT index, in the tables, and among the shards. And the keyed
//! fingerprint of attributes, which stands in memory for them.

use super::sip::{sip13_128, sip24};

/// The random key of a store. It keeps peers from choosing names that collide, and never leaves the store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HashKey([u8; 16]);

/// SipHash-1-3-128 of an entity's canonical text under the store's key: stable for the life of the store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntityHash(u128);

/// SipHash-2-4 of the attributes of an entity under the store's key: 64 bits that stand for a text in memory. Two
/// texts that somebody chose without the key share theirs with a probability of 2^-64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Little-endian bytes.
    pub const fn to_le_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// The fingerprint with these little-endian bytes.
    pub const fn from_le_bytes(bytes: [u8; 8]) -> Fingerprint {
        Fingerprint(u64::from_le_bytes(bytes))
    }
}

impl HashKey {
    /// The key with these bytes.
    pub const fn new(bytes: [u8; 16]) -> HashKey {
        HashKey(bytes)
    }

    /// The bytes of the key, for the store's own records.
    pub const fn bytes(&self) -> [u8; 16] {
        self.0
    }

    /// The hash of a canonical text.
    pub fn hash(&self, canonical: &str) -> EntityHash {
        self.hash_bytes(canonical.as_bytes())
    }

    /// The hash of the bytes of a canonical text.
    #[inline]
    pub fn hash_bytes(&self, canonical: &[u8]) -> EntityHash {
        EntityHash(sip13_128(&self.0, canonical))
    }

    /// The fingerprint of the stored text of [`Attributes`](super::Attributes); `None` where there are none.
    pub fn fingerprint(&self, attributes: &str) -> Option<Fingerprint> {
        let text = Some(attributes).filter(|text| !text.is_empty())?;
        // Another function than the one for names, so that the one key serves both.
        Some(Fingerprint(sip24(&self.0, text.as_bytes())))
    }
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(secret)")
    }
}

impl EntityHash {
    /// Big-endian bytes, so that keys sort as hashes do.
    pub const fn to_be_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The hash with these big-endian bytes.
    pub const fn from_be_bytes(bytes: [u8; 16]) -> EntityHash {
        EntityHash(u128::from_be_bytes(bytes))
    }

    /// The first eight of those bytes: enough to tell entities apart where a mistake now and then does no harm.
    #[allow(clippy::cast_possible_truncation, reason = "the high half is meant")]
    pub const fn front(self) -> u64 {
        (self.0 >> 64) as u64
    }

    /// The half that tables index by. The other half chooses the shard, so that a shard's table sees all values.
    #[allow(clippy::cast_possible_truncation, reason = "the low half is meant")]
    pub const fn table_bits(self) -> u64 {
        self.0 as u64
    }

    /// The shard that owns the entity, out of `shards`: a pure function, so that the number of shards is a
    /// setting of the process and changes nothing on disk.
    ///
    /// # Panics
    /// When `shards` is 0.
    #[allow(clippy::cast_possible_truncation, reason = "the product's high half is below `shards`")]
    pub const fn shard(self, shards: usize) -> usize {
        assert!(shards > 0, "a store has at least one shard");
        let high = (self.0 >> 64) as u64;
        ((high as u128 * shards as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hash decides what is on disk, so its values are pinned for good. They agree with an implementation
    /// written from the description of SipHash, which gives the published vector of SipHash-2-4-128.
    #[test]
    fn hashes_are_pinned() {
        let key = HashKey::new(*b"0123456789abcdef");
        for (text, expected) in PINNED {
            assert_eq!(format!("{:032x}", key.hash(text).0), expected, "{text}");
        }
    }

    const PINNED: [(&str, &str); 2] =
        [("", "f87264347c933477e8c11437a5258e28"), ("example.com", "d1885615a33970e9de0e12bd17582857")];

    /// Snapshots hold fingerprints, so they are pinned as well. The function agrees with the vector that was published
    /// with SipHash.
    #[test]
    fn fingerprints_are_pinned() {
        let mut published = [0; 16];
        (0_u8..).zip(&mut published).for_each(|(value, byte)| *byte = value);
        let text: String = (0_u8..15).map(char::from).collect();
        let print = HashKey::new(published).fingerprint(&text);
        assert_eq!(print, Some(Fingerprint(0xa129_ca61_49be_45e5)));
        assert_eq!(HashKey::new(published).fingerprint(""), None);
    }

    #[test]
    fn every_shard_is_used_and_none_beyond() {
        let key = HashKey::new([7; 16]);
        for shards in [1, 2, 3, 8, 64] {
            let mut seen = vec![0_u32; shards];
            for i in 0..10_000 {
                seen[key.hash(&format!("host{i}.example")).shard(shards)] += 1;
            }
            let fair = 10_000 / u32::try_from(shards).unwrap();
            assert!(seen.iter().all(|n| *n > fair / 2 && *n < fair * 2), "{shards}: {seen:?}");
        }
    }
}
