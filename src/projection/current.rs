//! The table of current entities of one shard: open addressing over packed records.
//!
//! A record is a fixed head and three texts behind it, without padding:
//!
//! ```text
//! offset  bytes  what
//!      0      1  bit 0: registered, bit 1: abandoned (a younger record of the entity exists)
//!      1      1  code of the kind; 255: an extension kind, whose name stands before the entity's
//!      2      2  length of the names
//!      4      2  length of the attributes
//!      6      2  room for the attributes
//!      8      4  number of the registrant in the table of registrants
//!     12      6  sequence
//!     18      6  time of the last event, in milliseconds
//!     24      .  [length of the extension kind (1), its name,] the entity
//!      .      .  room for the attributes
//! ```
//!
//! The index holds eight bytes an entity: 40 bits of place and 24 bits of hash, so that a miss seldom touches a
//! record. Tests: `current/tests.rs`.

use hashbrown::{HashMap, HashTable};

use crate::types::{EntityHash, HashKey, Kind, Sequence, Timestamp};

use super::arena::{Arena, Place};
use super::state_hash::StateHash;
use crate::domain::Standing;

mod look_up;
#[cfg(test)]
mod tests;

const HEAD_BYTES: usize = 24;
const CACHE_LINE_BYTES: usize = 64;
const PLACE_BITS: u32 = 40;
const REGISTERED: u8 = 1;
const ABANDONED: u8 = 2;
const EXTENSION: u8 = 255;

/// The entities of one shard, and what is true of each.
pub struct Current {
    key: HashKey,
    index: HashTable<u64>,
    arena: Arena,
    registrants: Registrants,
    registered: usize,
}

/// A place in a walk over all entities, which may go on while the table changes.
#[derive(Clone, Copy, Debug)]
pub struct Walk(Option<Place>);

impl Current {
    /// An empty table under the store's key.
    pub fn new(key: HashKey) -> Current {
        Current {
            key,
            index: HashTable::new(),
            arena: Arena::default(),
            registrants: Registrants::default(),
            registered: 0,
        }
    }

