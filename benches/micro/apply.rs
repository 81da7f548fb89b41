//! How long does it take to see which standing an event leaves?
//!
//! Workload: a registration with 69 bytes of attributes, and a removal.
//!
//! What the numbers are not: the noting of that standing, which is `table/insert`. This one copies nothing but the kind,
//! and makes the fingerprint of the attributes.

use std::hint::black_box;

use criterion::Criterion;
use repsec::domain::apply;

use crate::workload::{self, ATTRIBUTES, KEY};

/// Both kinds of events.
pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("apply");
    let registered = workload::registered(1, "mailinator.com");
    let removed = workload::removed(2, "mailinator.com");
    let known = KEY.fingerprint(ATTRIBUTES);
    assert!(apply(&registered, KEY).registered && apply(&registered, KEY).attributes == known);
    assert!(!apply(&removed, KEY).registered && apply(&removed, KEY).attributes.is_none());
    for (name, event) in [("registered", &registered), ("removed", &removed)] {
        group.bench_function(name, |bencher| bencher.iter(|| apply(black_box(event), KEY)));
    }
    group.finish();
}
