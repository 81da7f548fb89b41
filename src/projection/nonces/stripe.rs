//! A part of the memory of nonces: the uses in the order in which they came, and an index by which one is found.
//!
//! The index is open addressing over buckets of a cache line each. A slot is 32 bits of the nonce's name and the place of
//! its use. What finds its bucket full goes into the next one. A use that is over leaves its slot behind, which is free
//! to what comes, and vanishes when the index is built anew.

use std::ops::Range;

use crate::types::Timestamp;
use crate::types::limits::REPLAY_WINDOW_S;

use super::uses::{Use, Uses};
use super::{Remembered, is_over};

/// Slots of a bucket.
const SLOTS: usize = 8;
/// A slot that was never used: none in which a nonce is looked for lies behind it. No tag is so high.
const EMPTY: u64 = u64::MAX;
/// A slot whose use was taken out.
const FREE: u64 = u64::MAX - 1;
/// Of so many slots at the most this many are not empty; see [`ROOM`].
const FULL: (usize, usize) = (5, 4);
/// An index that is built anew has this many slots for each use.
const ROOM: usize = 2;
/// One with this many slots for each use is built anew.
const SPARSE: usize = 16;

/// A line of the cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Bucket([u64; SLOTS]);

#[derive(Default)]
pub(super) struct Stripe {
    uses: Uses,
    index: Vec<Bucket>,
    /// Slots that are not empty.
    filled: usize,
    /// How many were put behind the others so far, of which only the low bits count.
    moved: u32,
    /// The time of the use at this place, which was the first when somebody looked: that one lies where nobody else does.
    first: Option<(u32, Timestamp)>,
    /// No use that was forgotten is younger. Zero: none was.
    pub(super) forgotten: Timestamp,
}

impl Stripe {
    /// How many uses are remembered.
    pub(super) fn len(&self) -> usize {
        self.uses.len()
    }

