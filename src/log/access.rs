//! The access journal: what was asked and changed nothing (P4), in compact records, many to a block.
//!
//! A block on disk: version 2, zero byte, shard (u16), count of records (u32), units, BLAKE3 of everything before. A
//! unit has ten bytes, a tag (u16) and a value (u64), and integers are little-endian:
//!
//! | tag | value | meaning |
//! |---|---|---|
//! | up to 65,279 | front of the entity's hash, zeros for none | a record, of the context with that number |
//! | 65,533 | command, status * 256 | the next context: what was asked and answered, and the peer that was named last |
//! | 65,534 | pseudonym | a peer |
//! | 65,535 | ms since the block's begin | the clock, for the records behind it |
//!
//! When the block began stands in its key. Contexts are numbered from 0; when all numbers are taken, from 0 again.
//! Most records have a context that others have too, and the time of the one before, so that they take one unit.
//!
//! No name of an entity and no address of a peer is in it, so that it may be kept without keeping those.

use crate::types::Timestamp;

use super::fields::{Fields, Malformed, seal, unseal};
use super::key::{access_key, read_access_key};
use super::writes::{Area, Scan};
use super::{LogError, Store};

use std::ops::ControlFlow;

const VERSION: u8 = 2;
const HEADER_BYTES: usize = 8;
const UNIT_BYTES: usize = 10;
/// Contexts that have a number at the same time; the tags behind are for other units.
const CONTEXTS_MAX: u16 = 0xff00;
const CONTEXT: u16 = 0xfffd;
const PEER: u16 = 0xfffe;
const CLOCK: u16 = 0xffff;
/// Contexts that a block finds again at once. One that was displaced gets another number, which costs two units.
const RECENT: usize = 64;

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
    clock_ms: u64,
    count: u32,
    /// The stored form, without its count and its seal.
    bytes: Vec<u8>,
    /// The peer that was named last.
    peer: Option<u64>,
    contexts: u16,
    recent: Box<[Recent; RECENT]>,
}

/// A context with its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Recent {
    peer: u64,
    /// Command and status, as stored.
    what: u32,
    number: u16,
}

impl Recent {
    /// Like no context: a command and a status have 24 bits.
    const NONE: Recent = Recent { peer: 0, what: u32::MAX, number: 0 };

    /// Where a context is remembered, if it is.
    #[allow(clippy::cast_possible_truncation, reason = "some bits are meant")]
    fn place(peer: u64, what: u32) -> usize {
        let mixed = (peer ^ u64::from(what) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 58) as usize % RECENT
    }
}

impl AccessBlock {
    /// An empty block that begins at `start`.
    pub fn new(shard: u16, start: Timestamp) -> AccessBlock {
        let [low, high] = shard.to_le_bytes();
        AccessBlock {
            shard,
            start,
            clock_ms: start.unix_ms(),
            count: 0,
            bytes: vec![VERSION, 0, low, high, 0, 0, 0, 0],
            peer: None,
            contexts: 0,
            recent: Box::new([Recent::NONE; RECENT]),
        }
    }

    /// Adds a record. A time earlier than the one before counts as the same.
    pub fn push(&mut self, record: &AccessRecord) {
        let now_ms = record.time.unix_ms();
        if now_ms > self.clock_ms {
            self.clock_ms = now_ms;
            self.unit(CLOCK, now_ms - self.start.unix_ms());
        }
        let what = u32::from(record.status) << 8 | u32::from(record.command);
        let recent = self.recent[Recent::place(record.peer, what)];
        let context = if recent.peer == record.peer && recent.what == what {
            recent.number
        } else {
            self.meet(record.peer, what)
        };
        self.unit(context, record.entity);
        self.count += 1;
    }

    fn unit(&mut self, tag: u16, value: u64) {
        let mut unit = [0; UNIT_BYTES];
        unit[..2].copy_from_slice(&tag.to_le_bytes());
        unit[2..].copy_from_slice(&value.to_le_bytes());
        self.bytes.extend_from_slice(&unit);
    }

    /// Gives a context a number.
    #[cold]
    fn meet(&mut self, peer: u64, what: u32) -> u16 {
        if self.contexts == CONTEXTS_MAX {
            self.contexts = 0;
            self.recent.fill(Recent::NONE);
        }
        if self.peer != Some(peer) {
            self.peer = Some(peer);
            self.unit(PEER, peer);
        }
        self.unit(CONTEXT, u64::from(what));
        let number = self.contexts;
        self.contexts += 1;
        self.recent[Recent::place(peer, what)] = Recent { peer, what, number };
        number
    }

    /// Whether it has no records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its length in bytes, by which its owner sees when it is time for another.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
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
    pub(super) fn into_stored(mut self) -> Vec<u8> {
        self.bytes[4..HEADER_BYTES].copy_from_slice(&self.count.to_le_bytes());
        seal(&mut self.bytes, 0);
        self.bytes
    }

    /// Reads the stored form of a block that began at `start`.
    ///
    /// # Errors
    /// When the bytes are anything else.
    pub fn decode(start: Timestamp, bytes: &[u8]) -> Result<(u16, Vec<AccessRecord>), Malformed> {
        let (covered, _) = unseal(bytes)?;
        let mut fields = Fields::of(covered);
        if fields.u8()? != VERSION || fields.u8()? != 0 {
            return Err(Malformed("its version is unknown"));
        }
        let shard = fields.u16()?;
        let count = fields.u32()?;
        let (units, rest) = fields.rest().as_chunks::<UNIT_BYTES>();
        if !rest.is_empty() {
            return Err(Malformed("it ends within a record"));
        }
        let mut reading = Reading { start, clock_ms: 0, peer: None, contexts: Vec::new(), records: Vec::new() };
        units.iter().try_for_each(|unit| reading.unit(unit))?;
        if u32::try_from(reading.records.len()) == Ok(count) {
            Ok((shard, reading.records))
        } else {
            Err(Malformed("it has another number of records than it says"))
        }
    }
}

