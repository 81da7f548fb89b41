//! Buffers that the connections of a core lend each other.
//!
//! An answer is gathered, encrypted and handed to the socket in buffers that nobody needs between two answers. So they
//! belong to the core: the one that was used last, which is in the processor's caches, is the first to be used again, and
//! an idle connection holds none.

use std::cell::RefCell;

use crate::runtime::Buffer;

/// Bytes of a buffer that is kept at the most: the answers that are taken at once, as TLS records, and some room.
const BUFFER_BYTES_MAX: usize = 128 * 1024;
/// Bytes of all that are kept at the most.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is free of a core's buffers.
#[derive(Default)]
pub(super) struct Buffers(RefCell<Free>);

#[derive(Default)]
struct Free {
    buffers: Vec<Buffer>,
    bytes: usize,
}

impl Buffers {
    /// An empty buffer.
    pub(super) fn take(&self) -> Buffer {
        let mut free = self.0.borrow_mut();
        let buffer = free.buffers.pop().unwrap_or_default();
        free.bytes -= buffer.capacity();
        buffer
    }

    /// Takes a buffer back; what is in it is forgotten.
    pub(super) fn give(&self, mut buffer: Buffer) {
        let mut free = self.0.borrow_mut();
        let bytes = buffer.capacity();
        if (1..=BUFFER_BYTES_MAX).contains(&bytes) && free.bytes + bytes <= BYTES_MAX {
            buffer.clear();
            free.bytes += bytes;
            free.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer with so many bytes of memory.
    fn of(bytes: usize) -> Buffer {
        let mut buffer = Buffer::default();
        let held = buffer.end().len();
        buffer.end().reserve_exact(bytes - held);
        buffer.end().push(7);
        buffer
    }

    #[test]
    fn the_last_one_given_is_the_first_one_taken_and_is_empty() {
        let buffers = Buffers::default();
        assert_eq!(buffers.take().capacity(), 0);
        for bytes in [10_000, 20_000] {
            buffers.give(of(bytes));
        }
        let (second, first) = (buffers.take(), buffers.take());
        assert!(second.is_empty() && second.capacity() >= 20_000 && first.is_empty() && first.capacity() >= 10_000);
        assert_eq!(buffers.take().capacity(), 0);
    }

    #[test]
    fn no_more_is_kept_than_is_needed() {
        let buffers = Buffers::default();
        buffers.give(Buffer::default());
        buffers.give(of(BUFFER_BYTES_MAX + 1));
        assert!(buffers.0.borrow().buffers.is_empty());
        for _ in 0..100 {
            buffers.give(of(BUFFER_BYTES_MAX));
        }
        let kept = buffers.0.borrow().buffers.len();
        assert_eq!(kept, BYTES_MAX / BUFFER_BYTES_MAX);
        (0..kept).for_each(|_| drop(buffers.take()));
        assert_eq!(buffers.0.borrow().bytes, 0);
    }
}
