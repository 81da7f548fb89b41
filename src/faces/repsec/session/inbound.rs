//! The receive buffer of a session.
//!
//! Behind the bytes from the peer there is always room for the parser's padding, so that messages are parsed where
//! they lie. Bytes move only when that pays: every byte is moved a bounded number of times on average, however the
//! stream is cut.

use crate::wire::json::PADDING_BYTES;

/// The least room for a read.
const ROOM_BYTES_MIN: usize = 2 * 1024;
/// What an idle session keeps.
const KEPT_BYTES: usize = 8 * 1024;
/// What is lent to the next session at the most: room for what is received at once.
const LENT_BYTES_MAX: usize = 256 * 1024;
/// Bytes that wait at the most when they move into memory that is lent: a message or two of the usual length. More would
/// move with each read, however few bytes it brings.
const MOVED_BYTES_MAX: usize = 2 * 1024;

/// Bytes from the peer that are not yet worked off.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// `begin..end` are bytes from the peer; at least [`PADDING_BYTES`] more follow, except in an empty buffer.
    memory: Vec<u8>,
    begin: usize,
    end: usize,
    /// Whether the memory is lent.
    is_lent: bool,
}

impl Inbound {
    /// Bytes from the peer.
    pub(super) fn bytes(&self) -> &[u8] {
        self.memory.get(self.begin..self.end).unwrap_or_default()
    }

    /// Bytes from the peer from `at` on, and padding behind them.
    pub(super) fn padded(&self, at: usize) -> &[u8] {
        self.memory.get(self.begin + at..).unwrap_or_default()
    }

    /// As [`padded`](Self::padded), to be parsed in place.
    pub(super) fn padded_mut(&mut self, at: usize) -> &mut [u8] {
        self.memory.get_mut(self.begin + at..).unwrap_or_default()
    }

