//! Lookups, many at a time.
//!
//! A processor waits for memory most of the time that a lookup takes, and can wait for many places at once as long as
//! none depends on another. So a block of lookups goes through the table in four rounds: touch the index, see where the
//! record is, touch the record, see whether it is the one.

use crate::domain::{Found, Lookup, Lookups};
use crate::types::{KindCode, Sequence};

use super::super::arena::Place;
use super::Current;

/// Lookups that go through the table together: as many as a core has loads in flight, and some more.
const TOGETHER: usize = 32;

impl Current {
    /// Notes of each lookup what is true of its entity now, and says which event is the last that any of them saw.
    pub fn look_up(&self, lookups: &mut Lookups) -> Sequence {
        let (names, each) = lookups.each_mut();
        let (mut saw, mut extensions) = (Sequence::ZERO, false);
        for block in each.chunks_mut(TOGETHER) {
            let touched = block.iter().fold(0, |touched, lookup| touched ^ self.index.touch(lookup.hash.table_bits()));
            std::hint::black_box(touched);
            let mut nears = [None; TOGETHER];
            for (near, lookup) in nears.iter_mut().zip(&*block) {
                *near = self.index.near(lookup.hash.table_bits());
            }
            let touched = nears.iter().fold(0, |touched, near| touched ^ self.touch_record(*near));
            std::hint::black_box(touched);
            for (near, lookup) in nears.into_iter().zip(block) {
                let Some(place) = self.place_of_name(near, lookup, names) else { continue };
                let record = self.record(place);
                saw = saw.max(record.sequence());
                if record.registered() {
                    let kind = record.kind_code();
                    extensions |= kind == KindCode::EXTENSION;
                    lookup.found = Found::Registered { kind, last_updated: record.updated() };
                }
            }
        }
        if extensions {
            self.name_extensions(lookups);
        }
        saw
    }

    /// A little of the record; of any where there is none, which spares a branch that could be guessed wrong.
    fn touch_record(&self, place: Option<Place>) -> u8 {
        self.arena.at(place.unwrap_or(Place::START)).first().copied().unwrap_or(0)
    }

    /// The place of the lookup's record, given that of a record with nearly the same hash.
    fn place_of_name(&self, near: Option<Place>, lookup: &Lookup, names: &[u8]) -> Option<Place> {
        let (near, name) = (near?, lookup.name_in(names));
        // With ten million entities, another one has the same part and tag once in 400 times.
        if self.record(near).name_bytes() == name { Some(near) } else { self.find(lookup.hash, name) }
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
