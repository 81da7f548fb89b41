//! Where the record of an entity lies, by the entity's hash: a directory of blocks, and in each open addressing over
//! buckets of a cache line (extendible hashing: Fagin and others, 1979).
//!
//! Of the hash 32 bits are used, the key. Its top bits say which block, its low bits where in the block to begin. A slot
//! is the 26 bits of the key that no directory can do without, and 38 bits of place; eight make a bucket, which is
//! filled from the front, and what finds its bucket full goes into the next one. So nearly every question costs one line
//! of the cache. A block that is full is split in two, by one more bit of the key: no record is read for it, no name is
//! hashed again, nobody waits long, and no memory is ever given back.

use super::arena::Place;
use super::prefetch::prefetch;
use super::region::{REGION_BYTES, Region, Regions};

/// Slots of a bucket.
const SLOTS: usize = 8;
/// A line of the cache.
type Bucket = [u64; SLOTS];
/// A slot without a place, and what new memory holds.
const EMPTY: u64 = 0;

/// Buckets of a block.
const BUCKETS: usize = 512;
type Buckets = [Bucket; BUCKETS];
/// Of a block's slots at the most so many are filled: four of five.
const FULL: usize = BUCKETS * SLOTS * 4 / 5;
/// Blocks in a region.
const BLOCKS: usize = REGION_BYTES / size_of::<Buckets>();

/// The low bits of the key, which a slot keeps.
const TAG_BITS: u32 = 26;
const TAG_MASK: u64 = (1 << TAG_BITS) - 1;
const PLACE_BITS: u32 = u64::BITS - TAG_BITS;
const PLACE_MASK: u64 = (1 << PLACE_BITS) - 1;
/// The bits of the key by which the first blocks are told apart, and which no slot keeps. So many blocks fill a region.
const FIRST_BITS: u32 = BLOCKS.trailing_zeros();
/// Bits of a key.
const KEY_BITS: u32 = FIRST_BITS + TAG_BITS;
/// A block is told apart by at the most so many bits. Hashes that spread are 2^33 by then, and 256 GiB hold no more
/// records.
const DEPTH_MAX: u32 = 22;

/// The places of one shard's records.
pub(super) struct Index {
    /// The number of the block of each range of keys; nothing before the first place comes.
    directory: Vec<u32>,
    /// By their top bits that many keys are told apart in the directory.
    depth: u32,
    blocks: Vec<Block>,
    regions: Regions,
    len: usize,
}

/// What is known of a block.
struct Block {
    /// By the top bits that its keys have in common.
    depth: u32,
    /// Slots that are filled.
    len: usize,
}

impl Index {
    pub(super) fn new() -> Index {
        Index { directory: Vec::new(), depth: FIRST_BITS, blocks: Vec::new(), regions: Regions::default(), len: 0 }
    }

    /// The place under this hash for which `is` holds.
    pub(super) fn find(&self, hash: u64, is: impl FnMut(Place) -> bool) -> Option<Place> {
        let key = Key::of(hash);
        let buckets = self.buckets(self.block_of(key)?)?;
        position(buckets, key, is).map(|(bucket, slot)| place_of(buckets[bucket][slot]))
    }

