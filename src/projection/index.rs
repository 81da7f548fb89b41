//! Where the record of an entity lies, by the entity's hash: open addressing, eight bytes and a byte of tag for each.
//!
//! A slot is 40 bits of place and 24 bits of hash. The index has many parts, each of which grows on its own, so that
//! growing keeps nobody waiting and never holds all slots twice. Part and 24 bits are all of the hash that the index
//! uses, and both are at hand when a part grows: no record is read for it, and no name is hashed again.

use hashbrown::HashTable;

use super::arena::Place;

/// Parts, by the top bits of the hash. At 2^17 slots each, 33 million in all, position and tag in a part still take
/// different bits of the 24; beyond, ever more lookups look at a record in vain, and are right all the same.
const PARTS: usize = 256;
const PART_SHIFT: u32 = u64::BITS - PARTS.trailing_zeros();
const PLACE_BITS: u32 = 40;
const TAG_MASK: u64 = 0x00FF_FFFF;

/// The places of one shard's records.
pub(super) struct Index {
    parts: Vec<HashTable<u64>>,
    len: usize,
}

impl Index {
    pub(super) fn new() -> Index {
        Index { parts: (0..PARTS).map(|_| HashTable::new()).collect(), len: 0 }
    }

    /// The place under this hash for which `is` holds.
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(Place) -> bool) -> Option<Place> {
        let part = self.parts.get(part_of(hash))?;
        part.find(spread(hash), |slot| same_tag(*slot, hash) && is(place_of(*slot))).map(|slot| place_of(*slot))
    }

    /// Adds a place. None under this hash may be that of the same entity.
    ///
    /// # Panics
    /// When the place does not fit into a slot: a shard's records outgrow 1 TiB.
    pub(super) fn insert(&mut self, hash: u64, place: Place) {
        assert!(place.number() < 1 << PLACE_BITS, "a shard's records outgrow 1 TiB");
        if let Some(part) = self.parts.get_mut(part_of(hash)) {
            part.insert_unique(spread(hash), slot_of(hash, place), |slot| spread(*slot >> PLACE_BITS));
            self.len += 1;
        }
    }

    /// Puts one place where another was.
    pub(super) fn replace(&mut self, hash: u64, from: Place, to: Place) {
        let part = self.parts.get_mut(part_of(hash));
        if let Some(slot) = part.and_then(|part| part.find_mut(spread(hash), |slot| place_of(*slot) == from)) {
            *slot = slot_of(hash, to);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes held from the allocator.
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| size_of::<HashTable<u64>>() + part.allocation_size()).sum()
    }
}

#[allow(clippy::cast_possible_truncation, reason = "below the number of parts")]
fn part_of(hash: u64) -> usize {
    (hash >> PART_SHIFT) as usize
}

/// A part takes its position from the low bits and its tag from the top seven.
fn spread(hash: u64) -> u64 {
    let tag = hash & TAG_MASK;
    tag | (tag >> 17) << 57
}

fn slot_of(hash: u64, place: Place) -> u64 {
    (hash & TAG_MASK) << PLACE_BITS | place.number()
}

fn place_of(slot: u64) -> Place {
    Place::from_number(slot & ((1 << PLACE_BITS) - 1))
}

fn same_tag(slot: u64, hash: u64) -> bool {
    slot >> PLACE_BITS == hash & TAG_MASK
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the hashes are, also where they hardly differ, and however often the parts have grown.
        #[test]
        fn what_was_put_is_found_and_nothing_else(
            hashes in prop::collection::vec(prop_oneof![any::<u64>(), 0..50_u64, (0..8_u64).prop_map(|bit| 1 << (8 * bit))], 0..400),
        ) {
            let mut index = Index::new();
            let mut model: BTreeMap<u64, Vec<Place>> = BTreeMap::new();
            for (number, hash) in (0..).zip(&hashes) {
                let place = Place::from_number(number);
                index.insert(*hash, place);
                model.entry(*hash).or_default().push(place);
            }
            prop_assert_eq!(index.len(), hashes.len());
            for (hash, places) in &model {
                for place in places {
                    prop_assert_eq!(index.find(*hash, |found| found == *place), Some(*place));
                }
                prop_assert_eq!(index.find(*hash, |found| found.number() > 1000), None);
            }
            if let Some((hash, places)) = model.iter().next() {
                let (from, to) = (places[0], Place::from_number(1 << 39));
                index.replace(*hash, from, to);
                prop_assert_eq!(index.find(*hash, |found| found == from), None);
                prop_assert_eq!(index.find(*hash, |found| found == to), Some(to));
                prop_assert_eq!(index.len(), hashes.len());
            }
        }
    }
}
