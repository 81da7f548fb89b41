//! Lookups, many at a time.
//!
//! They go through the table as on a belt (`projection::belt`), and what the index says on the way of where the record
//! is, is kept for when the record is read.

use crate::domain::{Found, Lookup, Lookups};
use crate::types::{KindCode, Sequence};

use super::super::arena::Place;
use super::super::belt::AHEAD;
use super::Current;

impl Current {
    /// Notes of each lookup what is true of its entity now, and says which event is the last that any of them saw.
    pub fn look_up(&self, lookups: &mut Lookups) -> Sequence {
        let (names, each) = lookups.each_mut();
        let (mut saw, mut extensions) = (Sequence::ZERO, false);
        let ahead = AHEAD.min(each.len());
        // Where the index says that records are: of the last `ahead` lookups, round and round.
        let (mut nears, mut turn) = ([None; AHEAD], 0);
        for step in 0..each.len() + 2 * ahead {
            if let Some(coming) = each.get(step) {
                self.index.prefetch(coming.hash.table_bits());
            }
            let Some(at) = step.checked_sub(ahead) else { continue };
            let near = each.get(at).and_then(|lookup| self.index.near(lookup.hash.table_bits()));
            self.prefetch_record(near);
            let near = std::mem::replace(&mut nears[turn], near);
            turn = if turn + 1 == ahead { 0 } else { turn + 1 };
            let Some(lookup) = at.checked_sub(ahead).and_then(|at| each.get_mut(at)) else { continue };
            let Some(place) = self.place_of_name(near, lookup, names) else { continue };
            let record = self.record(place);
            saw = saw.max(record.sequence());
            if record.registered() {
                let kind = record.kind_code();
                extensions |= kind == KindCode::EXTENSION;
                lookup.found = Found::Registered { kind, last_updated: record.updated() };
            }
        }
        if extensions {
            self.name_extensions(lookups);
        }
        saw
    }

    /// The place of the lookup's record, given that of a record with nearly the same hash.
    fn place_of_name(&self, near: Option<Place>, lookup: &Lookup, names: &[u8]) -> Option<Place> {
        let (near, name) = (near?, lookup.name_in(names));
        // With ten million entities, another one has the same 32 bits of hash once in 400 times.
        if self.record(near).is_named(name) { Some(near) } else { self.find(lookup.hash, name) }
    }

    #[cold]
    fn name_extensions(&self, lookups: &mut Lookups) {
        let is_extension =
            |lookup: &&Lookup| matches!(lookup.found, Found::Registered { kind, .. } if kind == KindCode::EXTENSION);
        let named: Vec<_> = lookups
            .each()
            .iter()
            .filter(is_extension)
            .filter_map(|lookup| {
                let place = self.find(lookup.hash, lookups.name(lookup))?;
                Some((lookup.place, self.standing_of(&self.record(place)).kind))
            })
            .collect();
        for (place, kind) in named {
            lookups.note_extension(place, kind);
        }
    }
}
