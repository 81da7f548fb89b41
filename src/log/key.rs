//! Ordered keys: what sorts first by meaning sorts first by bytes, so all integers are big-endian.
//!
//! | area | key | bytes |
//! |---|---|---|
//! | log | first sequence of the batch | 8 |
//! | index | number of the run, and of the last of these entries: entity hash, sequence | 8 + 16 + 8 |
//! | state | snapshot, number of the chunk | 8 + 4 |
//! | access | time of the block's first record in ms, shard, counter | 8 + 2 + 4 |

use crate::types::{EntityHash, Sequence, Timestamp};

use super::fields::Malformed;

/// Where a key that has the wrong length is told.
const LENGTH: Malformed = Malformed("its key has the wrong length");

/// The key of the batch that begins at `first`.
pub fn log_key(first: Sequence) -> [u8; 8] {
    first.value().to_be_bytes()
}

/// Reads a key of the log.
///
/// # Errors
/// When the length is wrong.
pub fn read_log_key(key: &[u8]) -> Result<Sequence, Malformed> {
    key.try_into().map(|bytes| Sequence::new(u64::from_be_bytes(bytes))).map_err(|_| LENGTH)
}

/// By what the index orders its entries: that for the event at `sequence` and the entity with this hash.
pub fn entity_key(hash: EntityHash, sequence: Sequence) -> [u8; 24] {
    join(hash.to_be_bytes(), sequence.value().to_be_bytes())
}

/// Length of a key of the index.
pub const INDEX_KEY_BYTES: usize = 32;

/// The key of those entries of a run of which the last has this key.
pub fn index_key(run: u64, last: &[u8; 24]) -> [u8; INDEX_KEY_BYTES] {
    join(run.to_be_bytes(), *last)
}

/// Reads a key of the index.
///
/// # Errors
/// When the length is wrong.
pub fn read_index_key(key: &[u8]) -> Result<(u64, [u8; 24]), Malformed> {
    let (run, last) = key.split_first_chunk::<8>().ok_or(LENGTH)?;
    Ok((u64::from_be_bytes(*run), last.try_into().map_err(|_| LENGTH)?))
}

/// The key of a snapshot's chunk.
pub fn state_key(snapshot: u64, chunk: u32) -> [u8; 12] {
    join(snapshot.to_be_bytes(), chunk.to_be_bytes())
}

/// Reads a key of the state area.
///
/// # Errors
/// When the length is wrong.
pub fn read_state_key(key: &[u8]) -> Result<(u64, u32), Malformed> {
    let (snapshot, chunk) = key.split_first_chunk::<8>().ok_or(LENGTH)?;
    let chunk = chunk.try_into().map_err(|_| LENGTH)?;
    Ok((u64::from_be_bytes(*snapshot), u32::from_be_bytes(chunk)))
}

/// The number of the snapshot, or of the run, beside whose keys a key sorts, whatever its length is.
pub fn number_beside(key: &[u8]) -> u64 {
    let mut number = [0; 8];
    number.iter_mut().zip(key).for_each(|(byte, of_key)| *byte = *of_key);
    u64::from_be_bytes(number)
}

/// The key of a block of the access journal.
pub fn access_key(start: Timestamp, shard: u16, counter: u32) -> [u8; 14] {
    join(start.unix_ms().to_be_bytes(), join::<2, 4, 6>(shard.to_be_bytes(), counter.to_be_bytes()))
}

/// Reads a key of the access journal.
///
/// # Errors
/// When the length is wrong.
pub fn read_access_key(key: &[u8]) -> Result<(Timestamp, u16, u32), Malformed> {
    let (start, rest) = key.split_first_chunk::<8>().ok_or(LENGTH)?;
    let (shard, counter) = rest.split_first_chunk::<2>().ok_or(LENGTH)?;
    let counter = counter.try_into().map_err(|_| LENGTH)?;
    let start = Timestamp::from_unix_ms(u64::from_be_bytes(*start));
    Ok((start, u16::from_be_bytes(*shard), u32::from_be_bytes(counter)))
}

