//! The packed record of an entity: a fixed head, what it has room for, and its name, without padding.
//!
//! ```text
//! offset  bytes  what
//!      0      1  low four bits: code of the kind, 15 for an extension; above them the flags
//!      1      2  length of the name; the top bit: there are attributes
//!      3      4  number of the registrant
//!      7      6  sequence
//!     13      6  time of the last event, in milliseconds
//!     19      4  only with room for it: number of the extension kind
//!      .      8  only with room for it: fingerprint of the attributes
//!      .      .  the name
//! ```
//!
//! All but the name may change in place. A record that lacks room for what it needs moves, and has that room from
//! then on; so an entity moves twice at the most, whatever happens to it.

use super::arena::{Arena, Place};
use crate::types::limits::ENTITY_BYTES_MAX;
use crate::types::{Fingerprint, KindCode, Sequence, Timestamp};

pub(super) const HEAD_BYTES: usize = 19;
const KIND_BYTES: usize = 4;
const PRINT_BYTES: usize = 8;

const KIND_MASK: u8 = 0x0F;
const EXTENSION: u8 = 15;
const REGISTERED: u8 = 0x10;
const ABANDONED: u8 = 0x20;
const ROOM_FOR_KIND: u8 = 0x40;
const ROOM_FOR_PRINT: u8 = 0x80;
/// In the length of the name.
const HAS_PRINT: u16 = 0x8000;

const _: () = assert!(ENTITY_BYTES_MAX < HAS_PRINT as usize);

/// All that a record says of its entity but the name: what may change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    pub(super) kind: Code,
    pub(super) registered: bool,
    pub(super) sequence: Sequence,
    pub(super) updated: Timestamp,
    /// Its number in the table of registrants.
    pub(super) registrant: u32,
    pub(super) attributes: Option<Fingerprint>,
}

/// A kind by numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Code {
    /// The code of a kind that is not an extension: below 15.
    Closed(u8),
    /// The number of an extension in the table of extensions.
    Extension(u32),
}

/// What a record has room for, besides head and name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Room {
    kind: bool,
    print: bool,
}

impl Room {
    /// None.
    pub(super) const NONE: Room = Room { kind: false, print: false };

    /// This room, and what the state needs.
    pub(super) fn and_for(self, state: &State) -> Room {
        Room {
            kind: self.kind || matches!(state.kind, Code::Extension(_)),
            print: self.print || state.attributes.is_some(),
        }
    }

    fn of(flags: u8) -> Room {
        Room { kind: flags & ROOM_FOR_KIND != 0, print: flags & ROOM_FOR_PRINT != 0 }
    }

    /// Where the fingerprint stands, if there is room for one.
    fn print_at(self) -> usize {
        HEAD_BYTES + if self.kind { KIND_BYTES } else { 0 }
    }

    /// Where the name stands.
    fn name_at(self) -> usize {
        self.print_at() + if self.print { PRINT_BYTES } else { 0 }
    }
}

/// Appends a record.
pub(super) fn push(arena: &mut Arena, name: &str, state: &State, room: Room) -> Place {
    let room = room.and_for(state);
    let (place, bytes) = arena.push(room.name_at() + name.len());
    bytes[0] = if room.kind { ROOM_FOR_KIND } else { 0 } | if room.print { ROOM_FOR_PRINT } else { 0 };
    bytes[1..3].copy_from_slice(&u16::try_from(name.len()).unwrap_or(0).to_le_bytes());
    bytes[room.name_at()..].copy_from_slice(name.as_bytes());
    overwrite(bytes, state);
    place
}

/// Writes what may change into a record that has room for it.
pub(super) fn overwrite(bytes: &mut [u8], state: &State) {
    let room = Room::of(bytes[0]);
    let code = match state.kind {
        Code::Closed(code) => code & KIND_MASK,
        Code::Extension(number) => {
            bytes[HEAD_BYTES..HEAD_BYTES + KIND_BYTES].copy_from_slice(&number.to_le_bytes());
            EXTENSION
        }
    };
    let registered = if state.registered { REGISTERED } else { 0 };
    bytes[0] = bytes[0] & (ROOM_FOR_KIND | ROOM_FOR_PRINT) | registered | code;
    let mut length = read16(bytes) & !HAS_PRINT;
    if let Some(print) = state.attributes {
        length |= HAS_PRINT;
        bytes[room.print_at()..room.print_at() + PRINT_BYTES].copy_from_slice(&print.to_le_bytes());
    }
    bytes[1..3].copy_from_slice(&length.to_le_bytes());
    bytes[3..7].copy_from_slice(&state.registrant.to_le_bytes());
    bytes[7..13].copy_from_slice(&state.sequence.value().to_le_bytes()[..6]);
    bytes[13..19].copy_from_slice(&state.updated.unix_ms().to_le_bytes()[..6]);
}

