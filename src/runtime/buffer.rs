//! Buffers for bytes on their way to a socket, placed so that copying them is quick.
//!
//! The C library copies eight KiB and more by one instruction, `rep movsb`. Some processors (AMD's since Zen 3) take up
//! to twenty-five times as long for it where the destination lies in its page a little behind where the source lies in
//! its own: 4,600 in place of 180 ns for 16 KiB. Large pieces of memory begin with a page, and a record of TLS begins
//! with five bytes of its own, so answers that were copied from the begin of one piece into a record at the begin of
//! another met just that. Here what a buffer holds begins half a page further on.
//!
//! Source: the C library's bug 30994 (<https://sourceware.org/bugzilla/show_bug.cgi?id=30994>); `benches/micro/tls.rs`
//! measures both.

/// How far behind the begin of its memory a buffer's bytes begin: half a page, as far from either side as can be.
const HEADROOM_BYTES: usize = 2048;

/// Bytes that are gathered, encrypted or sent. An empty one has no memory.
#[derive(Default)]
pub struct Buffer {
    /// Empty, or with the headroom in front.
    memory: Vec<u8>,
}

impl Buffer {
    /// What it holds.
    pub fn bytes(&self) -> &[u8] {
        self.memory.get(HEADROOM_BYTES..).unwrap_or_default()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    /// Its end, for bytes to be put behind it. What stands before it MUST stay.
    pub fn end(&mut self) -> &mut Vec<u8> {
        if self.memory.is_empty() {
            self.memory.resize(HEADROOM_BYTES, 0);
        }
        &mut self.memory
    }

    /// Forgets what it holds, and keeps the memory.
    pub fn clear(&mut self) {
        self.memory.truncate(HEADROOM_BYTES);
    }

    /// Bytes of memory.
    pub fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// The memory, and where in it the bytes begin and end.
    pub(super) fn into_memory(self) -> (Vec<u8>, usize, usize) {
        let end = self.memory.len();
        (self.memory, HEADROOM_BYTES.min(end), end)
    }

    /// The buffer whose memory this was.
    pub(super) fn from_memory(memory: Vec<u8>) -> Buffer {
        Buffer { memory }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever is put into a buffer and in however many parts, it holds just that; and however often it is used
        /// again.
        #[test]
        fn a_buffer_holds_what_was_put_behind_its_end(
            uses in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..5), 0..4),
        ) {
            let mut buffer = Buffer::default();
            prop_assert_eq!((buffer.bytes(), buffer.capacity()), (&[][..], 0));
            for parts in uses {
                let whole = parts.concat();
                parts.iter().for_each(|part| buffer.end().extend_from_slice(part));
                prop_assert_eq!((buffer.bytes(), buffer.is_empty()), (&whole[..], whole.is_empty()));
                let (memory, begin, end) = buffer.into_memory();
                prop_assert_eq!(&memory[begin..end], &whole);
                buffer = Buffer::from_memory(memory);
                let capacity = buffer.capacity();
                buffer.clear();
                prop_assert_eq!((buffer.is_empty(), buffer.capacity()), (true, capacity));
            }
        }
    }
}
