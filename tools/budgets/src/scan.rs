//! What a replay is compared with: RocksDB's iterator over the log's own batches, over the same events one by one, and the
//! two things that no replay can do without.
//!
//! Never: decodes, checks or keeps anything of what it scans beyond what RocksDB itself does (the checksum of each block), and
//! unpacking each value.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use hashbrown::HashTable;
use repsec::log::batch::Batch;
use repsec::log::packed::unpack;
use repsec::types::Sequence;
use rocksdb::{Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBRawIterator, Env, Options, ReadOptions};
use rocksdb::{WaitForCompactOptions, WriteBatch, WriteOptions};

use crate::failure::Failure;

/// The column family that holds the batches, and in the reference the events.
const FAMILY: &str = "log";
/// How far the scan reads ahead, as far as the server's own.
const READ_AHEAD_BYTES: usize = 256 << 10;
/// Bytes of values that are gathered before they are hashed, so that no clock is read for each.
const GATHERED_BYTES: usize = 4 << 20;
/// The reference is written in portions of so many events.
const PORTION: usize = 2000;
/// Blocks in memory while the reference is written; reading uses none.
const CACHE_BYTES: usize = 8 << 20;

/// What a scan has read.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Scanned {
    /// Values.
    pub values: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
    /// From the first seek to the last value.
    pub seconds: f64,
}

/// Is shown a key and its value.
type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<(), Failure>;

/// Takes a value apart, and hands on numbers and parts.
type Divide<'a> = &'a mut dyn FnMut(&[u8], &mut dyn FnMut(u64, &[u8])) -> Result<(), Failure>;

/// A database that nobody has open for writing.
pub struct Bare {
    db: DB,
}

#[allow(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn failed(error: rocksdb::Error) -> Failure {
    Failure::Result(format!("the bare RocksDB: {error}"))
}

impl Bare {
    /// Opens the log of a data directory that no server has open.
    ///
    /// # Errors
    /// When RocksDB refuses.
    pub fn log(data: &Path) -> Result<Bare, Failure> {
        Bare::open(&data.join("log"))
    }

    fn open(path: &Path) -> Result<Bare, Failure> {
        let families = DB::list_cf(&Options::default(), path).map_err(failed)?;
        let db = DB::open_cf_for_read_only(&Options::default(), path, families, false).map_err(failed)?;
        Ok(Bare { db })
    }

    /// Reads every value once, in order.
    ///
    /// # Errors
    /// When RocksDB refuses.
    pub fn scan(&self) -> Result<Scanned, Failure> {
        let (mut values, mut bytes) = (0_u64, 0_u64);
        let began = Instant::now();
        self.each(&mut |key, value| {
            values += 1;
            bytes += u64::try_from(key.len() + value.len()).unwrap_or_default();
            Ok(())
        })?;
        Ok(Scanned { values, bytes, seconds: began.elapsed().as_secs_f64() })
    }

    /// Hashes every value as a replay must, since the checksum of a batch is BLAKE3: seconds of the hashing alone.
    ///
    /// # Errors
    /// When RocksDB refuses.
    pub fn hash(&self) -> Result<f64, Failure> {
        let (mut gathered, mut ends) = (Vec::with_capacity(2 * GATHERED_BYTES), Vec::new());
        let mut spent = Duration::ZERO;
        let mut hash = |gathered: &mut Vec<u8>, ends: &mut Vec<usize>| {
            let (mut begin, began) = (0, Instant::now());
            for end in ends.drain(..) {
                black_box(blake3::hash(gathered.get(begin..end).unwrap_or_default()));
                begin = end;
            }
            spent += began.elapsed();
            gathered.clear();
        };
        self.each(&mut |_, value| {
            gathered.extend_from_slice(value);
            ends.push(gathered.len());
            if gathered.len() >= GATHERED_BYTES {
                hash(&mut gathered, &mut ends);
            }
            Ok(())
        })?;
        hash(&mut gathered, &mut ends);
        Ok(spent.as_secs_f64())
    }

    fn family(&self) -> Result<&ColumnFamily, Failure> {
        self.db.cf_handle(FAMILY).ok_or_else(|| Failure::Result(format!("the store has no family {FAMILY}")))
    }

    fn each(&self, visit: Visit<'_>) -> Result<(), Failure> {
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_readahead_size(READ_AHEAD_BYTES);
        options.set_total_order_seek(true);
        let mut iterator: DBRawIterator<'_> = self.db.raw_iterator_cf_opt(self.family()?, options);
        iterator.seek_to_first();
        let mut buffer = Vec::new();
        while let Some((key, value)) = iterator.item() {
            visit(key, unpack(value, &mut buffer))?;
            iterator.next();
        }
        iterator.status().map_err(failed)
    }

