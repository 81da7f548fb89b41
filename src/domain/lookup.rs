//! Lookups: is this entity registered, and since when? Many of them together, since they are most of what is asked.
//!
//! The names stand one behind the other in one piece of memory, and what is found is noted beside the question, so that
//! a thousand lookups travel from floor to floor and back as one value, whose memory is used again.

use std::ops::Range;

use super::outcome::Unavailable;
use crate::types::{EntityHash, Kind, KindCode, Principal, Timestamp};

/// Lookups that travel together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lookups {
    /// Who asks.
    pub principal: Principal,
    names: Vec<u8>,
    each: Vec<Lookup>,
    /// The kinds that one byte cannot name, each with the place of its lookup.
    extensions: Vec<(u32, Kind)>,
}

/// One lookup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lookup {
    /// The keyed hash of the canonical name.
    pub hash: EntityHash,
    /// Where its answer belongs, in the words of whoever asks.
    pub place: u32,
    name: Range<u32>,
    /// What was found; [`Found::Nothing`] before anybody has looked.
    pub found: Found,
}

/// What a lookup finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Found {
    /// The entity is not registered.
    #[default]
    Nothing,
    /// It is.
    Registered {
        /// Its kind; of an extension, [`Lookups::extension`] has the name.
        kind: KindCode,
        /// When its state last changed.
        last_updated: Timestamp,
    },
    /// The store could not say.
    Unavailable(Unavailable),
}

impl Lookups {
    /// None yet.
    pub fn new(principal: Principal) -> Lookups {
        Lookups { principal, names: Vec::new(), each: Vec::new(), extensions: Vec::new() }
    }

    /// Adds one: the canonical name, with its hash.
    pub fn push(&mut self, place: u32, hash: EntityHash, name: &[u8]) {
        let begin = offset(self.names.len());
        self.names.extend_from_slice(name);
        let name = begin..offset(self.names.len());
        self.each.push(Lookup { hash, place, name, found: Found::Nothing });
    }

    /// Makes room for so many, whose names have so many bytes together.
    pub fn reserve(&mut self, lookups: usize, name_bytes: usize) {
        self.each.reserve(lookups);
        self.names.reserve(name_bytes);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// All of them, in the order in which they were added.
    pub fn each(&self) -> &[Lookup] {
        &self.each
    }

    /// The canonical name of one of them.
    pub fn name(&self, lookup: &Lookup) -> &[u8] {
        lookup.name_in(&self.names)
    }

    /// All of them, to note what is found, and the memory in which [`Lookup::name_in`] finds their names.
    pub fn each_mut(&mut self) -> (&[u8], &mut [Lookup]) {
        (&self.names, &mut self.each)
    }

    /// Notes the kind of what was found at this place, which one byte cannot name.
    pub fn note_extension(&mut self, place: u32, kind: Kind) {
        self.extensions.push((place, kind));
    }

    /// The kind of what was found at this place, where it is an extension.
    pub fn extension(&self, place: u32) -> Option<&Kind> {
        self.extensions.iter().find(|(at, _)| *at == place).map(|(_, kind)| kind)
    }

    /// Those of them that `belongs` says, as they were asked.
    #[must_use]
    pub fn part(&self, mut belongs: impl FnMut(&Lookup) -> bool) -> Lookups {
        let mut part = Lookups::new(self.principal.clone());
        for lookup in self.each.iter().filter(|lookup| belongs(lookup)) {
            part.push(lookup.place, lookup.hash, self.name(lookup));
        }
        part
    }

    /// Notes of all of them that the store could not say.
    pub fn fail(&mut self, why: Unavailable) {
        self.each.iter_mut().for_each(|lookup| lookup.found = Found::Unavailable(why));
    }

    /// Each of them alone, as it was asked.
    pub fn singly(&self) -> impl Iterator<Item = Lookups> {
        self.each.iter().map(|lookup| {
            let mut one = Lookups::new(self.principal.clone());
            one.push(lookup.place, lookup.hash, self.name(lookup));
            one
        })
    }

    /// Forgets them, and keeps the memory for others.
    pub fn clear(&mut self) {
        self.names.clear();
        self.each.clear();
        self.extensions.clear();
    }
}

impl Lookup {
    /// Its canonical name, in the memory of the names that it travels with.
    pub fn name_in<'a>(&self, names: &'a [u8]) -> &'a [u8] {
        names.get(self.name.start as usize..self.name.end as usize).unwrap_or_default()
    }
}

/// The names of one message, or of the messages of one read, are far from 4 GiB.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::HashKey;

    proptest! {
        /// Names stay with their places, however they are dealt out, and again when the memory is used again.
        #[test]
        fn every_part_has_its_names(names in proptest::collection::vec(("[a-z.]{0,20}", 0..3_u32), 0..40)) {
            let key = HashKey::new([3; 16]);
            let mut lookups = Lookups::new(Principal::Anonymous);
            for _ in 0..2 {
                lookups.clear();
                for (place, (name, _)) in (0..).zip(&names) {
                    lookups.push(place, key.hash(name), name.as_bytes());
                }
                prop_assert_eq!(lookups.len(), names.len());
                prop_assert_eq!(lookups.is_empty(), names.is_empty());
                let owner = |lookup: &Lookup| names[lookup.place as usize].1;
                let parts: Vec<Lookups> = (0..3).map(|part| lookups.part(|lookup| owner(lookup) == part)).collect();
                prop_assert_eq!(parts.iter().map(Lookups::len).sum::<usize>(), names.len());
                for (part, number) in parts.iter().zip(0..) {
                    prop_assert!(part.each().is_sorted_by_key(|lookup| lookup.place));
                    for lookup in part.each() {
                        let (name, owner) = &names[lookup.place as usize];
                        prop_assert_eq!(*owner, number);
                        prop_assert_eq!(part.name(lookup), name.as_bytes());
                        prop_assert_eq!(lookup.hash, key.hash(name));
                    }
                }
            }
        }
    }
}
