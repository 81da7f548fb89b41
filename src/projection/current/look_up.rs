//! Lookups, many at a time.
//!
//! A processor waits for memory most of the time that a lookup takes, and can wait for many places at once as long as
//! none depends on another. So a block of lookups goes through the table in three rounds: where is the record, what
//! stands at its beginning, is it the one.

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
            let mut places = [None; TOGETHER];
            for (place, lookup) in places.iter_mut().zip(&*block) {
                *place = self.index.find(lookup.hash.table_bits(), |_| true);
            }
            let touched = places.iter().flatten().fold(0, |touched, place| touched ^ self.first_byte(*place));
            std::hint::black_box(touched);
            for (place, lookup) in places.into_iter().zip(block) {
                let Some(place) = self.place_of_name(place, lookup, names) else { continue };
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

    fn first_byte(&self, place: Place) -> u8 {
        self.arena.at(place).first().copied().unwrap_or(0)
    }

    /// The place of the lookup's record, given that of a record with nearly the same hash.
    fn place_of_name(&self, place: Option<Place>, lookup: &Lookup, names: &[u8]) -> Option<Place> {
        let name = lookup.name_in(names);
        // Another entity with the same 24 bits of hash stands before it once in some millions.
        match place {
            Some(near) if self.record(near).name_bytes() == name => place,
            Some(_) => self.find(lookup.hash, name),
            None => None,
        }
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