    /// What is true of the entity with this name; `None` if it was never registered.
    pub fn standing(&self, hash: EntityHash, name: &str) -> Option<Standing<'_>> {
        self.find(hash, name.as_bytes()).map(|place| self.record(place).standing(&self.registrants))
    }

    /// As [`standing`](Self::standing), but without the attributes, whose memory is then not read: for the question
    /// whether an entity is registered, and since when.
    pub fn standing_without_attributes(&self, hash: EntityHash, name: &str) -> Option<Standing<'_>> {
        self.find(hash, name.as_bytes()).map(|place| self.record(place).without_attributes(&self.registrants))
    }

    /// Reads a little of each of these entities, and makes nothing of it. A processor overlaps these reads, since none
    /// depends on another, and finds the entities in its caches when they are looked up right after.
    pub fn touch(&self, hashes: impl Iterator<Item = EntityHash>) {
        let mut seen = 0;
        for hash in hashes {
            let bits = hash.table_bits();
            if let Some(slot) = self.index.find(bits, |slot| same_tag(*slot, bits)) {
                let bytes = self.arena.at(place_of(*slot));
                // A record is seldom longer than two lines of the cache.
                seen ^= bytes.first().copied().unwrap_or(0) ^ bytes.get(CACHE_LINE_BYTES).copied().unwrap_or(0);
            }
        }
        std::hint::black_box(seen);
    }

    /// Notes what is true of an entity now. An older standing than the one noted (by sequence) changes nothing, so
    /// that a tail may be applied to a snapshot that already contains part of it.
    pub fn put(&mut self, hash: EntityHash, name: &str, standing: &Standing<'_>) {
        let registrant = self.registrants.number(standing.registrant);
        match self.find(hash, name.as_bytes()) {
            None => {
                let place = self.push(name, standing, registrant, standing.attributes.len());
                self.insert(hash, place);
            }
            Some(place) => {
                let present = self.record(place);
                if present.sequence() >= standing.sequence {
                    return;
                }
                let (was_registered, room) = (present.registered(), present.attributes_room());
                let same_kind = present.standing(&self.registrants).kind == standing.kind;
                self.registered -= usize::from(was_registered);
                if same_kind && standing.attributes.len() <= room {
                    overwrite(self.arena.at_mut(place), standing, registrant);
                } else {
                    self.arena.at_mut(place)[0] |= ABANDONED;
                    // Twice the room, so that an entity whose attributes grow abandons few records.
                    let room = standing.attributes.len().max(room * 2).min(usize::from(u16::MAX));
                    let moved = self.push(name, standing, registrant, room);
                    self.replace(hash, place, moved);
                }
            }
        }
        self.registered += usize::from(standing.registered);
    }

    /// Entities that are or were registered.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no entity was ever registered.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Entities that are registered now.
    pub fn registered(&self) -> usize {
        self.registered
    }

    /// Bytes of memory for records and index.
    pub fn bytes(&self) -> usize {
        self.arena.bytes() + self.index.allocation_size()
    }

    /// The start of a walk.
    pub fn walk(&self) -> Walk {
        Walk(Some(Place::START))
    }

    /// Visits the entities from `walk` on, at the most `records_max`, and says where to go on; `None` when all that
    /// were in the table when the walk began have been visited. Those that changed meanwhile are visited with their
    /// standing at that moment, some of them twice.
    pub fn visit(
        &self,
        walk: Walk,
        records_max: usize,
        visitor: &mut dyn FnMut(EntityHash, &str, &Standing<'_>),
    ) -> Option<Walk> {
        let mut place = walk.0?;
        for _ in 0..records_max {
            let record = self.record(place);
            if record.0.len() < HEAD_BYTES {
                return None;
            }
            if !record.abandoned() {
                let standing = record.standing(&self.registrants);
                visitor(self.key.hash(record.name()), record.name(), &standing);
            }
            place = self.arena.next(place, record.bytes())?;
        }
        Some(Walk(Some(place)))
    }

    /// The hash of all standings, independent of their order and of how they are spread over shards.
    pub fn state_hash(&self) -> StateHash {
        let mut total = StateHash::default();
        let _ = self.visit(self.walk(), usize::MAX, &mut |_, name, standing| total.add(name, standing));
        total
    }

    fn record(&self, place: Place) -> Record<'_> {
        Record(self.arena.at(place))
    }

    fn find(&self, hash: EntityHash, name: &[u8]) -> Option<Place> {
        let bits = hash.table_bits();
        self.index
            .find(bits, |slot| same_tag(*slot, bits) && self.record(place_of(*slot)).names().1 == name)
            .map(|slot| place_of(*slot))
    }

    fn insert(&mut self, hash: EntityHash, place: Place) {
        let (key, arena) = (self.key, &self.arena);
        let rehash = |slot: &u64| key.hash(Record(arena.at(place_of(*slot))).name()).table_bits();
        self.index.insert_unique(hash.table_bits(), slot_of(hash.table_bits(), place), rehash);
    }

    fn replace(&mut self, hash: EntityHash, from: Place, to: Place) {
        let bits = hash.table_bits();
        if let Some(slot) = self.index.find_mut(bits, |slot| place_of(*slot) == from) {
            *slot = slot_of(bits, to);
        }
    }

    fn push(&mut self, name: &str, standing: &Standing<'_>, registrant: u32, room: usize) -> Place {
        let extension = match &standing.kind {
            Kind::Extension(extension) => Some(extension),
            _ => None,
        };
        let names = name.len() + extension.map_or(0, |extension| 1 + extension.len());
        let mut record = Vec::with_capacity(HEAD_BYTES + names + room);
        record.resize(HEAD_BYTES, 0);
        record[1] = standing.kind.code();
        record[2..4].copy_from_slice(&length16(names));
        record[6..8].copy_from_slice(&length16(room));
        if let Some(extension) = extension {
            record.push(u8::try_from(extension.len()).unwrap_or(u8::MAX));
            record.extend_from_slice(extension.as_bytes());
        }
        record.extend_from_slice(name.as_bytes());
        record.resize(record.len() + room, 0);
        overwrite(&mut record, standing, registrant);
        let place = self.arena.push(&record);
        assert!(place.number() < 1 << PLACE_BITS, "a shard's records outgrow 1 TiB");
        place
    }
}

