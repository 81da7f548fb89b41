//! Where the record of an entity lies, by the entity's hash: open addressing over buckets of a cache line each.
//!
//! A slot is 24 bits of hash and 40 bits of place. A bucket has eight of them and is filled from the front; what finds
//! its bucket full goes into the next one. So nearly every question costs one line of the cache. The index has many
//! parts, each of which grows on its own, by a quarter and within memory that it has, so that growing keeps nobody
//! waiting and little memory lies idle. Part and 24 bits are all of the hash that the index uses, and both are at hand
//! when a part grows: no record is read for it, and no name is hashed again.

use super::arena::Place;
use super::prefetch::prefetch;

/// Parts, by the top bits of the hash. A part puts its entities in order by the 24 bits, so from some millions of
/// entities a part on ever more lookups look at a record in vain, and are right all the same.
const PARTS: usize = 256;
const PART_SHIFT: u32 = u64::BITS - PARTS.trailing_zeros();
const PLACE_BITS: u32 = 40;
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;
const TAG_BITS: u32 = u64::BITS - PLACE_BITS;
const TAG_MASK: u64 = (1 << TAG_BITS) - 1;

/// Slots of a bucket.
const SLOTS: usize = 8;
/// A slot without a place; its place is no record's.
const EMPTY: u64 = u64::MAX;
/// Of so many slots at the most this many are filled.
const FULL: (usize, usize) = (5, 4);

/// A line of the cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Bucket([u64; SLOTS]);

impl Bucket {
    const EMPTY: Bucket = Bucket([EMPTY; SLOTS]);
}

/// The places of one shard's records.
pub(super) struct Index {
    parts: Vec<Part>,
    len: usize,
}

#[derive(Default)]
struct Part {
    buckets: Vec<Bucket>,
    len: usize,
}

impl Index {
    pub(super) fn new() -> Index {
        Index { parts: (0..PARTS).map(|_| Part::default()).collect(), len: 0 }
    }

    /// The place under this hash for which `is` holds.
    pub(super) fn find(&self, hash: u64, is: impl FnMut(Place) -> bool) -> Option<Place> {
        let part = self.part(hash)?;
        part.position(tag_of(hash), is)
            .and_then(|(bucket, slot)| Some(place_of(*part.buckets.get(bucket)?.0.get(slot)?)))
    }

    /// Asks for the bucket of this hash, which will be looked at soon.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        if let Some(bucket) = self.bucket(hash) {
            prefetch(bucket);
        }
    }

    /// The first place under nearly this hash, found without a look at any record; `None` if no entity has this hash.
    #[inline]
    pub(super) fn near(&self, hash: u64) -> Option<Place> {
        let (part, tag) = (self.part(hash)?, tag_of(hash));
        let mut number = part.home(tag);
        loop {
            let Bucket(slots) = part.buckets.get(number)?;
            // All slots, without a branch that a processor could guess wrong.
            let found = slots.iter().rev().fold(EMPTY, |found, slot| if tag_in(*slot) == tag { *slot } else { found });
            if found != EMPTY {
                return Some(place_of(found));
            }
            if slots[SLOTS - 1] == EMPTY {
                return None;
            }
            number = if number + 1 < part.buckets.len() { number + 1 } else { 0 };
        }
    }

    /// Adds a place. None under this hash may be that of the same entity.
    ///
    /// # Panics
    /// When the place does not fit into a slot: a shard's records outgrow 1 TiB.
    pub(super) fn insert(&mut self, hash: u64, place: Place) {
        assert!(place.number() < PLACE_MASK, "a shard's records outgrow 1 TiB");
        if let Some(part) = self.parts.get_mut(part_of(hash)) {
            part.insert(slot_of(tag_of(hash), place));
            self.len += 1;
        }
    }

    /// Makes room for so many places more, if they spread over the parts about as hashes do.
    pub(super) fn reserve(&mut self, places: usize) {
        let each = places.div_ceil(PARTS);
        // Parts differ by the square root of what they get; some more than that keeps nearly all from growing for a
        // few.
        let each = each + 3 * each.isqrt();
        self.parts.iter_mut().for_each(|part| part.reserve(each));
    }

    /// Puts one place where another was.
    pub(super) fn replace(&mut self, hash: u64, from: Place, to: Place) {
        let Some(part) = self.parts.get_mut(part_of(hash)) else { return };
        if let Some((bucket, slot)) = part.position(tag_of(hash), |place| place == from) {
            part.buckets[bucket].0[slot] = slot_of(tag_of(hash), to);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes held from the allocator.
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| size_of::<Part>() + part.buckets.capacity() * size_of::<Bucket>()).sum()
    }

    fn part(&self, hash: u64) -> Option<&Part> {
        self.parts.get(part_of(hash))
    }

    fn bucket(&self, hash: u64) -> Option<&Bucket> {
        let part = self.part(hash)?;
        part.buckets.get(part.home(tag_of(hash)))
    }
}

