//! The table of current entities of one shard: open addressing over packed records.
//!
//! A lookup reads a line of the index and a record, which nearly always is shorter than one. Attributes are not here:
//! they stay in the log, in the entity's last event, and a fingerprint stands for them. Tests: `current/tests.rs`.

use crate::domain::Standing;
use crate::types::{EntityHash, HashKey, Kind};

use super::arena::{Arena, Place};
use super::index::Index;
use super::names::Names;
use super::prefetch::prefetch;
use super::record::{self, Code, Record, Room, State};
use super::region::Region;
use super::state_hash::{StateHash, StateSum};

mod look_up;
#[cfg(test)]
mod tests;

/// What most records take; nearly all are shorter than this and a line of the cache.
const RECORD_BYTES: usize = 48;

/// The entities of one shard, and what is true of each.
pub struct Current {
    key: HashKey,
    index: Index,
    arena: Arena,
    registrants: Names,
    extensions: Names,
    registered: usize,
}

/// Where a table has an entity, or that it has none. True until something is put for this entity.
#[derive(Clone, Copy, Debug)]
pub struct Position(Option<Place>);

/// A place in a walk over all entities, which may go on while the table changes.
#[derive(Clone, Copy, Debug)]
pub struct Walk {
    here: Place,
    /// Where the records ended when the walk began.
    end: Place,
}

impl Current {
    /// An empty table under the store's key.
    pub fn new(key: HashKey) -> Current {
        Current {
            key,
            index: Index::new(),
            arena: Arena::default(),
            registrants: Names::new(),
            extensions: Names::new(),
            registered: 0,
        }
    }

    /// The store's key.
    pub fn key(&self) -> HashKey {
        self.key
    }