    /// Asks for the bucket of this hash, which will be looked at soon.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        let key = Key::of(hash);
        if let Some(buckets) = self.block_of(key).and_then(|block| self.buckets(block)) {
            prefetch(&buckets[key.home()]);
        }
    }

    /// The first place under nearly this hash, found without a look at any record; `None` if no entity has this hash.
    #[inline]
    pub(super) fn near(&self, hash: u64) -> Option<Place> {
        let key = Key::of(hash);
        let (buckets, tag) = (self.buckets(self.block_of(key)?)?, key.tag());
        let mut number = key.home();
        loop {
            let slots = &buckets[number];
            // All slots, without a branch that a processor could guess wrong. Those without a place are the last.
            let found = slots.iter().rev().fold(EMPTY, |found, slot| if tag_in(*slot) == tag { *slot } else { found });
            if found != EMPTY {
                return Some(place_of(found));
            }
            if slots[SLOTS - 1] == EMPTY {
                return None;
            }
            number = (number + 1) % BUCKETS;
        }
    }

    /// Adds a place. None under this hash may be that of the same entity.
    ///
    /// # Panics
    /// When the place does not fit into a slot: a shard's records outgrow 256 GiB. When thousands of entities have the
    /// same key, which hashes that spread do not come to.
    pub(super) fn insert(&mut self, hash: u64, place: Place) {
        assert!(place.number() < PLACE_MASK, "a shard's records outgrow 256 GiB");
        let key = Key::of(hash);
        let block = self.block_with_room(key);
        self.put(block, slot_of(key, place));
        self.len += 1;
    }

    /// Makes room for so many places more, if they spread over the blocks about as hashes do.
    pub(super) fn reserve(&mut self, places: usize) {
        let all = self.len + places;
        // Blocks differ by the square root of what they get; some more than that keeps nearly all from splitting for a
        // few.
        let fits = |each: usize| each + 3 * each.isqrt() <= FULL;
        let depth = (FIRST_BITS..DEPTH_MAX).find(|depth| fits(all >> depth)).unwrap_or(DEPTH_MAX);
        self.begin();
        for first in 0..1 << depth {
            let key = Key(first << (KEY_BITS - depth));
            while let Some(block) = self.block_of(key).filter(|block| self.blocks[*block].depth < depth) {
                self.split(key, block);
            }
        }
    }

    /// Puts one place where another was.
    pub(super) fn replace(&mut self, hash: u64, from: Place, to: Place) {
        let key = Key::of(hash);
        let Some(buckets) = self.block_of(key).and_then(|block| self.buckets_mut(block)) else { return };
        if let Some((bucket, slot)) = position(buckets, key, |place| place == from) {
            buckets[bucket][slot] = slot_of(key, to);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes held from the system.
    pub(super) fn bytes(&self) -> usize {
        self.regions.bytes() + size_of_val(&*self.directory) + size_of_val(&*self.blocks)
    }

    /// Whether nobody has given the next region.
    pub(super) fn wants_next(&self) -> bool {
        self.regions.wants_next()
    }

    /// Gives the next region.
    pub(super) fn give_next(&mut self, next: Region) {
        self.regions.give_next(next);
    }

    /// Whether a region that is full of blocks has not moved to a huge page.
    pub(super) fn may_move(&self) -> bool {
        self.regions.may_move(self.blocks.len() / BLOCKS)
    }

    /// Moves that region, and returns where it was.
    pub(super) fn move_one(&mut self, to: Region) -> Region {
        self.regions.move_one(to)
    }

    /// The block of this key; `None` in an index that is still empty.
    #[inline]
    fn block_of(&self, key: Key) -> Option<usize> {
        Some(*self.directory.get(key.first(self.depth))? as usize)
    }

    #[inline]
    fn buckets(&self, block: usize) -> Option<&Buckets> {
        let region = self.regions.get(block / BLOCKS)?;
        Some(&region.content::<[Buckets; BLOCKS]>()[block % BLOCKS])
    }

    fn buckets_mut(&mut self, block: usize) -> Option<&mut Buckets> {
        let region = self.regions.get_mut(block / BLOCKS)?;
        Some(&mut region.content_mut::<[Buckets; BLOCKS]>()[block % BLOCKS])
    }

    /// The block of this key, after it has been split as often as it takes.
    fn block_with_room(&mut self, key: Key) -> usize {
        self.begin();
        loop {
            let block = self.directory[key.first(self.depth)] as usize;
            let Block { depth, len } = self.blocks[block];
            if len < FULL {
                return block;
            }
            if depth == DEPTH_MAX {
                assert!(len < BUCKETS * SLOTS - 1, "{len} entities have nearly the same hash");
                return block;
            }
            self.split(key, block);
        }
    }

    /// Makes the first blocks, which fill a region, unless they are there.
    fn begin(&mut self) {
        if self.directory.is_empty() {
            self.directory = (0..1 << FIRST_BITS).map(|_| self.add_block(FIRST_BITS)).collect();
        }
    }

    /// A new block, and its number.
    fn add_block(&mut self, depth: u32) -> u32 {
        let number = self.blocks.len();
        if number / BLOCKS == self.regions.len() {
            self.regions.grow();
        }
        self.blocks.push(Block { depth, len: 0 });
        u32::try_from(number).unwrap_or_else(|_| panic!("a shard's index outgrows 128 TiB"))
    }

    /// Splits the block of this key in two, by one bit more.
    fn split(&mut self, key: Key, block: usize) {
        let depth = self.blocks[block].depth;
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|block| [*block; 2]).collect();
            self.depth += 1;
        }
        let other = self.add_block(depth + 1);
        self.blocks[block] = Block { depth: depth + 1, len: 0 };
        // Of the keys that named the block, the second half name the other now.
        let named = 1 << (self.depth - depth);
        let first = key.first(depth) * named;
        self.directory[first + named / 2..first + named].fill(other);
        // Written before anything is looked for in it: of memory that is only read the system makes a page of zeros, and
        // another one when it is written to.
        if let Some(buckets) = self.buckets_mut(other as usize) {
            buckets.fill([EMPTY; SLOTS]);
        }
        let slots = self.buckets_mut(block).map(|buckets| {
            let slots = *buckets;
            buckets.fill([EMPTY; SLOTS]);
            slots
        });
        let bit = 1 << (KEY_BITS - 1 - depth);
        for slot in slots.iter().flatten().flatten().filter(|slot| **slot != EMPTY) {
            self.put(if tag_in(*slot) & bit == 0 { block } else { other as usize }, *slot);
        }
    }

    /// Puts a slot into a block that has room for it.
    fn put(&mut self, block: usize, slot: u64) {
        self.blocks[block].len += 1;
        let home = Key(tag_in(slot)).home();
        let buckets = self.buckets_mut(block).map_or(&mut [][..], |buckets| buckets);
        let (before, from) = buckets.split_at_mut(home);
        let empty = from.iter_mut().chain(before).find_map(|bucket| bucket.iter_mut().find(|slot| **slot == EMPTY));
        if let Some(empty) = empty {
            *empty = slot;
        }
    }
}

