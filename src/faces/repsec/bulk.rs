//! The results of a bulk lookup, one for each name, while they gather.

use std::fmt;

use crate::domain::{Found, Lookups};
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
    results: Vec<NameResult>,
    missing: usize,
}

impl Gathering {
    /// Begins with what is known before the store was asked: [`NameResult::Missing`] for all good names.
    pub fn new(results: Vec<NameResult>) -> Gathering {
        let missing = results.iter().filter(|result| **result == NameResult::Missing).count();
        Gathering { results, missing }
    }

    /// Takes the store's answer about some of the names. Positions that are unknown or answered are ignored.
    pub fn fill(&mut self, part: &Lookups) {
        for lookup in part.each() {
            let place = usize::try_from(lookup.place).ok().and_then(|position| self.results.get_mut(position));
            if let Some(place @ NameResult::Missing) = place {
                *place = NameResult::from(lookup.found);
                self.missing -= 1;
            }
        }
    }

    /// Roughly how many bytes the answer will have, and what is kept for it has.
    pub fn weight_bytes(&self) -> usize {
        self.results.len() * RESULT_BYTES
    }

    /// Whether every name has its result.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// The results.
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
            let bad = NameResult::Bad(BadName::NoText);
            let known = owners.iter().map(|owner| if *owner == 4 { bad } else { NameResult::Missing }).collect();
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
            let mut gathering = Gathering::new(known);
            for owner in order.into_iter().filter(|owner| *owner != 4) {
                prop_assert_eq!(gathering.is_complete(), !owners.iter().enumerate().any(|(at, _)| {
                    gathering.results[at] == NameResult::Missing
                }));
                let part: Vec<_> = owners.iter().enumerate().filter(|(_, other)| **other == owner)
                    .map(|(at, _)| (u32::try_from(at).unwrap(), answer(at))).collect();
                gathering.fill(&part_of(part.clone()));
                // A part that comes again, and one from nowhere, change nothing.
                gathering.fill(&part_of(part.into_iter().map(|(at, _)| (at, Found::Nothing)).collect()));
                gathering.fill(&part_of(vec![(u32::MAX, Found::Nothing)]));
            }
            prop_assert!(gathering.is_complete());
            for (at, (result, owner)) in gathering.into_results().into_iter().zip(owners).enumerate() {
                let expected = if owner == 4 { bad } else { NameResult::from(answer(at)) };
                prop_assert_eq!(result, expected);
            }
        }
    }
}
