//! Blocks of the access journal: refused, or as many records as they say, none before the block began.

use repsec::log::AccessBlock;
use repsec::types::Timestamp;

use super::batch::sealed;

/// The first byte says whether the seal is made here; then comes a block.
pub fn run(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let bytes = if mode % 2 == 0 { rest.to_vec() } else { sealed(rest.to_vec()) };
    let start = Timestamp::from_unix_s(1_756_807_200);
    let Ok((shard, records)) = AccessBlock::decode(start, &bytes) else { return };
    assert_eq!(shard.to_le_bytes(), bytes[2..4]);
    let count = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    assert_eq!(u32::try_from(records.len()), Ok(count));
    assert!(records.iter().all(|record| record.time >= start));
    assert!(records.is_sorted_by_key(|record| record.time), "time runs backwards");
    // What was read can be kept again: pushing it makes no block that is longer than its records need.
    let mut block = AccessBlock::new(shard, start);
    records.iter().for_each(|record| block.push(record));
    assert_eq!(block.is_empty(), records.is_empty());
    assert!(block.start() == start && block.len_bytes() <= 8 + 40 * records.len());
}