    /// Writes the events of this log into a new database, each as a value of its own under its sequence (big-endian, as
    /// the log's keys are), with the options that the log itself was written with; RocksDB keeps them beside the data.
    ///
    /// # Errors
    /// When RocksDB refuses, or something in the log is no batch.
    pub fn one_by_one(&self, data: &Path, into: &Path) -> Result<Bare, Failure> {
        self.divided(data, into, &mut |value, put| {
            let batch = Batch::read(value).map_err(|why| Failure::Result(format!("the log: {}", why.0)))?;
            for sequence in batch.head().first.value()..=batch.last().value() {
                put(sequence, batch.event_bytes(Sequence::new(sequence)).unwrap_or_default());
            }
            Ok(())
        })
    }

    /// Writes what `divide` makes of each value into a new database.
    fn divided(&self, data: &Path, into: &Path, divide: Divide<'_>) -> Result<Bare, Failure> {
        let env = Env::new().map_err(failed)?;
        let cache = Cache::new_lru_cache(CACHE_BYTES);
        let (mut options, families) = Options::load_latest(data.join("log"), env, true, cache).map_err(failed)?;
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        let wanted = |family: &ColumnFamilyDescriptor| family.name() == FAMILY || family.name() == "default";
        let db = DB::open_cf_descriptors(&options, into, families.into_iter().filter(wanted)).map_err(failed)?;
        let family =
            db.cf_handle(FAMILY).ok_or_else(|| Failure::Result(format!("the store has no family {FAMILY}")))?;
        // Nothing of it must outlive this run.
        let mut unlogged = WriteOptions::default();
        unlogged.disable_wal(true);
        let mut portion = WriteBatch::default();
        self.each(&mut |_, value| {
            divide(value, &mut |number, part| portion.put_cf(family, number.to_be_bytes(), part))?;
            if portion.len() >= PORTION {
                db.write_opt(std::mem::take(&mut portion), &unlogged).map_err(failed)?;
            }
            Ok(())
        })?;
        db.write_opt(portion, &unlogged).map_err(failed)?;
        db.flush_cf(family).map_err(failed)?;
        db.wait_for_compact(&WaitForCompactOptions::default()).map_err(failed)?;
        drop(db);
        Bare::open(into)
    }
}

/// Inserts so many keys of 16 bytes, as hashes of names are, into an empty hash table that grows as it fills: seconds. The
/// keys are made before.
pub fn insert(count: u64) -> f64 {
    let keys: Vec<u128> =
        (0..count).map(|number| u128::from(mixed(number)) << 64 | u128::from(mixed(!number))).collect();
    let began = Instant::now();
    let mut table: HashTable<u128> = HashTable::new();
    for key in keys {
        table.insert_unique(low(key), key, |key| low(*key));
    }
    let seconds = began.elapsed().as_secs_f64();
    black_box(&table);
    seconds
}

#[allow(clippy::cast_possible_truncation, reason = "a part of a hash is meant")]
fn low(key: u128) -> u64 {
    key as u64
}

/// The finalizer of SplitMix64: neighbours have nothing in common.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A store whose values are these, as a server would leave it.
    fn store(data: &Path, values: &[Vec<u8>]) {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        let db = DB::open_cf(&options, data.join("log"), ["entity", FAMILY]).unwrap();
        let family = db.cf_handle(FAMILY).unwrap();
        for (number, value) in (1_u64..).zip(values) {
            db.put_cf(family, number.to_be_bytes(), value).unwrap();
        }
        db.flush_cf(family).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// A scan sees every byte, and what is taken apart holds the same bytes in the same order, each part once.
        #[test]
        fn nothing_is_lost_by_taking_apart(values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..200), 1..40)) {
            let directory = tempfile::tempdir().unwrap();
            store(directory.path(), &values);
            let log = Bare::log(directory.path()).unwrap();
            let (number, length) = (u64::try_from(values.len()).unwrap(), values.concat().len());
            let scanned = log.scan().unwrap();
            prop_assert_eq!((scanned.values, scanned.bytes), (number, 8 * number + u64::try_from(length).unwrap()));
            prop_assert!(log.hash().unwrap() > 0.0);
            let mut count = 0;
            let apart = log.divided(directory.path(), &directory.path().join("apart"), &mut |value, put| {
                for part in value.chunks(7) {
                    count += 1;
                    put(count, part);
                }
                Ok(())
            });
            let apart = apart.unwrap();
            let mut bytes = Vec::new();
            apart.each(&mut |_, part| {
                bytes.extend_from_slice(part);
                Ok(())
            }).unwrap();
            prop_assert_eq!(bytes, values.concat());
            prop_assert_eq!(apart.scan().unwrap().values, count);
        }
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Bare::log(directory.path()).is_err());
        store(directory.path(), &[b"no batch".to_vec()]);
        let log = Bare::log(directory.path()).unwrap();
        assert!(log.one_by_one(directory.path(), &directory.path().join("events")).is_err());
    }

    #[test]
    fn keys_are_all_different() {
        let mut keys: Vec<u64> = (0..10_000).map(mixed).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 10_000);
        assert!(insert(1000) > 0.0);
    }
}