/// Bucket and slot of the place with this key for which `is` holds.
fn position(buckets: &Buckets, key: Key, mut is: impl FnMut(Place) -> bool) -> Option<(usize, usize)> {
    let home = key.home();
    // A block is never full, so a slot without a place ends this.
    for number in (home..BUCKETS).chain(0..home) {
        for (at, slot) in buckets[number].iter().enumerate() {
            if *slot == EMPTY {
                return None;
            }
            if tag_in(*slot) == key.tag() && is(place_of(*slot)) {
                return Some((number, at));
            }
        }
    }
    None
}

/// The bits of a hash that the index uses.
#[derive(Clone, Copy)]
struct Key(u64);

impl Key {
    fn of(hash: u64) -> Key {
        Key(hash >> (u64::BITS - FIRST_BITS) << TAG_BITS | hash & TAG_MASK)
    }

    /// Its first bits, so many.
    #[allow(clippy::cast_possible_truncation, reason = "32 bits at the most")]
    fn first(self, bits: u32) -> usize {
        (self.0 >> (KEY_BITS - bits)) as usize
    }

    /// The bucket of its block where its places begin.
    #[allow(clippy::cast_possible_truncation, reason = "below the number of buckets")]
    fn home(self) -> usize {
        self.0 as usize % BUCKETS
    }

    fn tag(self) -> u64 {
        self.0 & TAG_MASK
    }
}