    /// Bytes held from the allocator.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.uses.bytes() + self.index.capacity() * size_of::<Bucket>()
    }

    /// The start of a walk over all that are remembered.
    pub(super) fn walk(&self) -> Walk {
        Walk { rest: self.uses.span(), moved: self.moved }
    }

    /// Visits at the most so many of those that are left of a walk, and says what is left then; `None` if nothing is.
    pub(super) fn visit(&self, walk: Walk, uses_max: usize, visitor: &mut dyn FnMut(&Use)) -> Option<Walk> {
        let end = walk.rest.end;
        if let Some(next) = self.uses.visit(walk.rest, uses_max, visitor) {
            return Some(Walk { rest: next..end, ..walk });
        }
        if walk.moved != self.moved {
            // Seldom: among all that came are those that were to be visited, and were put behind the others before.
            self.uses.visit(end..self.uses.span().end, usize::MAX, visitor);
        }
        None
    }

    /// Where the index lies.
    pub(super) fn location(&self) -> Location {
        Location { first: self.index.as_ptr().addr(), buckets: self.index.len() }
    }

    /// The use of this nonce.
    pub(super) fn find(&self, nonce: u128) -> Option<&Use> {
        self.uses.get(self.place(nonce)?)
    }

    /// Whether a command that was made then may be one whose use of its nonce was forgotten. Where it was made no earlier
    /// than the clock allows, and the clock was never set back, it is not.
    pub(super) fn may_have_forgotten(&self, made: Timestamp) -> bool {
        self.forgotten > Timestamp::ZERO && made.unix_s() <= self.forgotten.unix_s() + REPLAY_WINDOW_S
    }

    /// Notes a use of a nonce of which none is there.
    pub(super) fn put(&mut self, seen: &Remembered) {
        if (self.filled + 1) * FULL.0 > self.index.len() * SLOTS * FULL.1 {
            self.build();
        }
        let place = self.uses.push(Use::new(seen));
        self.enter(slot_of(tag_of(seen.nonce), place));
    }

    /// Forgets a use as if it had never been.
    pub(super) fn take(&mut self, nonce: u128) {
        if let Some(place) = self.place(nonce) {
            self.uses.take(place);
            self.first = None;
            // The place may be another's next.
            self.replace(slot_of(tag_of(nonce), place), FREE);
        }
    }

    /// Looks at the first few uses, and forgets those that are over. With each nonce that comes some are looked at, so that
    /// few are kept that are over.
    ///
    /// Nearly always the first one is the oldest. It is not where the clock was set back, or where uses came from a
    /// snapshot: one that is younger than `now`, or any where `all` is set, goes behind the others, so that it keeps
    /// those from leaving no longer.
    pub(super) fn forget(&mut self, now: Timestamp, uses: usize, all: bool) {
        let stays = |time: Timestamp| !(is_over(time, now) || all || time > now);
        if self.first.is_some_and(|(place, time)| place == self.uses.first() && stays(time)) {
            return;
        }
        for _ in 0..uses {
            let Some(first) = self.uses.get(self.uses.first()).copied() else { break };
            // One that was taken out has the latest of all times.
            if stays(first.time()) {
                self.first = Some((self.uses.first(), first.time()));
                break;
            }
            let is_over = first.is_over(now);
            self.uses.pop();
            if is_over {
                self.forgotten = self.forgotten.max(first.time());
            } else if !first.is_none() {
                self.move_behind(first);
            }
        }
        if self.index.len() * SLOTS > SPARSE * self.len().max(SLOTS) {
            self.build();
        }
    }

    /// Puts one that was first behind all others.
    fn move_behind(&mut self, first: Use) {
        let tag = tag_of(first.remembered().nonce);
        let from = self.uses.first().wrapping_sub(1);
        self.moved = self.moved.wrapping_add(1);
        let place = self.uses.push(first);
        self.replace(slot_of(tag, from), slot_of(tag, place));
    }

    fn replace(&mut self, from: u64, to: u64) {
        let home = self.home(tag_in(from));
        let (before, behind) = self.index.split_at_mut(home);
        let mut slots = behind.iter_mut().chain(before).flat_map(|bucket| &mut bucket.0);
        if let Some(slot) = slots.find(|slot| **slot == from || **slot == EMPTY).filter(|slot| **slot == from) {
            *slot = to;
        }
    }

    /// The place of the use of this nonce.
    fn place(&self, nonce: u128) -> Option<u32> {
        let tag = tag_of(nonce);
        let home = self.home(tag);
        // The index is never full, so an empty slot ends this.
        for number in (home..self.index.len()).chain(0..home) {
            for slot in &self.index.get(number)?.0 {
                if tag_in(*slot) == tag && self.uses.get(place_in(*slot)).is_some_and(|known| known.is_named(nonce)) {
                    return Some(place_in(*slot));
                }
                if *slot == EMPTY {
                    return None;
                }
            }
        }
        None
    }

    /// Makes a slot of its own for what is not there. There is one that is empty.
    fn enter(&mut self, new: u64) {
        let home = self.home(tag_in(new));
        let uses = &self.uses;
        let (before, behind) = self.index.split_at_mut(home);
        let mut slots = behind.iter_mut().chain(before).flat_map(|bucket| &mut bucket.0);
        if let Some(free) = slots.find(|slot| **slot >= FREE || !uses.has(place_in(**slot))) {
            self.filled += usize::from(*free == EMPTY);
            *free = new;
        }
    }

    /// Builds the index anew, with room for as many uses again. They are not looked at for it.
    fn build(&mut self) {
        let old = std::mem::take(&mut self.index);
        let kept = |uses: &Uses, slot: &u64| *slot < FREE && uses.has(place_in(*slot));
        let slots = || old.iter().flat_map(|bucket| &bucket.0);
        let count = slots().filter(|slot| kept(&self.uses, slot)).count();
        self.index = vec![Bucket([EMPTY; SLOTS]); ((count + 1) * ROOM).div_ceil(SLOTS)];
        self.filled = 0;
        for slot in slots() {
            if kept(&self.uses, slot) {
                self.enter(*slot);
            }
        }
    }

    /// The bucket where the slots with this tag begin.
    fn home(&self, tag: u32) -> usize {
        home(tag, self.index.len())
    }
}

/// What is left of a walk over the uses in a stripe, which may go on while they change: the places of those that were there
/// when it began.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    rest: Range<u32>,
    moved: u32,
}

/// Where an index lies in memory.
#[derive(Clone, Copy)]
pub(super) struct Location {
    /// The address of its first bucket.
    pub(super) first: usize,
    /// How many buckets it has.
    pub(super) buckets: usize,
}

impl Location {
    /// The address of the bucket in which this nonce would be looked for first.
    pub(super) fn home_of(self, nonce: u128) -> usize {
        self.first.wrapping_add(home(tag_of(nonce), self.buckets).wrapping_mul(size_of::<Bucket>()))
    }
}

/// Of so many buckets that one where the slots with this tag begin.
#[allow(clippy::cast_possible_truncation, reason = "below the number of buckets")]
fn home(tag: u32, buckets: usize) -> usize {
    ((u64::from(tag) * buckets as u64) >> u32::BITS) as usize
}

/// The names in the memory are hashes under a secret key already, so they are spread as they are. The stripe is chosen
/// by other bits.
#[allow(clippy::cast_possible_truncation, reason = "these bits are meant")]
fn tag_of(nonce: u128) -> u32 {
    ((nonce >> 32) as u32).min(u32::MAX - 1)
}

fn slot_of(tag: u32, place: u32) -> u64 {
    u64::from(tag) << u32::BITS | u64::from(place)
}

fn tag_in(slot: u64) -> u32 {
    (slot >> u32::BITS) as u32
}

#[allow(clippy::cast_possible_truncation, reason = "the low half is meant")]
fn place_in(slot: u64) -> u32 {
    slot as u32
}
