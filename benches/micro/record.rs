//! How long does it take to bring an event into its stored form, to check a stored batch, and to read an event back?
//!
//! Workload: batches as the committer makes them, of 1 event (a server without load) and of 256 (one under load), each
//! event a registration with a principal, a nonce and 69 bytes of attributes. "encode" writes a batch with its digest,
//! "check" compares the digest of a stored one and looks at its structure, "decode" makes events of a checked one.
//!
//! What the numbers are not: the cost of the disk (`append`, `replay`), or of the index.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use repsec::domain::Event;
use repsec::log::batch::{Batch, BatchHead, encode_batch};
use repsec::log::{BatchDigest, LogId};
use repsec::types::Sequence;

use crate::workload::{self, Names};

fn encode(events: &[Event], into: &mut Vec<u8>) -> BatchDigest {
    let head = BatchHead {
        log_id: LogId([7; 16]),
        first: Sequence::new(1),
        committed: workload::time_of(events.len() as u64),
        previous: BatchDigest::NONE,
    };
    into.clear();
    encode_batch(&head, events.iter(), into).expect("dense events")
}

/// Batches of both sizes.
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
    group.finish();
}