    /// Room for more bytes; never empty.
    pub(super) fn room_mut(&mut self) -> &mut [u8] {
        let waiting = self.end - self.begin;
        if waiting == 0 {
            (self.begin, self.end) = (0, 0);
        }
        if self.room() < ROOM_BYTES_MIN && self.begin >= waiting && self.begin > 0 {
            // No more bytes move than were worked off since the last move.
            self.memory.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, waiting);
        }
        if self.room() < ROOM_BYTES_MIN {
            let larger = (2 * self.memory.len()).max(self.end + ROOM_BYTES_MIN + PADDING_BYTES);
            self.memory.resize(larger, 0);
        }
        let room_end = self.memory.len() - PADDING_BYTES;
        self.memory.get_mut(self.end..room_end).unwrap_or_default()
    }

    fn room(&self) -> usize {
        self.memory.len().saturating_sub(PADDING_BYTES).saturating_sub(self.end)
    }

    /// Takes over bytes that were written into the room.
    pub(super) fn commit(&mut self, count: usize) {
        assert!(count <= self.room(), "more bytes were committed than there was room for");
        self.end += count;
    }

    /// Drops the first `count` bytes.
    pub(super) fn forget(&mut self, count: usize) {
        self.begin = (self.begin + count).min(self.end);
    }

    /// Takes memory that is lent, where that is more than its own. The few bytes that wait move along.
    pub(super) fn borrow_memory(&mut self, lent: &mut Vec<u8>) {
        if self.bytes().len() <= MOVED_BYTES_MAX && lent.len() > self.memory.len() {
            self.move_to(std::mem::take(lent));
            self.is_lent = true;
        }
    }

    /// Gives memory that is lent, or in which no byte waits, to where it may be lent from, in place of less. Bytes that
    /// wait move into memory of their own, which is as long as they need: so a peer that does not end its message holds no
    /// more than it has sent.
    pub(super) fn return_memory(&mut self, lent: &mut Vec<u8>) {
        let waiting = self.bytes().len();
        if !std::mem::take(&mut self.is_lent) && waiting > 0 {
            return;
        }
        let own = if waiting == 0 { Vec::new() } else { vec![0; waiting + PADDING_BYTES] };
        let memory = self.move_to(own);
        if (lent.len() + 1..=LENT_BYTES_MAX).contains(&memory.len()) {
            *lent = memory;
        }
    }

    /// Moves the bytes that wait into other memory, which MUST have room for them and for the padding, and returns what
    /// they leave.
    fn move_to(&mut self, mut memory: Vec<u8>) -> Vec<u8> {
        let waiting = self.bytes().len();
        if let Some(to) = memory.get_mut(..waiting) {
            to.copy_from_slice(self.bytes());
        }
        (self.begin, self.end) = (0, waiting);
        std::mem::replace(&mut self.memory, memory)
    }

    /// Gives back what an idle connection does not need.
    pub(super) fn release_memory(&mut self) {
        if self.begin == self.end && self.memory.len() > KEPT_BYTES {
            *self = Inbound::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// It is a queue of bytes, whatever is put in and taken out.
        #[test]
        fn bytes_leave_as_they_came(steps in proptest::collection::vec((0..9000_usize, 0..9000_usize, any::<bool>()), 1..60)) {
            let (mut inbound, mut expected, mut next) = (Inbound::default(), Vec::new(), 0_u8);
            for (put, take, release) in steps {
                let room = inbound.room_mut();
                prop_assert!(room.len() >= ROOM_BYTES_MIN);
                let put = put.min(room.len());
                for byte in &mut room[..put] {
                    next = next.wrapping_mul(31).wrapping_add(7);
                    *byte = next;
                    expected.push(next);
                }
                inbound.commit(put);
                prop_assert_eq!(inbound.bytes(), &expected);
                prop_assert!(inbound.padded_mut(0).len() >= expected.len() + PADDING_BYTES);
                let take = take.min(expected.len());
                inbound.forget(take);
                expected.drain(..take);
                if release {
                    inbound.release_memory();
                }
                prop_assert_eq!(inbound.bytes(), &expected);
            }
        }

        /// However two of them lend each other memory, each is the queue that it would be alone; and what is empty has none.
        #[test]
        fn memory_that_is_lent_changes_nothing(steps in proptest::collection::vec((any::<bool>(), 0..9000_usize, 0..9000_usize), 1..60)) {
            let (mut both, mut lent, mut next) = ([Inbound::default(), Inbound::default()], Vec::new(), 0_u8);
            let mut expected = [Vec::new(), Vec::new()];
            for (second, put, take) in steps {
                let (inbound, expected) = (&mut both[usize::from(second)], &mut expected[usize::from(second)]);
                inbound.borrow_memory(&mut lent);
                let room = inbound.room_mut();
                let put = put.min(room.len());
                for byte in &mut room[..put] {
                    next = next.wrapping_mul(31).wrapping_add(7);
                    *byte = next;
                    expected.push(next);
                }
                inbound.commit(put);
                let take = take.min(expected.len());
                inbound.forget(take);
                expected.drain(..take);
                inbound.return_memory(&mut lent);
                prop_assert_eq!(inbound.bytes(), &*expected);
                prop_assert_eq!(inbound.memory.is_empty(), expected.is_empty());
                prop_assert!(inbound.memory.is_empty() || inbound.padded_mut(0).len() >= expected.len() + PADDING_BYTES);
            }
        }

        /// What is worked off at once never makes the buffer grow.
        #[test]
        fn a_stream_that_is_worked_off_needs_little(sizes in proptest::collection::vec(1..2048_usize, 1..200)) {
            let mut inbound = Inbound::default();
            for size in sizes {
                inbound.room_mut();
                inbound.commit(size);
                inbound.forget(size - 1);
                let left = inbound.bytes().len();
                inbound.forget(left.saturating_sub(100));
            }
            prop_assert!(inbound.memory.len() <= 4 * ROOM_BYTES_MIN);
        }
    }

    #[test]
    fn a_message_without_an_end_holds_no_more_than_its_bytes() {
        for waiting in [10, MOVED_BYTES_MAX, MOVED_BYTES_MAX + 1, 50_000] {
            let (mut inbound, mut lent) = (Inbound::default(), vec![7; LENT_BYTES_MAX]);
            inbound.borrow_memory(&mut lent);
            inbound.room_mut()[..waiting].fill(1);
            inbound.commit(waiting);
            inbound.return_memory(&mut lent);
            assert_eq!((inbound.memory.len(), lent.len()), (waiting + PADDING_BYTES, LENT_BYTES_MAX));
            // What is much does not move with each read.
            inbound.borrow_memory(&mut lent);
            assert_eq!(lent.is_empty(), waiting <= MOVED_BYTES_MAX);
            inbound.room_mut()[..1].fill(1);
            inbound.commit(1);
            inbound.return_memory(&mut lent);
            assert_eq!((inbound.bytes(), lent.len()), (&*vec![1; waiting + 1], LENT_BYTES_MAX));
        }
    }

    #[test]
    fn no_more_is_lent_than_is_received_at_once() {
        let (mut inbound, mut lent) = (Inbound::default(), Vec::new());
        while inbound.memory.len() <= LENT_BYTES_MAX {
            let room = inbound.room_mut().len();
            inbound.commit(room);
        }
        inbound.forget(usize::MAX / 2);
        inbound.return_memory(&mut lent);
        assert_eq!((inbound.memory.len(), lent.len()), (0, 0));
    }
}
