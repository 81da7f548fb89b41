//! The access journal: what was asked and changed nothing (P4), in compact records, many to a block.
//!
//! A block on disk: version 1, shard (u16), count of records (u32), records, BLAKE3 of everything before. A record:
//! milliseconds since the record before it, or since the block's begin (LEB128); command (u8); status (u16); the
//! first eight bytes of the entity's hash, zeros for none; the peer's pseudonym (u64). Integers are little-endian.
//! When the block began stands in its key.
//!
//! No name of an entity and no address of a peer is in it, so that it may be kept without keeping those.

use crate::types::{EntityHash, Timestamp};

use super::fields::{Fields, Malformed, put_varint, seal, unseal};
use super::key::{access_key, read_access_key};
use super::writes::{Area, Scan};
use super::{LogError, Store};

use std::ops::ControlFlow;

const VERSION: u8 = 1;

/// One command that changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessRecord {
    /// When it was answered.
    pub time: Timestamp,
    /// The face's number of the command.
    pub command: u8,
    /// The status of the answer.
    pub status: u16,
    /// The front of the entity's hash; zero for none.
    pub entity: u64,
    /// The pseudonym of the peer.
    pub peer: u64,
}

/// Records of one shard on their way to disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessBlock {
    shard: u16,
    start: Timestamp,
    last: Timestamp,
    count: u32,
    records: Vec<u8>,
}

impl AccessRecord {
    /// What [`AccessRecord::entity`] keeps of a hash.
    pub fn entity_front(hash: EntityHash) -> u64 {
        let bytes = hash.to_be_bytes();
        bytes.first_chunk().map_or(0, |front| u64::from_be_bytes(*front))
    }
}

impl AccessBlock {
    /// An empty block that begins at `start`.
    pub fn new(shard: u16, start: Timestamp) -> AccessBlock {
        AccessBlock { shard, start, last: start, count: 0, records: Vec::new() }
    }

    /// Adds a record. A time earlier than the one before counts as the same.
    pub fn push(&mut self, record: &AccessRecord) {
        put_varint(&mut self.records, record.time.unix_ms().saturating_sub(self.last.unix_ms()));
        self.records.push(record.command);
        self.records.extend_from_slice(&record.status.to_le_bytes());
        self.records.extend_from_slice(&record.entity.to_le_bytes());
        self.records.extend_from_slice(&record.peer.to_le_bytes());
        self.last = self.last.max(record.time);
        self.count += 1;
    }

    /// Whether it has no records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Length of its records in bytes, by which its owner sees when it is time for another.
    pub fn len_bytes(&self) -> usize {
        self.records.len()
    }

    /// When it began.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The key under which it is stored; `counter` tells blocks of the same shard and millisecond apart.
    pub(super) fn key(&self, counter: u32) -> [u8; 14] {
        access_key(self.start, self.shard, counter)
    }

    /// The stored form.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.shard.to_le_bytes());
        bytes.extend_from_slice(&self.count.to_le_bytes());
        bytes.extend_from_slice(&self.records);
        seal(&mut bytes, 0);
        bytes
    }

    /// Reads the stored form of a block that began at `start`.
    ///
    /// # Errors
    /// When the bytes are anything else.
    pub fn decode(start: Timestamp, bytes: &[u8]) -> Result<(u16, Vec<AccessRecord>), Malformed> {
        let (covered, _) = unseal(bytes)?;
        let mut fields = Fields::of(covered);
        if fields.u8()? != VERSION {
            return Err(Malformed("its version is unknown"));
        }
        let shard = fields.u16()?;
        let count = fields.u32()?;
        let mut records = Vec::new();
        let mut time = start;
        for _ in 0..count {
            time = Timestamp::from_unix_ms(time.unix_ms().saturating_add(fields.varint()?));
            let (command, status) = (fields.u8()?, fields.u16()?);
            records.push(AccessRecord { time, command, status, entity: fields.u64()?, peer: fields.u64()? });
        }
        fields.end()?;
        Ok((shard, records))
    }
}

impl Store {
    /// Shows the records of the access journal in blocks that began at `since` or later, until `visit` breaks.
    /// Records of one shard come in order of time.
    ///
    /// # Errors
    /// `Corrupt` when a block is damaged, or `Io`.
    pub fn accesses(
        &self,
        since: Timestamp,
        mut visit: impl FnMut(u16, AccessRecord) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        let damaged = |why| LogError::corrupt(crate::types::Sequence::ZERO, "a block of the access journal", why);
        self.scan(&Scan::all_from(Area::Access, access_key(since, 0, 0)), |key, value| {
            let (start, ..) = read_access_key(key).map_err(damaged)?;
            let (shard, records) = AccessBlock::decode(start, value).map_err(damaged)?;
            Ok(records.into_iter().try_for_each(|record| visit(shard, record)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn records() -> impl Strategy<Value = Vec<AccessRecord>> {
        let record = (0..500_u64, any::<u8>(), any::<u16>(), any::<u64>(), any::<u64>());
        proptest::collection::vec(record, 0..30).prop_map(|drafts| {
            let mut ms = 1_756_807_200_000;
            drafts
                .into_iter()
                .map(|(later, command, status, entity, peer)| {
                    ms += later;
                    AccessRecord { time: Timestamp::from_unix_ms(ms), command, status, entity, peer }
                })
                .collect()
        })
    }

    fn block(records: &[AccessRecord]) -> AccessBlock {
        let mut block = AccessBlock::new(3, Timestamp::from_unix_ms(1_756_807_200_000));
        records.iter().for_each(|record| block.push(record));
        block
    }

    proptest! {
        #[test]
        fn records_come_back(records in records()) {
            let block = block(&records);
            prop_assert_eq!(block.is_empty(), records.is_empty());
            prop_assert_eq!(AccessBlock::decode(block.start(), &block.encode()), Ok((3, records)));
        }

        #[test]
        fn damage_is_detected(records in records(), at: prop::sample::Index, bit in 0..8_u32) {
            let block = block(&records);
            let mut bytes = block.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(AccessBlock::decode(block.start(), &bytes).is_err());
        }
    }

    #[test]
    fn stored_form_is_pinned() {
        let record = AccessRecord {
            time: Timestamp::from_unix_ms(1_756_807_200_200),
            command: 3,
            status: 404,
            entity: 0x0102_0304_0506_0708,
            peer: 9,
        };
        let bytes = block(&[record]).encode();
        let expected = [1, 3, 0, 1, 0, 0, 0, 0xc8, 1, 3, 0x94, 1, 8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(bytes[..bytes.len() - 32], expected);
    }
}