/// A block of which some units were read.
struct Reading {
    start: Timestamp,
    clock_ms: u64,
    peer: Option<u64>,
    contexts: Vec<(u8, u16, u64)>,
    records: Vec<AccessRecord>,
}

impl Reading {
    fn unit(&mut self, unit: &[u8; UNIT_BYTES]) -> Result<(), Malformed> {
        let mut fields = Fields::of(unit);
        let (tag, value) = (fields.u16()?, fields.u64()?);
        match tag {
            CLOCK if value > self.clock_ms => self.clock_ms = value,
            PEER => self.peer = Some(value),
            CONTEXT => {
                let peer = self.peer.ok_or(Malformed("a context names no peer"))?;
                let what = u32::try_from(value).ok().filter(|what| what >> 24 == 0);
                let [command, low, high, _] = what.ok_or(Malformed("a context has more than a status"))?.to_le_bytes();
                if self.contexts.len() == usize::from(CONTEXTS_MAX) {
                    self.contexts.clear();
                }
                self.contexts.push((command, u16::from_le_bytes([low, high]), peer));
            }
            number => {
                let context = self.contexts.get(usize::from(number)).ok_or(Malformed("a record has no context"))?;
                let (command, status, peer) = *context;
                let time = Timestamp::from_unix_ms(self.start.unix_ms().saturating_add(self.clock_ms));
                self.records.push(AccessRecord { time, command, status, entity: value, peer });
            }
        }
        Ok(())
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
        let peer = prop_oneof![0..3_u64, any::<u64>()];
        let what = prop_oneof![(1..3_u8, 200..202_u16), any::<(u8, u16)>()];
        let record = (prop_oneof![Just(0), 0..500_u64], what, any::<u64>(), peer);
        proptest::collection::vec(record, 0..90).prop_map(|drafts| {
            let mut ms = 1_756_807_200_000;
            drafts
                .into_iter()
                .map(|(later, (command, status), entity, peer)| {
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
            prop_assert_eq!(AccessBlock::decode(block.start(), &block.clone().into_stored()), Ok((3, records)));
        }

        #[test]
        fn damage_is_detected(records in records(), at: prop::sample::Index, bit in 0..8_u32) {
            let block = block(&records);
            let mut bytes = block.clone().into_stored();
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
        let bytes = block(&[record, AccessRecord { entity: 0, ..record }]).into_stored();
        let expected = [
            &[2, 0, 3, 0, 2, 0, 0, 0][..],
            &[0xff, 0xff, 200, 0, 0, 0, 0, 0, 0, 0],
            &[0xfe, 0xff, 9, 0, 0, 0, 0, 0, 0, 0],
            &[0xfd, 0xff, 3, 0x94, 1, 0, 0, 0, 0, 0],
            &[0, 0, 8, 7, 6, 5, 4, 3, 2, 1],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(bytes[..bytes.len() - 32], expected.concat());
    }

    #[test]
    fn more_contexts_than_numbers_come_back() {
        let record = |peer| AccessRecord {
            time: Timestamp::from_unix_ms(1_756_807_200_000),
            command: 1,
            status: 200,
            entity: peer,
            peer,
        };
        let records: Vec<_> = (0..200_000).map(record).collect();
        let block = block(&records);
        assert!(AccessBlock::decode(block.start(), &block.into_stored()) == Ok((3, records)));
    }

    #[test]
    fn a_record_takes_ten_bytes() {
        let record = |n: u64| AccessRecord {
            time: Timestamp::from_unix_ms(1_756_807_200_000 + n / 1000),
            command: 1,
            status: if n.is_multiple_of(3) { 404 } else { 200 },
            entity: n.wrapping_mul(0x9e37_79b9_7f4a_7c15),
            peer: n % 4,
        };
        let records: Vec<_> = (0..10_000).map(record).collect();
        let bytes = block(&records).len_bytes();
        assert!(bytes < 101_000, "{bytes}");
    }

    #[test]
    fn units_that_mean_nothing_are_refused() {
        let sealed = |count: u32, units: &[(u16, u64)]| {
            let mut bytes = vec![VERSION, 0, 3, 0];
            bytes.extend_from_slice(&count.to_le_bytes());
            for (tag, value) in units {
                bytes.extend_from_slice(&tag.to_le_bytes());
                bytes.extend_from_slice(&value.to_le_bytes());
            }
            seal(&mut bytes, 0);
            AccessBlock::decode(Timestamp::ZERO, &bytes).map(|(_, records)| records.len())
        };
        assert_eq!(sealed(1, &[(PEER, 1), (CONTEXT, 1), (CLOCK, 2), (0, 1)]), Ok(1));
        for units in [
            &[(0, 1)][..],
            &[(CONTEXT, 1)],
            &[(PEER, 1), (CONTEXT, 1 << 24)],
            &[(CLOCK, 2), (CLOCK, 2)],
            &[(0xfff0, 0)],
        ] {
            assert!(sealed(0, units).is_err(), "{units:?}");
        }
        assert!(sealed(1, &[]).is_err());
    }
}