/// A place is kept as the number behind its own, so that no slot with a place is zero.
fn slot_of(key: Key, place: Place) -> u64 {
    key.tag() << PLACE_BITS | (place.number() + 1)
}

fn place_of(slot: u64) -> Place {
    Place::from_number((slot & PLACE_MASK).wrapping_sub(1))
}

fn tag_in(slot: u64) -> u64 {
    slot >> PLACE_BITS
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use crate::types::HashKey;

    use super::*;

    proptest! {
        /// Whatever the hashes are, also where they hardly differ, and however often blocks have been split.
        #[test]
        fn what_was_put_is_found_and_nothing_else(
            few in prop::collection::vec(prop_oneof![any::<u64>(), 0..50_u64, (0..8_u64).prop_map(|bit| 1 << (8 * bit)), Just(u64::MAX)], 0..400),
            // So many of one first block, and in how many bits they differ.
            (many, bits) in (0..30_000_u64, 15..26_u32),
            asked in prop::collection::vec(prop_oneof![any::<u64>(), 0..100_u64, Just(u64::MAX)], 0..20),
            reserved in prop::collection::btree_map(0..400_u64, 0..500_000_usize, 0..3),
        ) {
            let mut index = Index::new();
            let mut model: BTreeMap<u64, Vec<Place>> = BTreeMap::new();
            let many = hashes(0..many).map(|hash| hash << (TAG_BITS - bits) & TAG_MASK);
            let hashes: Vec<u64> = few.into_iter().chain(many).collect();
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
                prop_assert_eq!(index.find(*hash, |found| found.number() > 100_000), None);
                prop_assert!(index.near(*hash).is_some());
            }
            for hash in asked.iter().chain(&hashes) {
                prop_assert_eq!(index.near(*hash), index.find(*hash, |_| true));
            }
            if let Some((hash, places)) = model.iter().next() {
                let (from, to) = (places[0], Place::from_number((1 << PLACE_BITS) - 2));
                index.replace(*hash, from, to);
                prop_assert_eq!(index.find(*hash, |found| found == from), None);
                prop_assert_eq!(index.find(*hash, |found| found == to), Some(to));
                prop_assert_eq!(index.len(), hashes.len());
            }
        }
    }

    #[test]
    fn what_has_room_does_not_grow() {
        let mut index = Index::new();
        hashes(0..1000).for_each(|hash| index.insert(hash, Place::START));
        assert_eq!(index.blocks.len(), BLOCKS);
        index.reserve(1_000_000);
        let bytes = index.bytes();
        hashes(1000..1_001_000).for_each(|hash| index.insert(hash, Place::START));
        assert_eq!(index.bytes(), bytes);
        assert!(bytes < 20 * 1_001_000, "{bytes} bytes");
    }

    #[test]
    fn memory_grows_with_what_is_in_it() {
        let mut index = Index::new();
        for (number, hash) in (1..).zip(hashes(0..2_000_000)) {
            index.insert(hash, Place::START);
            assert!(index.bytes() < 2 * REGION_BYTES + 22 * number, "{} bytes for {number}", index.bytes());
        }
    }

    /// More than a block takes, which no split tells apart.
    #[test]
    #[should_panic(expected = "4095 entities have nearly the same hash")]
    fn one_hash_for_thousands_is_no_hash() {
        let mut index = Index::new();
        for number in 0..4095 {
            index.insert(7, Place::from_number(number));
        }
        assert_eq!(index.find(7, |place| place.number() == 4094), Some(Place::from_number(4094)));
        assert_eq!(index.find(7 + (1 << 20), |_| true), None);
        assert_eq!(index.near(6), None);
        index.insert(7, Place::from_number(4095));
    }

    fn hashes(numbers: std::ops::Range<u64>) -> impl Iterator<Item = u64> {
        let key = HashKey::new([5; 16]);
        numbers.map(move |number| key.hash(&number.to_string()).table_bits())
    }
}
