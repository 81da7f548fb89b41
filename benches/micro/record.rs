//! How long does it take to bring an event into its stored form, to check a stored batch, and to read an event back?
//!
//! Workload: batches as the committer makes them, of 1 event (a server without load) and of 256 (one under load), each
//! event a registration with a principal, a nonce and 69 bytes of attributes. "encode" writes a batch with its digest,
//! "check" compares the digest of a stored one and looks at its structure, "decode" makes events of a checked one.
//!
//! Besides, what a lookup costs in the access journal: "note" adds records of four peers and two outcomes to a block, a
//! thousand to a millisecond, and begins a new block where the server does.
//!
//! What the numbers are not: the cost of the disk (`append`, `replay`), or of the index.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use repsec::domain::Event;
use repsec::log::batch::{Batch, BatchHead, encode_batch};
use repsec::log::{AccessBlock, AccessRecord, BatchDigest, Encoded, LogId};
use repsec::types::{EntityHash, Sequence, Timestamp};

use crate::workload::{self, Names};

fn encode(events: &[Event], into: &mut Vec<u8>) -> BatchDigest {
    let head = BatchHead {
        log_id: LogId([7; 16]),
        first: Sequence::new(1),
        committed: workload::time_of(events.len() as u64),
        previous: BatchDigest::NONE,
    };
    into.clear();
    // The hash is for the index, of which a batch holds nothing.
    let hash = EntityHash::from_be_bytes([7; 16]);
    let events: Encoded = events.iter().map(|event| (hash, event)).collect();
    let all = events.parts(events.len()).next().expect("an event");
    encode_batch(&head, all, into).expect("dense events")
}

/// Records in a block of the access journal.
const LOOKUPS: u64 = 13_000;

fn note(records: &[AccessRecord]) -> AccessBlock {
    let mut block = AccessBlock::new(0, records[0].time);
    records.iter().for_each(|record| block.push(record));
    block
}

fn accesses() -> Vec<AccessRecord> {
    let record = |number: u64| AccessRecord {
        time: Timestamp::from_unix_ms(1_756_807_200_000 + number / 1000),
        command: 1,
        status: if number.is_multiple_of(2) { 200 } else { 404 },
        entity: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        peer: (number / 100 % 4).wrapping_mul(0xbf58_476d_1ce4_e5b9),
    };
    (0..LOOKUPS).map(record).collect()
}

/// Batches of both sizes, and the access journal.
pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    for count in [1, 256] {
        let events: Vec<Event> = workload::registrations(&Names::new(), count).collect();
        let mut stored = Vec::new();
        let digest = encode(&events, &mut stored);
        let batch = Batch::read(&stored).expect("a sound batch");
        assert_eq!(batch.digest(), digest, "the batch is the one that was encoded");
        assert!(batch.events().eq(events.iter().cloned().map(Ok)), "the events come back");
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("encode", count), |bencher| {
            let mut into = Vec::with_capacity(stored.len());
            bencher.iter(|| encode(black_box(&events), &mut into));
        });
        group.bench_function(BenchmarkId::new("check", count), |bencher| {
            bencher.iter(|| Batch::read(black_box(&stored)).is_ok());
        });
        group.bench_function(BenchmarkId::new("decode", count), |bencher| {
            bencher.iter(|| black_box(&batch).events().map(black_box).filter(Result::is_ok).count());
        });
    }
    let records = accesses();
    assert!(note(&records).len_bytes() < 131_000, "a record takes ten bytes");
    group.throughput(Throughput::Elements(LOOKUPS));
    group.bench_function(BenchmarkId::new("note", LOOKUPS), |bencher| {
        bencher.iter_with_large_drop(|| note(black_box(&records)));
    });
    group.finish();
}
