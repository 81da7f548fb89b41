//! How long does it take until events are durable, from handing them to the committer to its word?
//!
//! Workload: 1 to 10,000 registrations with 69 bytes of attributes in one message, nothing else going on, on a real
//! RocksDB in the directory for temporary files; every commit is synced. "ours" is the committer: order, batches,
//! digests, index, head, and the way to its thread and back. "`RocksDB` alone" writes the same keys and values with a
//! sync, in one atomic write, on the measuring thread, into a database with the settings of its makers; they were taken
//! from the committer beforehand, and their keys are counted up so that no key is written twice.
//!
//! What the numbers are not: throughput under load, where the next commit gathers while this one is synced. They
//! depend on the disk more than on anything of ours; compare the two.

use std::cell::LazyCell;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use repsec::log::memory::MemoryLog;
use repsec::log::{Area, Log, LogError, Scan, Store, Visit, Write, Writes};
use repsec::types::Sequence;
use rocksdb::{DB, Options, WriteBatch, WriteOptions};
use tempfile::TempDir;

use crate::store::{Writer, empty, encoded};
use crate::workload::{self, Names};

/// A store to which events are appended.
struct Ours {
    _directory: TempDir,
    store: Store,
    writer: Writer,
    last: u64,
}

impl Ours {
    fn new() -> Ours {
        let (directory, store) = empty();
        let writer = Writer::new(&store);
        Ours { _directory: directory, store, writer, last: 0 }
    }

    /// Appends `count` events, and says how long it took until they were durable.
    fn append(&mut self, names: &Names, count: u64) -> Duration {
        let first = self.last + 1;
        self.last += count;
        let events = (first..=self.last).map(|sequence| workload::registered(sequence, &names.at(sequence)));
        let events = encoded(&self.store, events);
        let began = Instant::now();
        self.writer.send(events);
        self.writer.wait(Sequence::new(self.last));
        began.elapsed()
    }
}

/// A key with its value, and where.
type Put = (Area, Vec<u8>, Vec<u8>);

/// A log that remembers what is put into it.
#[derive(Default)]
struct Recorder {
    log: MemoryLog,
    puts: Arc<Mutex<Vec<Put>>>,
}

impl Log for Recorder {
    fn write(&self, writes: &Writes) -> Result<(), LogError> {
        let puts = writes.iter().filter_map(|(area, write)| match write {
            Write::Put { key, value } => Some((area, key.to_vec(), value.to_vec())),
            Write::DeleteRange { .. } => None,
        });
        self.puts.lock().expect("nobody panicked").extend(puts);
        self.log.write(writes)
    }

    fn ingest<'a>(&self, area: Area, rows: &mut dyn Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), LogError> {
        self.log.ingest(area, rows)
    }

    fn drop_range(&self, area: Area, from: &[u8], to: &[u8]) -> Result<(), LogError> {
        self.log.drop_range(area, from, to)
    }

    fn read(&self, area: Area, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<(), LogError> {
        self.log.read(area, key, found)
    }

    fn scan(&self, scan: &Scan, visit: Visit<'_>) -> Result<(), LogError> {
        self.log.scan(scan, visit)
    }

    fn size_bytes(&self, area: Area) -> Result<u64, LogError> {
        self.log.size_bytes(area)
    }
}

/// What the committer writes for `count` events.
fn recorded(names: &Names, count: u64) -> Vec<Put> {
    let recorder = Recorder::default();
    let puts = Arc::clone(&recorder.puts);
    let store = Store::with_log(Box::new(recorder)).expect("a store");
    // The identity of the store is written with it, and not with every commit.
    puts.lock().expect("nobody panicked").clear();
    let writer = Writer::new(&store);
    writer.send(encoded(&store, workload::registrations(names, count)));
    writer.wait(Sequence::new(count));
    // What its stop writes belongs to no commit.
    let puts = std::mem::take(&mut *puts.lock().expect("nobody panicked"));
    let of = |area| puts.iter().filter(|put| put.0 == area).count() as u64;
    assert_eq!((of(Area::Log), of(Area::Meta)), (count.div_ceil(64), 1), "batches of 64 events, and one head");
    assert_eq!(writer.stop(), Sequence::new(count));
    puts
}

/// RocksDB without us.
struct Alone {
    _directory: TempDir,
    database: DB,
    puts: Vec<Put>,
    written: u64,
}

impl Alone {
    fn new(puts: Vec<Put>) -> Alone {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        let areas = Area::ALL.map(Area::name);
        let database = DB::open_cf(&options, directory.path(), areas).expect("a database");
        Alone { _directory: directory, database, puts, written: 0 }
    }

    /// Writes all puts under keys that were not there before, and says how long it took.
    fn write(&mut self) -> Duration {
        self.written += self.puts.len() as u64;
        for (area, key, _) in &mut self.puts {
            if let (true, Some(sequence)) = (*area != Area::Meta, key.last_chunk_mut::<8>()) {
                *sequence = (u64::from_be_bytes(*sequence) + self.written).to_be_bytes();
            }
        }
        let began = Instant::now();
        let families = Area::ALL.map(|area| self.database.cf_handle(area.name()).expect("a column family"));
        let mut batch = WriteBatch::default();
        for (area, key, value) in &self.puts {
            batch.put_cf(families[*area as usize], key, value);
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.database.write_opt(batch, &options).expect("a disk that works");
        began.elapsed()
    }
}

/// Commits of all sizes.
pub fn measure(criterion: &mut Criterion) {
    let names = Names::new();
    let mut group = criterion.benchmark_group("append");
    // A commit takes what the disk takes: a few of them tell as much as many.
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    for count in workload::size([1, 10, 100, 1000, 10_000].as_slice(), &[1, 10, 300]) {
        group.throughput(Throughput::Elements(*count));
        let mut ours = LazyCell::new(Ours::new);
        group.bench_function(BenchmarkId::new("ours", count), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| ours.append(&names, *count)).sum());
            assert_eq!(ours.store.head().expect("a head").last.value(), ours.last, "all that was appended is there");
        });
        let mut alone = LazyCell::new(|| Alone::new(recorded(&names, *count)));
        group.bench_function(BenchmarkId::new("RocksDB alone", count), |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| alone.write()).sum());
        });
    }
    group.finish();
}