impl Part {
    /// The bucket where the places with this tag begin. Order by tag is kept, so that a part grows by going through it.
    #[allow(clippy::cast_possible_truncation, reason = "below the number of buckets")]
    fn home(&self, tag: u64) -> usize {
        ((tag * self.buckets.len() as u64) >> TAG_BITS) as usize
    }

    /// Bucket and slot of the place with this tag for which `is` holds.
    fn position(&self, tag: u64, mut is: impl FnMut(Place) -> bool) -> Option<(usize, usize)> {
        let home = self.home(tag);
        // A part is never full, so an empty slot ends this.
        for number in (home..self.buckets.len()).chain(0..home) {
            for (at, slot) in self.buckets.get(number)?.0.iter().enumerate() {
                if *slot == EMPTY {
                    return None;
                }
                if tag_in(*slot) == tag && is(place_of(*slot)) {
                    return Some((number, at));
                }
            }
        }
        None
    }

    fn insert(&mut self, slot: u64) {
        if buckets_for(self.len + 1) > self.buckets.len() {
            self.grow(self.buckets.len().div_ceil(4).max(1));
        }
        self.put(slot);
        self.len += 1;
    }

    fn reserve(&mut self, slots: usize) {
        let missing = buckets_for(self.len + slots).saturating_sub(self.buckets.len());
        if missing > 0 {
            self.grow(missing);
        }
    }

    /// Adds buckets. Capacity is asked for by doubling, and only what is used of it is touched: new memory is cleared
    /// by the system page by page, which costs more than to put all slots in their new places.
    fn grow(&mut self, added: usize) {
        let before = self.buckets.len();
        if before + added > self.buckets.capacity() {
            let mut roomy = Vec::with_capacity(2 * (before + added));
            roomy.extend_from_slice(&self.buckets);
            self.buckets = roomy;
        }
        self.buckets.resize(before + added, Bucket::EMPTY);
        self.buckets.copy_within(..before, added);
        self.buckets[..added.min(before)].fill(Bucket::EMPTY);
        self.put_in_order(added);
    }

    /// Puts the slots of the buckets from `first` on, which stand in the order of their tags, where they belong. The
    /// buckets before are empty.
    ///
    /// Nothing belongs further back than where it stands, so what was passed is never looked at again. A slot that
    /// finds no room before a bucket that is still to come is put once more with that one. One that finds none up to
    /// the end has to go around to the front, and waits until all else is in order.
    fn put_in_order(&mut self, first: usize) {
        let mut around = Vec::new();
        for number in first..self.buckets.len() {
            let Bucket(slots) = std::mem::replace(&mut self.buckets[number], Bucket::EMPTY);
            for slot in slots.into_iter().take_while(|slot| *slot != EMPTY) {
                let home = self.home(tag_in(slot));
                if !self.put_from(home, slot) {
                    around.push(slot);
                }
            }
        }
        for slot in around {
            self.put(slot);
        }
    }

    /// Puts a slot where there is room for it, which there is.
    fn put(&mut self, slot: u64) {
        let _ = self.put_from(self.home(tag_in(slot)), slot) || self.put_from(0, slot);
    }

    /// Puts a slot into the first bucket with room, from this one to the end. Whether there was one.
    fn put_from(&mut self, home: usize, slot: u64) -> bool {
        let empty = self.buckets[home..].iter_mut().find_map(|bucket| bucket.0.iter_mut().find(|slot| **slot == EMPTY));
        empty.map(|empty| *empty = slot).is_some()
    }
}