    /// What is true of the entity with this name; `None` if it was never registered.
    pub fn standing(&self, hash: EntityHash, name: &str) -> Option<Standing<'_>> {
        self.standing_at(self.position(hash, name))
    }

    /// Where the table has the entity with this name, for whoever looks and then puts.
    pub fn position(&self, hash: EntityHash, name: &str) -> Position {
        Position(self.find(hash, name.as_bytes()))
    }

    /// What is true of the entity at this position; `None` if it was never registered.
    pub fn standing_at(&self, position: Position) -> Option<Standing<'_>> {
        position.0.map(|place| self.standing_of(&self.record(place)))
    }

    /// Asks for the memory of these entities, all of it at once, so that they are in the caches when they are looked up
    /// right after.
    pub fn prefetch(&self, hashes: impl Iterator<Item = EntityHash> + Clone) {
        hashes.clone().for_each(|hash| self.ask_for_index(hash));
        hashes.for_each(|hash| self.ask_for_record(hash));
    }

    /// Asks for what the index has of this entity.
    #[inline]
    pub(super) fn ask_for_index(&self, hash: EntityHash) {
        self.index.prefetch(hash.table_bits());
    }

    /// Asks for this entity's record, if there is one. What the index has of it should have been asked for long enough
    /// before.
    #[inline]
    pub(super) fn ask_for_record(&self, hash: EntityHash) {
        self.prefetch_record(self.index.near(hash.table_bits()));
    }

    /// Asks for the record's begin and for its end, since most lie in two lines of the cache; for those of any record
    /// where there is none, which spares a branch that could be guessed wrong.
    #[inline]
    fn prefetch_record(&self, place: Option<Place>) {
        let bytes = self.arena.at(place.unwrap_or(Place::START));
        if let Some(begin) = bytes.first() {
            prefetch(begin);
        }
        if let Some(end) = bytes.get(RECORD_BYTES) {
            prefetch(end);
        }
    }

    /// Notes what is true of an entity now. An older standing than the one noted (by sequence) changes nothing, so
    /// that a tail may be applied to a snapshot that already contains part of it.
    pub fn put(&mut self, hash: EntityHash, name: &str, standing: &Standing<'_>) {
        self.put_at(self.position(hash, name), hash, name, standing);
    }

    /// Does what [`put`](Self::put) does, for an entity that has this position. Inlined, so that the standing is taken apart
    /// where it is made.
    #[inline(always)]
    pub fn put_at(&mut self, position: Position, hash: EntityHash, name: &str, standing: &Standing<'_>) {
        let state = State {
            kind: self.code_of(&standing.kind),
            registered: standing.registered,
            sequence: standing.sequence,
            updated: standing.updated,
            registrant: self.registrants.number(standing.registrant),
            attributes: standing.attributes,
        };
        match position.0 {
            None => {
                let place = record::push(&mut self.arena, name, &state, Room::NONE);
                self.index.insert(hash.table_bits(), place);
            }
            Some(place) => {
                let present = self.record(place);
                if present.sequence() >= state.sequence {
                    return;
                }
                let room = present.room();
                self.registered -= usize::from(present.registered());
                if room.and_for(&state) == room {
                    record::overwrite(self.arena.at_mut(place), &state);
                } else {
                    record::abandon(self.arena.at_mut(place));
                    let moved = record::push(&mut self.arena, name, &state, room);
                    self.index.replace(hash.table_bits(), place, moved);
                }
            }
        }
        self.registered += usize::from(standing.registered);
    }

    /// Makes room in the index for as many entities more, so that it need not grow while they come.
    pub fn reserve(&mut self, entities: usize) {
        self.index.reserve(entities);
    }

    /// Entities that are or were registered.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether no entity was ever registered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entities that are registered now.
    pub fn registered(&self) -> usize {
        self.registered
    }

    /// Bytes of memory for records and index.
    pub fn bytes(&self) -> usize {
        self.arena.bytes() + self.index.bytes()
    }

    /// Whether some of the table has been filled, lies in small pages and would be found sooner in a huge one.
    pub fn may_move(&self) -> bool {
        self.index.may_move() || self.arena.may_move()
    }

    /// Moves some of the table, where [`may_move`](Self::may_move) says so, and returns the memory where it was. It takes
    /// as long as copying two MiB does. Nothing else changes: places, and walks that go on, stay what they are.
    pub fn move_to(&mut self, page: Region) -> Region {
        if self.index.may_move() { self.index.move_one(page) } else { self.arena.move_one(page) }
    }

    /// Whether the table can be given memory to grow into, of which it keeps four MiB at the most.
    pub fn wants_memory(&self) -> bool {
        self.index.wants_next() || self.arena.wants_next()
    }

    /// Gives memory to grow into, where [`wants_memory`](Self::wants_memory) says so. Its bytes MUST be zero.
    pub fn give_memory(&mut self, next: Region) {
        if self.arena.wants_next() { self.arena.give_next(next) } else { self.index.give_next(next) }
    }

    /// The start of a walk.
    pub fn walk(&self) -> Walk {
        Walk { here: Place::START, end: self.arena.end() }
    }

    /// Visits the entities from `walk` on, at the most `records_max`, and says where to go on; `None` when all that
    /// were in the table when the walk began have been visited. Those that changed meanwhile are visited with their
    /// standing at that moment, or not at all, if their record had to move. Those that are new are not visited.
    pub fn visit(
        &self,
        walk: Walk,
        records_max: usize,
        visitor: &mut dyn FnMut(EntityHash, &str, &Standing<'_>),
    ) -> Option<Walk> {
        let Walk { here: mut place, end } = walk;
        for _ in 0..records_max {
            let record = self.record(place);
            if place >= end || record.is_none() {
                return None;
            }
            if !record.abandoned() {
                visitor(self.key.hash(record.name()), record.name(), &self.standing_of(&record));
            }
            place = self.arena.next(place, record.bytes())?;
        }
        Some(Walk { here: place, end })
    }

    /// The hash of all standings, independent of their order and of how they are spread over shards.
    pub fn state_hash(&self) -> StateHash {
        self.state_hash_of(0, 1)
    }

    /// The share of the state hash that one of `parts` threads sums up; all shares together are
    /// [`state_hash`](Self::state_hash).
    pub fn state_hash_of(&self, part: usize, parts: usize) -> StateHash {
        let mut sum = StateSum::default();
        for mut rest in self.arena.chunks().skip(part).step_by(parts.max(1)) {
            while !rest.is_empty() {
                let record = Record(rest);
                if !record.abandoned() {
                    sum.add(record.name_bytes(), &self.standing_of(&record));
                }
                rest = rest.get(record.bytes()..).unwrap_or_default();
            }
        }
        sum.hash()
    }

    fn record(&self, place: Place) -> Record<'_> {
        Record(self.arena.at(place))
    }

    fn find(&self, hash: EntityHash, name: &[u8]) -> Option<Place> {
        self.index.find(hash.table_bits(), |place| self.record(place).is_named(name))
    }

    fn standing_of(&self, record: &Record<'_>) -> Standing<'_> {
        let State { kind, registered, sequence, updated, registrant, attributes } = record.state();
        let (kind, registrant) = (self.kind_of(kind), self.registrants.name(registrant));
        Standing { kind, registered, sequence, updated, registrant, attributes }
    }

    fn code_of(&mut self, kind: &Kind) -> Code {
        match kind {
            Kind::Extension(name) => Code::Extension(self.extensions.number(name)),
            closed => Code::Closed(closed.code()),
        }
    }

    fn kind_of(&self, code: Code) -> Kind {
        let extension = |number| Kind::extension(self.extensions.name(number));
        match code {
            Code::Closed(code) => Kind::from_code(code).unwrap_or_else(|| extension(0)),
            Code::Extension(number) => extension(number),
        }
    }
}
