//! How long does one lookup in the table of entities take, beside the standard library's hash map with the same names?
//!
//! Workload: 200,000 domains, looked up in an order that no cache foresees; "hit" asks for names that are there, "miss"
//! for names that are not. The hash of a name is part of the lookup in both.
//!
//! What the numbers are not: the cost of a VERIFY, which also frames, parses, encrypts and writes. A table that fits
//! into the processor's caches is faster than any real one. Machines differ; compare the two, not the nanoseconds.

use std::collections::HashMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use repsec::domain::Standing;
use repsec::projection::Current;
use repsec::types::{HashKey, Kind, Sequence, Timestamp};

const ENTITIES: u64 = 200_000;
const KEY: HashKey = HashKey::new([7; 16]);

fn name(number: u64) -> String {
    format!("host-{number:x}.example.net")
}

fn table() -> Current {
    let mut table = Current::new(KEY);
    for number in 0..ENTITIES {
        let name = name(number);
        let standing = Standing {
            kind: Kind::Domain,
            registered: true,
            sequence: Sequence::new(number + 1),
            updated: Timestamp::from_unix_s(1_700_000_000 + number),
            registrant: "",
            attributes: "",
        };
        table.put(KEY.hash(&name), &name, &standing);
    }
    table
}

fn lookups(criterion: &mut Criterion) {
    let table = table();
    let map: HashMap<String, u64> = (0..ENTITIES).map(|number| (name(number), number)).collect();
    // An odd multiplier visits every number once, far from the one before.
    let scattered = |at: u64| at.wrapping_mul(0x9E37_79B9) % ENTITIES;
    let present: Vec<String> = (0..4096).map(|at| name(scattered(at))).collect();
    let absent: Vec<String> = (0..4096).map(|at| name(ENTITIES + scattered(at))).collect();
    for (which, names) in [("hit", &present), ("miss", &absent)] {
        let expected = if which == "hit" { names.len() } else { 0 };
        let found = names.iter().filter(|name| table.standing(KEY.hash(name), name).is_some()).count();
        assert_eq!(found, expected, "the bench measures what it says");
        let mut at = 0;
        let mut next = || {
            at = (at + 1) % names.len();
            names[at].as_str()
        };
        criterion.bench_function(&format!("table/{which}"), |bencher| {
            bencher.iter(|| {
                let name = next();
                black_box(table.standing(KEY.hash(name), name).is_some())
            });
        });
        criterion.bench_function(&format!("std hash map/{which}"), |bencher| {
            bencher.iter(|| black_box(map.contains_key(next())));
        });
    }
}

criterion_group!(benches, lookups);
criterion_main!(benches);