/// Writes what may change: all but kind, names and room.
fn overwrite(record: &mut [u8], standing: &Standing<'_>, registrant: u32) {
    record[0] = if standing.registered { REGISTERED } else { 0 };
    record[4..6].copy_from_slice(&length16(standing.attributes.len()));
    record[8..12].copy_from_slice(&registrant.to_le_bytes());
    record[12..18].copy_from_slice(&standing.sequence.value().to_le_bytes()[..6]);
    record[18..24].copy_from_slice(&standing.updated.unix_ms().to_le_bytes()[..6]);
    let from = HEAD_BYTES + usize::from(read16(record, 2));
    record[from..from + standing.attributes.len()].copy_from_slice(standing.attributes.as_bytes());
}

/// A record's bytes, and whatever stands behind it in its chunk.
struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    fn registered(&self) -> bool {
        self.0[0] & REGISTERED != 0
    }

    fn abandoned(&self) -> bool {
        self.0[0] & ABANDONED != 0
    }

    fn attributes_room(&self) -> usize {
        usize::from(read16(self.0, 6))
    }

    fn bytes(&self) -> usize {
        HEAD_BYTES + usize::from(read16(self.0, 2)) + self.attributes_room()
    }

    fn kind_code(&self) -> u8 {
        self.0[1]
    }

    fn sequence(&self) -> Sequence {
        Sequence::new(read48(self.0, 12))
    }

    fn updated(&self) -> Timestamp {
        Timestamp::from_unix_ms(read48(self.0, 18))
    }

    /// The extension kind's name and the entity's.
    fn names(&self) -> (&'a [u8], &'a [u8]) {
        let names = &self.0[HEAD_BYTES..HEAD_BYTES + usize::from(read16(self.0, 2))];
        match names.split_first() {
            Some((length, rest)) if self.0[1] == EXTENSION => rest.split_at(usize::from(*length)),
            _ => (&[], names),
        }
    }

    fn name(&self) -> &'a str {
        text(self.names().1)
    }

    fn standing(&self, registrants: &'a Registrants) -> Standing<'a> {
        let begin = HEAD_BYTES + usize::from(read16(self.0, 2));
        let attributes = text(&self.0[begin..begin + usize::from(read16(self.0, 4))]);
        Standing { attributes, ..self.without_attributes(registrants) }
    }

    fn without_attributes(&self, registrants: &'a Registrants) -> Standing<'a> {
        let registrant = u32::from_le_bytes([self.0[8], self.0[9], self.0[10], self.0[11]]);
        Standing {
            kind: Kind::from_code(self.0[1]).unwrap_or_else(|| Kind::Extension(text(self.names().0).into())),
            registered: self.registered(),
            sequence: self.sequence(),
            updated: self.updated(),
            registrant: registrants.name(registrant),
            attributes: "",
        }
    }
}

/// The names of those who registered something, each once: they are few, and repeat.
struct Registrants {
    names: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32, std::hash::RandomState>,
}

impl Default for Registrants {
    fn default() -> Registrants {
        Registrants { names: vec!["".into()], numbers: HashMap::default() }
    }
}

impl Registrants {
    fn number(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        assert!(number < u32::MAX, "2^32 registrants");
        self.names.push(name.into());
        self.numbers.insert(name.into(), number);
        number
    }

    fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map(AsRef::as_ref).unwrap_or_default()
    }
}

/// The records hold only what was `str` when it was written, so this never falls back.
fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn length16(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes()
}

fn read16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn read48(bytes: &[u8], at: usize) -> u64 {
    let mut wide = [0; 8];
    wide[..6].copy_from_slice(&bytes[at..at + 6]);
    u64::from_le_bytes(wide)
}

fn slot_of(bits: u64, place: Place) -> u64 {
    // hashbrown takes its own tag from the top seven bits and its position from the low ones; 24 from the middle.
    (tag(bits) << PLACE_BITS) | place.number()
}

fn place_of(slot: u64) -> Place {
    Place::from_number(slot & ((1 << PLACE_BITS) - 1))
}

fn same_tag(slot: u64, bits: u64) -> bool {
    slot >> PLACE_BITS == tag(bits)
}

fn tag(bits: u64) -> u64 {
    (bits >> 32) & 0x00FF_FFFF
}