/// How many buckets a part needs for so many places.
fn buckets_for(places: usize) -> usize {
    (places * FULL.0).div_ceil(SLOTS * FULL.1)
}

#[allow(clippy::cast_possible_truncation, reason = "below the number of parts")]
fn part_of(hash: u64) -> usize {
    (hash >> PART_SHIFT) as usize
}

fn tag_of(hash: u64) -> u64 {
    hash & TAG_MASK
}

fn slot_of(tag: u64, place: Place) -> u64 {
    tag << PLACE_BITS | place.number()
}

fn place_of(slot: u64) -> Place {
    Place::from_number(slot & PLACE_MASK)
}

fn tag_in(slot: u64) -> u64 {
    slot >> PLACE_BITS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::types::HashKey;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever the hashes are, also where they hardly differ, and however often the parts have grown.
        #[test]
        fn what_was_put_is_found_and_nothing_else(
            hashes in prop::collection::vec(prop_oneof![any::<u64>(), 0..50_u64, (0..8_u64).prop_map(|bit| 1 << (8 * bit)), Just(u64::MAX)], 0..400),
            asked in prop::collection::vec(prop_oneof![any::<u64>(), 0..100_u64, Just(u64::MAX)], 0..20),
            reserved in prop::collection::btree_map(0..400_u64, 0..10_000_usize, 0..3),
        ) {
            let mut index = Index::new();
            let mut model: BTreeMap<u64, Vec<Place>> = BTreeMap::new();
            for (number, hash) in (0..).zip(&hashes) {
                let place = Place::from_number(number);
                if let Some(places) = reserved.get(&number) {
                    index.reserve(*places);
                }
                index.insert(*hash, place);
                model.entry(*hash).or_default().push(place);
            }
            prop_assert_eq!(index.len(), hashes.len());
            for (hash, places) in &model {
                for place in places {
                    prop_assert_eq!(index.find(*hash, |found| found == *place), Some(*place));
                }
                prop_assert_eq!(index.find(*hash, |found| found.number() > 1000), None);
                prop_assert!(index.near(*hash).is_some());
            }
            for hash in asked.iter().chain(&hashes) {
                prop_assert_eq!(index.near(*hash), index.find(*hash, |_| true));
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

    #[test]
    fn what_has_room_does_not_grow() {
        let (mut index, key) = (Index::new(), HashKey::new([5; 16]));
        let hashes =
            |numbers: std::ops::Range<u64>| numbers.map(move |number| key.hash(&number.to_string()).table_bits());
        hashes(0..1000).for_each(|hash| index.insert(hash, Place::from_number(1)));
        index.reserve(200_000);
        let (bytes, before) = (index.bytes(), used(&index));
        hashes(1000..201_000).for_each(|hash| index.insert(hash, Place::from_number(1)));
        assert_eq!(index.bytes(), bytes);
        // Few parts have got so many more than the others that they had to grow.
        assert!(used(&index) * 100 < before * 101, "{before} bytes became {}", used(&index));
        assert!(used(&index) < 12 * 201_000, "{} bytes are used", used(&index));
        hashes(201_000..260_000).for_each(|hash| index.insert(hash, Place::from_number(1)));
        assert!(used(&index) > 10 * 260_000, "{} bytes are used", used(&index));
    }

    #[test]
    fn memory_is_asked_for_seldom() {
        let (mut index, key) = (Index::new(), HashKey::new([5; 16]));
        let mut sizes = std::collections::BTreeSet::new();
        for number in 0..200_000_u64 {
            index.insert(key.hash(&number.to_string()).table_bits(), Place::from_number(1));
            sizes.insert(index.bytes());
        }
        // Each part asks ten times; by quarters alone it would be nineteen times.
        assert!(sizes.len() < 11 * PARTS, "{} sizes", sizes.len());
    }

    /// Bytes that are not only asked for, but touched.
    fn used(index: &Index) -> usize {
        index.parts.iter().map(|part| part.buckets.len() * size_of::<Bucket>()).sum()
    }
}
