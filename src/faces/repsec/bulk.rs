//! The results of a bulk lookup, one for each name, while they gather.

use std::fmt;

use crate::domain::{Found, Lookup, Lookups};
use crate::types::{EntityError, Timestamp};

use super::status::ErrorCode;

/// Roughly what one result takes in an answer, in bytes.
pub const RESULT_BYTES: usize = 72;

/// Why a text, or what stands in its place, names no entity.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BadName {
    /// Not a string.
    NoText,
    /// More octets than this.
    TooLong(usize),
    /// No entity.
    Refused(EntityError),
}

impl BadName {
    /// The error code that goes with it.
    pub fn code(self) -> ErrorCode {
        match self {
            BadName::NoText => ErrorCode::InvalidMember,
            BadName::Refused(EntityError::KindMismatch { .. }) => ErrorCode::TypeMismatch,
            BadName::TooLong(_) | BadName::Refused(_) => ErrorCode::InvalidEntity,
        }
    }
}

/// A part of a sentence, to stand behind the name of the member.
impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadName::NoText => f.write_str("must be a string"),
            BadName::TooLong(bytes_max) => write!(f, "must not be longer than {bytes_max} octets"),
            BadName::Refused(error) => error.fmt(f),
        }
    }
}

/// What is known of one name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameResult {
    /// Nothing yet.
    Missing,
    /// It names no entity.
    Bad(BadName),
    /// Not registered.
    NotRegistered,
    /// Registered.
    Registered {
        /// Whether the claim holds.
        verified: bool,
        /// When its state last changed.
        last_updated: Timestamp,
    },
}

/// The results of one bulk lookup, in the order of its names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gathering {
    /// How many names there are.
    names: usize,
    /// Their results; none before one of them is known.
    results: Vec<NameResult>,
    missing: usize,
}

impl Gathering {
    /// Begins with so many names, of which these are bad in themselves; the store is asked for all others.
    pub fn new(names: usize, bad: impl IntoIterator<Item = (usize, BadName)>) -> Gathering {
        let mut gathering = Gathering { names, results: Vec::new(), missing: names };
        bad.into_iter().for_each(|(place, why)| gathering.note(place, NameResult::Bad(why)));
        gathering
    }

    /// Whether this part is the store's answer about all of the names, in their order, and nothing else is known of them:
    /// then it is the answer as it is.
    pub fn is_all_in(&self, part: &Lookups) -> bool {
        let in_order = |(lookup, place): (&Lookup, u32)| lookup.place == place;
        self.missing == self.names && part.len() == self.names && part.each().iter().zip(0..).all(in_order)
    }

    /// Takes the store's answer about some of the names. Positions that are unknown or answered are ignored.
    pub fn fill(&mut self, part: &Lookups) {
        for lookup in part.each() {
            if let Ok(place) = usize::try_from(lookup.place) {
                self.note(place, NameResult::from(lookup.found));
            }
        }
    }

    fn note(&mut self, place: usize, result: NameResult) {
        if self.results.is_empty() {
            self.results = vec![NameResult::Missing; self.names];
        }
        if let Some(known @ NameResult::Missing) = self.results.get_mut(place) {
            *known = result;
            self.missing -= 1;
        }
    }

    /// Roughly how many bytes the answer will have, and what is kept for it has.
    pub fn weight_bytes(&self) -> usize {
        self.names * RESULT_BYTES
    }

    /// Whether every name has its result.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// The results, once they are complete.
    pub fn into_results(self) -> Vec<NameResult> {
        self.results
    }
}

impl From<Found> for NameResult {
    fn from(found: Found) -> NameResult {
        match found {
            Found::Nothing => NameResult::NotRegistered,
            Found::Registered { last_updated, kind: _ } => NameResult::Registered { verified: true, last_updated },
            // A bulk lookup that the store cannot answer fails as a whole, so this does not occur.
            Found::Unavailable(_) => NameResult::Missing,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{HashKey, KindCode, Principal};

    proptest! {
        /// However the names are dealt out, and in whatever order the parts come back, each name gets its own result,
        /// once.
        #[test]
        fn parts_in_any_order_make_the_whole(
            owners in proptest::collection::vec(0..5_usize, 0..60),
            order in Just([0, 1, 2, 3, 4]).prop_shuffle(),
        ) {
            // Owner 4 stands for names that are bad in themselves.
            let bad = owners.iter().enumerate().filter(|(_, owner)| **owner == 4).map(|(at, _)| (at, BadName::NoText));
            let answer = |at: usize| {
                let last_updated = Timestamp::from_unix_s(u64::try_from(at).unwrap());
                let registered = Found::Registered { kind: KindCode::new(1), last_updated };
                if at.is_multiple_of(3) { Found::Nothing } else { registered }
            };
            let part_of = |found: Vec<(u32, Found)>| {
                let mut part = Lookups::new(Principal::Anonymous);
                found.iter().for_each(|(at, _)| part.push(*at, HashKey::new([0; 16]).hash(""), b""));
                part.each_mut().1.iter_mut().zip(found).for_each(|(lookup, (_, found))| lookup.found = found);
                part
            };
            let mut gathering = Gathering::new(owners.len(), bad);
            for owner in order.into_iter().filter(|owner| *owner != 4) {
                prop_assert_eq!(gathering.is_complete(), !owners.iter().enumerate().any(|(at, _)| {
                    gathering.results.get(at).is_none_or(|result| *result == NameResult::Missing)
                }));
                let part: Vec<_> = owners.iter().enumerate().filter(|(_, other)| **other == owner)
                    .map(|(at, _)| (u32::try_from(at).unwrap(), answer(at))).collect();
                let alone = part.len() == owners.len();
                prop_assert_eq!(gathering.is_all_in(&part_of(part.clone())), alone);
                if alone && part.len() > 1 {
                    prop_assert!(!gathering.is_all_in(&part_of(part[1..].to_vec())));
                    prop_assert!(!gathering.is_all_in(&part_of(part.iter().rev().copied().collect())));
                }
                gathering.fill(&part_of(part.clone()));
                // A part that comes again, and one from nowhere, change nothing.
                gathering.fill(&part_of(part.into_iter().map(|(at, _)| (at, Found::Nothing)).collect()));
                gathering.fill(&part_of(vec![(u32::MAX, Found::Nothing)]));
            }
            prop_assert!(gathering.is_complete());
            for (at, (result, owner)) in gathering.into_results().into_iter().zip(owners).enumerate() {
                let expected = if owner == 4 { NameResult::Bad(BadName::NoText) } else { NameResult::from(answer(at)) };
                prop_assert_eq!(result, expected);
            }
        }
    }
}