/// Two arrays as one; `C` is `A + B`.
fn join<const A: usize, const B: usize, const C: usize>(front: [u8; A], back: [u8; B]) -> [u8; C] {
    const { assert!(A + B == C, "the parts fill the whole") };
    let mut whole = [0; C];
    let (left, right) = whole.split_at_mut(A);
    left.copy_from_slice(&front);
    right.copy_from_slice(&back);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash(value: u128) -> EntityHash {
        EntityHash::from_be_bytes(value.to_be_bytes())
    }

    proptest! {
        #[test]
        fn keys_come_back(a: u64, b: u128, c: u32, d: u16) {
            let sequence = Sequence::new(a);
            let time = Timestamp::from_unix_ms(a);
            prop_assert_eq!(read_log_key(&log_key(sequence)), Ok(sequence));
            let entry = entity_key(hash(b), sequence);
            prop_assert_eq!(read_index_key(&index_key(a, &entry)), Ok((a, entry)));
            prop_assert_eq!(number_beside(&index_key(a, &entry)), a);
            prop_assert_eq!(read_state_key(&state_key(a, c)), Ok((a, c)));
            prop_assert_eq!(number_beside(&state_key(a, c)), a);
            prop_assert_eq!(read_access_key(&access_key(time, d, c)), Ok((time, d, c)));
        }

        /// Above whatever key, the chunks of the next snapshot have a place of their own.
        #[test]
        fn the_next_snapshot_sorts_above(key in proptest::collection::vec(any::<u8>(), 0..20)) {
            let beside = number_beside(&key);
            prop_assert!(beside == u64::MAX || key < state_key(beside + 1, 0).to_vec());
            prop_assert!(beside == 0 || state_key(beside - 1, u32::MAX).to_vec() < key);
        }

        #[test]
        fn keys_sort_as_their_meaning(a: (u64, u128, u32, u16), b: (u64, u128, u32, u16)) {
            let time = Timestamp::from_unix_ms;
            prop_assert_eq!(log_key(Sequence::new(a.0)).cmp(&log_key(Sequence::new(b.0))), a.0.cmp(&b.0));
            prop_assert_eq!(
                entity_key(hash(a.1), Sequence::new(a.0)).cmp(&entity_key(hash(b.1), Sequence::new(b.0))),
                (a.1, a.0).cmp(&(b.1, b.0))
            );
            let index = |of: (u64, u128, u32, u16)| index_key(of.2.into(), &entity_key(hash(of.1), Sequence::new(of.0)));
            prop_assert_eq!(index(a).cmp(&index(b)), (a.2, a.1, a.0).cmp(&(b.2, b.1, b.0)));
            prop_assert_eq!(state_key(a.0, a.2).cmp(&state_key(b.0, b.2)), (a.0, a.2).cmp(&(b.0, b.2)));
            prop_assert_eq!(
                access_key(time(a.0), a.3, a.2).cmp(&access_key(time(b.0), b.3, b.2)),
                (time(a.0), a.3, a.2).cmp(&(time(b.0), b.3, b.2))
            );
        }

        #[test]
        fn other_lengths_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(read_log_key(&bytes).is_ok(), bytes.len() == 8);
            prop_assert_eq!(read_index_key(&bytes).is_ok(), bytes.len() == INDEX_KEY_BYTES);
            prop_assert_eq!(read_state_key(&bytes).is_ok(), bytes.len() == 12);
            prop_assert_eq!(read_access_key(&bytes).is_ok(), bytes.len() == 14);
        }
    }

    #[test]
    fn keys_are_pinned() {
        assert_eq!(log_key(Sequence::new(0x0102)), [0, 0, 0, 0, 0, 0, 1, 2]);
        let key = entity_key(hash(0x0a), Sequence::new(0x0b));
        assert_eq!(key, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 11]);
        assert_eq!(index_key(12, &key), [&[0, 0, 0, 0, 0, 0, 0, 12][..], &key].concat()[..]);
        assert_eq!(state_key(1, 2), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
        assert_eq!(access_key(Timestamp::from_unix_ms(3), 4, 5), [0, 0, 0, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 5]);
    }
}
