//! How fast is a log read again, beside a bare scan of the same bytes?
//!
//! Workload: 200,000 registrations with 69 bytes of attributes, in batches as the committer makes them under load, on
//! a real RocksDB whose files the operating system holds in memory. "read, check, decode" shows every event, with the
//! digest of every batch compared; "and apply" also puts each into a table, as a start without a snapshot does on one
//! core. "bare scan" lets RocksDB show the same batches, and looks at one byte of each.
//!
//! What the numbers are not: a cold start, which reads from the disk; or a start by a snapshot, which does not replay.

use std::cell::LazyCell;
use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{Criterion, SamplingMode, Throughput};
use repsec::domain::Event;
use repsec::log::{Area, Span, Store, StoredEvent};
use repsec::projection::{Current, on_belt};
use repsec::types::EntityHash;
use rocksdb::{DB, Options, ReadOptions};
use tempfile::TempDir;

use crate::store;
use crate::workload::{self, Names};

/// The door's own measure for reading ahead.
const READ_AHEAD_BYTES: usize = 256 << 10;

fn events() -> u64 {
    workload::size(200_000, 2000)
}

/// A log full of events, open by our door and by RocksDB's own.
struct Filled {
    _directory: TempDir,
    store: Store,
    database: DB,
}

impl Filled {
    fn new() -> Filled {
        let (directory, store) = store::filled(workload::registrations(&Names::new(), events()));
        let areas = Area::ALL.map(Area::name);
        let database = DB::open_cf_for_read_only(&Options::default(), directory.path().join("log"), areas, false);
        let filled = Filled { _directory: directory, store, database: database.expect("a database") };
        let head = filled.store.head().expect("a head");
        assert_eq!(filled.batches(), head.batches, "a bare scan sees every batch");
        assert_eq!(head.last.value(), events(), "every event is there");
        assert_eq!(filled.table().registered() as u64, events(), "every event is applied");
        filled
    }

    fn replay(&self, mut visit: impl FnMut(EntityHash, Event)) {
        let visit = |hash, event| {
            visit(hash, event);
            ControlFlow::Continue(())
        };
        self.store.replay(Span::ALL, &mut |_, _| (), visit).expect("a sound log");
    }

    fn table(&self) -> Current {
        let mut table = Current::new(self.store.identity().hash_key);
        let key = table.key();
        let apply = |events: &[(EntityHash, StoredEvent<'_>)]| {
            on_belt(
                &mut table,
                events,
                |table, (hash, _)| (table, *hash),
                |table, (hash, event)| {
                    table.put(*hash, event.entity, &event.standing(key));
                },
            );
            Ok(ControlFlow::Continue(()))
        };
        self.store.replay_batches(Span::ALL, &mut |_, _| (), apply).expect("a sound log");
        table
    }

    fn batches(&self) -> u64 {
        let family = self.database.cf_handle(Area::Log.name()).expect("a column family");
        let mut options = ReadOptions::default();
        options.fill_cache(false);
        options.set_readahead_size(READ_AHEAD_BYTES);
        let mut scan = self.database.raw_iterator_cf_opt(family, options);
        let mut batches = 0;
        scan.seek_to_first();
        while let Some((_, batch)) = scan.item() {
            black_box(batch.last());
            batches += 1;
            scan.next();
        }
        scan.status().expect("a sound database");
        batches
    }
}

/// All three.
pub fn measure(criterion: &mut Criterion) {
    let filled = LazyCell::new(Filled::new);
    let mut group = criterion.benchmark_group("replay");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(events()));
    group.bench_function("read, check, decode", |bencher| {
        let filled = &*filled;
        bencher.iter(|| {
            filled.replay(|hash, event| {
                black_box((hash, event));
            });
        });
    });
    group.bench_function("read, check, decode and apply", |bencher| {
        let filled = &*filled;
        // The table is given back, so that its end is not timed.
        bencher.iter_with_large_drop(|| filled.table());
    });
    group.bench_function("bare scan", |bencher| {
        let filled = &*filled;
        bencher.iter(|| filled.batches());
    });
    group.finish();
}