/// Notes that a younger record of the entity exists.
pub(super) fn abandon(bytes: &mut [u8]) {
    bytes[0] |= ABANDONED;
}

/// A record's bytes, and whatever stands behind it in its chunk.
pub(super) struct Record<'a>(pub(super) &'a [u8]);

impl<'a> Record<'a> {
    /// Whether no record can be here: there is no chunk, or too little is left of it.
    pub(super) fn is_none(&self) -> bool {
        self.0.len() < HEAD_BYTES
    }

    pub(super) fn registered(&self) -> bool {
        self.0[0] & REGISTERED != 0
    }

    pub(super) fn abandoned(&self) -> bool {
        self.0[0] & ABANDONED != 0
    }

    pub(super) fn room(&self) -> Room {
        Room::of(self.0[0])
    }

    /// Length of the whole record.
    pub(super) fn bytes(&self) -> usize {
        self.room().name_at() + usize::from(read16(self.0) & !HAS_PRINT)
    }

    pub(super) fn sequence(&self) -> Sequence {
        Sequence::new(read48(self.0, 7))
    }

    #[inline]
    pub(super) fn name_bytes(&self) -> &'a [u8] {
        &self.0[self.room().name_at()..self.bytes()]
    }

    /// Whether this is the entity's name.
    #[inline]
    pub(super) fn is_named(&self, name: &[u8]) -> bool {
        is_same(self.name_bytes(), name)
    }

    /// The records hold only what was `str` when it was written, so this never falls back.
    pub(super) fn name(&self) -> &'a str {
        std::str::from_utf8(self.name_bytes()).unwrap_or_default()
    }

    pub(super) fn state(&self) -> State {
        State {
            kind: self.kind(),
            registered: self.registered(),
            sequence: self.sequence(),
            updated: self.updated(),
            registrant: read32(self.0, 3),
            attributes: self.attributes(),
        }
    }

    /// The code of the kind, by which an extension is no more than one.
    pub(super) fn kind_code(&self) -> KindCode {
        match self.0[0] & KIND_MASK {
            EXTENSION => KindCode::EXTENSION,
            code => KindCode::new(code),
        }
    }

    /// When the last event was.
    pub(super) fn updated(&self) -> Timestamp {
        Timestamp::from_unix_ms(read48(self.0, 13))
    }

    fn kind(&self) -> Code {
        match self.0[0] & KIND_MASK {
            EXTENSION => Code::Extension(read32(self.0, HEAD_BYTES)),
            code => Code::Closed(code),
        }
    }

    fn attributes(&self) -> Option<Fingerprint> {
        if read16(self.0) & HAS_PRINT == 0 {
            return None;
        }
        let bytes = self.0.get(self.room().print_at()..)?.first_chunk()?;
        Some(Fingerprint::from_le_bytes(*bytes))
    }
}

/// Whether two texts are the same. Nearly all names are so short that to call for the comparison costs as much as it.
#[inline]
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && match one.len() {
            8..=16 => has_same_ends::<8>(one, other),
            17..=32 => has_same_ends::<16>(one, other),
            _ => one == other,
        }
}

/// Whether the first so many bytes are the same, and the last, which may overlap with them.
#[inline]
fn has_same_ends<const BYTES: usize>(one: &[u8], other: &[u8]) -> bool {
    one.first_chunk::<BYTES>() == other.first_chunk() && one.last_chunk::<BYTES>() == other.last_chunk()
}

/// The length of the name, and its flag.
fn read16(bytes: &[u8]) -> u16 {
    u16::from_le_bytes([bytes[1], bytes[2]])
}

fn read32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn read48(bytes: &[u8], at: usize) -> u64 {
    let mut wide = [0; 8];
    wide[..6].copy_from_slice(&bytes[at..at + 6]);
    u64::from_le_bytes(wide)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// A name is the same as another if all its bytes are, however many those are and wherever one differs.
        #[test]
        fn a_name_is_told_from_any_other(name in prop::collection::vec(any::<u8>(), 100), change in 1..=u8::MAX) {
            for length in 0..name.len() {
                let mut other = name[..length].to_vec();
                prop_assert!(is_same(&name[..length], &other));
                for at in 0..length {
                    other[at] ^= change;
                    prop_assert!(!is_same(&name[..length], &other), "{} of {}", at, length);
                    other[at] ^= change;
                }
                // Also where the one is all that the other has at its ends.
                prop_assert!(!is_same(&vec![change; length], &vec![change; length + 1]));
            }
        }
    }
}
