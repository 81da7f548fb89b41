//! Long values as they lie in the database: compressed before they are written.
//!
//! RocksDB would compress them in its tables, when they have gone through its write-ahead log and its memory in full
//! length. So they go there in a third of it, and the sync has less to wait for.
//!
//! A packed value is the byte 255, the length of the value (u32, little-endian), and an LZ4 block. What begins with
//! another byte lies as it is: what does not get shorter, and what earlier versions wrote.

use lz4::block::{CompressionMode, compress_bound, compress_to_buffer, decompress_to_buffer};

const PACKED: u8 = 255;
const HEADER_BYTES: usize = 5;
/// LZ4 makes of a byte no more than that. A damaged length must not ask for more memory.
const EXPANSION_MAX: usize = 255;

/// The value as it is to lie, in `buffer` if it is packed.
pub(super) fn pack<'a>(value: &'a [u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    let (Ok(length), Ok(bound)) = (u32::try_from(value.len()), compress_bound(value.len())) else { return value };
    let room = HEADER_BYTES + bound;
    if buffer.len() < room {
        buffer.resize(room, 0);
    }
    let (header, rest) = buffer.split_at_mut(HEADER_BYTES);
    header[0] = PACKED;
    header[1..].copy_from_slice(&length.to_le_bytes());
    match compress_to_buffer(value, Some(CompressionMode::DEFAULT), false, rest) {
        Ok(packed) if HEADER_BYTES + packed < value.len() || value.first() == Some(&PACKED) => {
            &buffer[..HEADER_BYTES + packed]
        }
        _ => value,
    }
}

/// The value that lies there as `stored`, in `buffer` if it was packed. What cannot be unpacked is shown as it lies: to
/// whoever reads it, it is no value of its kind.
pub fn unpack<'a>(stored: &'a [u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    unpacked(stored, buffer).map_or(stored, |length| &buffer[..length])
}

fn unpacked(stored: &[u8], buffer: &mut Vec<u8>) -> Option<usize> {
    let (header, packed) = stored.split_first_chunk::<HEADER_BYTES>()?;
    let (tag, length) = header.split_first_chunk::<1>()?;
    let length = i32::from_le_bytes(length.try_into().ok()?);
    let room = usize::try_from(length).ok().filter(|room| *room <= packed.len().saturating_mul(EXPANSION_MAX))?;
    if *tag != [PACKED] {
        return None;
    }
    if buffer.len() < room {
        buffer.resize(room, 0);
    }
    decompress_to_buffer(packed, Some(length), buffer).ok().filter(|unpacked| *unpacked == room)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever a value is, it comes back; and a long one that repeats itself lies in less.
        #[test]
        fn values_come_back(
            part in proptest::collection::vec(any::<u8>(), 0..300),
            times in 0..50_usize,
            tag in any::<Option<u8>>(),
            used in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let mut value = part.repeat(times);
            if let (Some(first), Some(tag)) = (value.first_mut(), tag) {
                *first = tag;
            }
            let (mut one, mut other) = (used.clone(), used);
            let stored = pack(&value, &mut one);
            prop_assert!(stored.len() <= value.len() + 20);
            prop_assert!(times < 10 || part.len() < 20 || stored.len() < value.len() / 2);
            prop_assert_eq!(unpack(stored, &mut other), &value);
            // Also one that looks as if it were packed.
            let (stored, mut third) = (stored.to_vec(), Vec::new());
            prop_assert_eq!(unpack(pack(&stored, &mut third), &mut other), &stored);
        }

        /// Bytes that nobody packed are shown as they are, or are something else: never a panic, never much memory.
        #[test]
        fn any_bytes_are_harmless(mut stored in proptest::collection::vec(any::<u8>(), 0..200), packed: bool) {
            if let (Some(first), true) = (stored.first_mut(), packed) {
                *first = PACKED;
            }
            let mut buffer = Vec::new();
            let shown = unpack(&stored, &mut buffer).to_vec();
            prop_assert!(shown == stored || stored[0] == PACKED);
            prop_assert!(buffer.len() <= stored.len() * EXPANSION_MAX);
        }
    }

    /// What lies there stays readable.
    #[test]
    fn the_packed_form_is_pinned() {
        let value = [b"RSLB".as_slice(), &[7; 100]].concat();
        let mut buffer = Vec::new();
        let stored = pack(&value, &mut buffer).to_vec();
        assert_eq!(stored[..10], [255, 104, 0, 0, 0, 0x5f, b'R', b'S', b'L', b'B']);
        assert_eq!(unpack(&stored, &mut Vec::new()), value);
        // One bit, a shorter end, a longer length: not that value.
        for at in 1..5 {
            let mut other = stored.clone();
            other[at] ^= 1;
            assert_eq!(unpack(&other, &mut Vec::new()), other);
        }
        assert_eq!(unpack(&stored[..stored.len() - 1], &mut Vec::new()), &stored[..stored.len() - 1]);
    }
}
