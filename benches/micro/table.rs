//! How long do a lookup and an insertion take in the table of entities, beside other hash maps with the same names?
//!
//! Workload: a million domains with 69 bytes of attributes, 262,144 of which are looked up in an order that no cache
//! foresees. "hit" asks for names that are there, "miss" for names that are not, "hit of 1,000" for a thousand names
//! in a row, one by one, as a bulk lookup does. "insert" begins with an empty map and puts 10,000 names in. The hash of
//! a name is part of every lookup. Beside the table: "std", the standard library's map under its own hash, and
//! "hashbrown", a table of owned names under our keyed hash. Both hold a number in place of a standing, so they also
//! lack the attributes.
//!
//! What the numbers are not: the cost of a VERIFY, which also frames, parses, encrypts and writes. A table that fits
//! into the processor's caches is faster than any real one. Machines differ; compare the three, not the nanoseconds.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use hashbrown::HashTable;
use repsec::domain::{Event, apply};
use repsec::projection::Current;

use crate::workload::{self, KEY, Names, Round};

/// A map from names to something.
trait Map: Default {
    const NAME: &'static str;
    fn insert(&mut self, event: &Event);
    fn has(&self, name: &str) -> bool;
}

/// Ours.
struct Ours(Current);

impl Default for Ours {
    fn default() -> Ours {
        Ours(Current::new(KEY))
    }
}

impl Map for Ours {
    const NAME: &'static str = "ours";

    fn insert(&mut self, event: &Event) {
        let name = event.entity.as_str();
        self.0.put(KEY.hash(name), name, &apply(event, KEY));
    }

    fn has(&self, name: &str) -> bool {
        self.0.standing(KEY.hash(name), name).is_some_and(|standing| standing.registered)
    }
}

impl Map for HashMap<String, u64> {
    const NAME: &'static str = "std";

    fn insert(&mut self, event: &Event) {
        HashMap::insert(self, event.entity.as_str().to_owned(), event.sequence.value());
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some_and(|sequence| *sequence > 0)
    }
}

impl Map for HashTable<(String, u64)> {
    const NAME: &'static str = "hashbrown";

    fn insert(&mut self, event: &Event) {
        let hash = |name: &str| KEY.hash(name).table_bits();
        let (name, sequence) = (event.entity.as_str(), event.sequence.value());
        self.entry(hash(name), |entry| entry.0 == name, |entry| hash(&entry.0)).insert((name.to_owned(), sequence));
    }

    fn has(&self, name: &str) -> bool {
        let found = self.find(KEY.hash(name).table_bits(), |entry| entry.0 == name);
        found.is_some_and(|entry| entry.1 > 0)
    }
}

/// What is asked for.
struct Asked {
    present: Vec<String>,
    absent: Vec<String>,
}

impl Asked {
    fn new(names: &Names) -> Asked {
        let (lookups, entities) = (workload::lookups(), workload::entities());
        Asked {
            present: names.all(workload::scattered(lookups, entities)),
            absent: names.all(workload::scattered(lookups, entities).map(|number| number + entities)),
        }
    }
}

/// All maps.
pub fn measure(criterion: &mut Criterion) {
    let names = Names::new();
    let asked = LazyCell::new(|| Asked::new(&names));
    let mut group = criterion.benchmark_group("table");
    lookups::<Ours>(&mut group, &names, &asked);
    lookups::<HashTable<(String, u64)>>(&mut group, &names, &asked);
    lookups::<HashMap<String, u64>>(&mut group, &names, &asked);
    let events = LazyCell::new(|| workload::registrations(&names, workload::size(10_000, 100)).collect());
    inserts::<Ours>(&mut group, &events);
    inserts::<HashTable<(String, u64)>>(&mut group, &events);
    inserts::<HashMap<String, u64>>(&mut group, &events);
    group.finish();
}

fn lookups<M: Map>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    names: &Names,
    asked: &LazyCell<Asked, impl FnOnce() -> Asked>,
) {
    let map = LazyCell::new(|| {
        let mut map = M::default();
        workload::registrations(names, workload::entities()).for_each(|event| map.insert(&event));
        assert!(asked.present.iter().all(|name| map.has(name)), "what is asked for is there");
        assert!(!asked.absent.iter().any(|name| map.has(name)), "what is missed is not there");
        map
    });
    group.throughput(Throughput::Elements(1));
    for which in ["hit", "miss"] {
        let mut round = Round::default();
        group.bench_function(BenchmarkId::new(which, M::NAME), |bencher| {
            let (map, names) = (&*map, if which == "hit" { &asked.present } else { &asked.absent });
            bencher.iter(|| look_up(map, names, &mut round));
        });
    }
    let bulk = workload::size(1000_u64, 20);
    group.throughput(Throughput::Elements(bulk));
    let mut round = Round::default();
    group.bench_function(BenchmarkId::new("hit of 1,000", M::NAME), |bencher| {
        let (map, names) = (&*map, &asked.present);
        bencher.iter(|| (0..bulk).filter(|_| black_box(look_up(map, names, &mut round))).count());
    });
}

fn look_up(map: &impl Map, names: &[String], round: &mut Round) -> bool {
    let name = round.next(names);
    map.has(name)
}

fn inserts<M: Map>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    events: &LazyCell<Vec<Event>, impl FnOnce() -> Vec<Event>>,
) {
    group.throughput(Throughput::Elements(workload::size(10_000, 100)));
    group.bench_function(BenchmarkId::new("insert", M::NAME), |bencher| {
        let events = &**events;
        let fill = |map: &mut M| events.iter().for_each(|event| map.insert(event));
        bencher.iter_batched_ref(M::default, fill, BatchSize::LargeInput);
    });
}
