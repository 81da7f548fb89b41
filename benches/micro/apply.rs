//! How long does it take to see which standing an event leaves?
//!
//! Workload: a registration with 69 bytes of attributes, and a removal.
//!
//! What the numbers are not: the noting of that standing, which is `table/insert`. This one copies nothing but the kind,
//! so it should take next to no time, and is measured to notice if that changes.

use std::hint::black_box;

use criterion::Criterion;
use repsec::domain::apply;

use crate::workload::{self, ATTRIBUTES};

/// Both kinds of events.
pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    let registered = workload::registered(1, "mailinator.com");
    let removed = workload::removed(2, "mailinator.com");
    assert!(apply(&registered).registered && apply(&registered).attributes == ATTRIBUTES);
    assert!(!apply(&removed).registered && apply(&removed).attributes.is_empty());
    for (name, event) in [("registered", &registered), ("removed", &removed)] {
        group.bench_function(name, |bencher| bencher.iter(|| apply(black_box(event))));
    }
    group.finish();
}
