//! The uses of nonces in one stripe, in the order in which they came.
//!
//! New ones are written behind the last, so that writing touches a line of the cache that is at hand, and those that are
//! over leave at the front. They lie in pieces, so that nothing moves when there are more, and memory goes back piece by
//! piece.

use std::collections::VecDeque;
use std::ops::Range;

use crate::types::{Sequence, Timestamp};

use super::{Remembered, is_over, prefetch};

/// Uses in a piece of memory.
const PIECE: usize = 64;

/// One use, in 32 bytes: there are as many as changes in ten minutes.
#[derive(Clone, Copy)]
pub(super) struct Use {
    /// The name's 96 bits.
    name: [u8; 12],
    fingerprint: [u8; 8],
    sequence: [u8; 6],
    time_ms: [u8; 6],
}

const _: () = assert!(size_of::<Use>() == 32);

impl Use {
    /// One that was taken out: none. No event has this place and this time, which never comes.
    const NONE: Use = Use { name: [0; 12], fingerprint: [0; 8], sequence: [u8::MAX; 6], time_ms: [u8::MAX; 6] };

    pub(super) fn new(seen: &Remembered) -> Use {
        let Remembered { nonce, fingerprint, sequence, time } = seen;
        Use {
            name: front(&nonce.to_le_bytes()),
            fingerprint: fingerprint.to_le_bytes(),
            sequence: front(&sequence.value().to_le_bytes()),
            time_ms: front(&time.unix_ms().to_le_bytes()),
        }
    }

    pub(super) fn remembered(&self) -> Remembered {
        Remembered {
            nonce: wide(&self.name),
            fingerprint: u64::from_le_bytes(self.fingerprint),
            sequence: Sequence::new(narrow(wide(&self.sequence))),
            time: self.time(),
        }
    }

    pub(super) fn is_named(&self, nonce: u128) -> bool {
        wide(&self.name) == nonce && !self.is_none()
    }

    pub(super) fn is_none(&self) -> bool {
        self.time_ms == Use::NONE.time_ms && self.sequence == Use::NONE.sequence
    }

    pub(super) fn time(&self) -> Timestamp {
        Timestamp::from_unix_ms(narrow(wide(&self.time_ms)))
    }

    /// Whether no repetition is acceptable any more, unless the clock is set back.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        is_over(self.time(), now)
    }
}

fn front<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

fn wide(bytes: &[u8]) -> u128 {
    let mut wide = [0; 16];
    wide[..bytes.len()].copy_from_slice(bytes);
    u128::from_le_bytes(wide)
}

#[allow(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn narrow(number: u128) -> u64 {
    number as u64
}

/// A queue of uses, each at a place that it keeps.
#[derive(Default)]
pub(super) struct Uses {
    pieces: VecDeque<Box<[Use; PIECE]>>,
    /// Uses that left the first piece.
    gone: usize,
    /// How many there are, also of those that were taken out.
    len: usize,
    /// Of those, how many were taken out.
    none: usize,
    /// The place of the first, of which only the low bits are known: places count on and begin anew.
    first: u32,
}

impl Uses {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len - self.none
    }

    /// Adds one behind the others, and gives its place. There MUST be fewer than 2^32.
    pub(super) fn push(&mut self, new: Use) -> u32 {
        let at = self.gone + self.len;
        if at == self.pieces.len() * PIECE {
            self.pieces.push_back(Box::new([Use::NONE; PIECE]));
        }
        if let Some(piece) = self.pieces.get_mut(at / PIECE) {
            piece[at % PIECE] = new;
            // Whoever writes the next one, a while later, shall not wait for it.
            if let Some(next) = piece.get(at % PIECE + 1) {
                prefetch(next);
            }
        }
        self.len += 1;
        self.last()
    }

    /// The use at this place, if it has not left.
    pub(super) fn get(&self, place: u32) -> Option<&Use> {
        let at = self.at(place)?;
        self.pieces.get(at / PIECE)?.get(at % PIECE)
    }

    /// As [`get`](Self::get).
    fn get_mut(&mut self, place: u32) -> Option<&mut Use> {
        let at = self.at(place)?;
        self.pieces.get_mut(at / PIECE)?.get_mut(at % PIECE)
    }

    /// Whether the use at this place has not left.
    pub(super) fn has(&self, place: u32) -> bool {
        self.at(place).is_some()
    }

    /// Takes a use out. Its place stays, unless it is the last one, as nearly always.
    pub(super) fn take(&mut self, place: u32) {
        let Some(known) = self.get_mut(place).filter(|known| !known.is_none()) else { return };
        *known = Use::NONE;
        self.none += 1;
        while self.len > 0 && self.get(self.last()).is_some_and(Use::is_none) {
            self.none -= 1;
            self.len -= 1;
        }
    }

    /// The place of the last one.
    fn last(&self) -> u32 {
        self.first.wrapping_add(count(self.len)).wrapping_sub(1)
    }

    /// The place of the first.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// Takes the first one off.
    pub(super) fn pop(&mut self) -> Option<Use> {
        let first = *self.get(self.first)?;
        self.none -= usize::from(first.is_none());
        self.len -= 1;
        self.gone += 1;
        self.first = self.first.wrapping_add(1);
        if self.gone == PIECE {
            self.gone = 0;
            self.pieces.pop_front();
        }
        Some(first)
    }

    /// Bytes held from the allocator, for the uses alone.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.pieces.len() * size_of::<[Use; PIECE]>()
    }

    /// Visits at the most so many between two places, and says where to go on; `None` when that is done.
    pub(super) fn visit(&self, span: Range<u32>, uses_max: usize, visitor: &mut dyn FnMut(&Use)) -> Option<u32> {
        let (begin, end) = (self.number_from(span.start), self.number_from(span.end));
        let stop = begin.saturating_add(uses_max).min(end);
        for number in begin..stop {
            let at = self.gone + number;
            let known = self.pieces.get(at / PIECE).and_then(|piece| piece.get(at % PIECE));
            if let Some(known) = known.filter(|known| !known.is_none()) {
                visitor(known);
            }
        }
        (stop < end).then(|| self.first.wrapping_add(count(stop)))
    }

    /// How many are before this place: none if it has left, all if it is not there yet.
    fn number_from(&self, place: u32) -> usize {
        let number = place.wrapping_sub(self.first);
        // Of all places half are behind the first, and half before.
        if number > u32::MAX / 2 { 0 } else { (number as usize).min(self.len) }
    }

    /// The places of all.
    pub(super) fn span(&self) -> Range<u32> {
        self.first..self.first.wrapping_add(count(self.len))
    }

    /// Where a place is in the pieces.
    fn at(&self, place: u32) -> Option<usize> {
        let number = place.wrapping_sub(self.first) as usize;
        (number < self.len).then_some(self.gone + number)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the low bits are meant")]
fn count(number: usize) -> u32 {
    number as u32
}
