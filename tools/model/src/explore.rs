//! Running a model in every order of events.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::sync::{Fault, with};

/// What a fault led to.
#[derive(Debug)]
pub struct Found {
    /// How many schedules were tried, the one that failed included.
    pub schedules: usize,
    /// How it failed.
    pub failure: String,
}

/// Runs a model in every order of events in which threads are interrupted `preemptions` times at the most, wherever else
/// they may wait for each other. Returns how many schedules that were. Panics as the model does.
pub fn explore(model: fn(), preemptions: usize) -> usize {
    let schedules = Arc::new(AtomicUsize::new(0));
    run(model, preemptions, &schedules);
    schedules.load(Ordering::Relaxed)
}

/// The same with a fault in what threads meet at, until the model fails; `None` if it never does.
pub fn find(model: fn(), preemptions: usize, fault: Fault) -> Option<Found> {
    let schedules = Arc::new(AtomicUsize::new(0));
    let panic = with(fault, || catch_unwind(AssertUnwindSafe(|| run(model, preemptions, &schedules)))).err()?;
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let failure = text.unwrap_or("a panic without words").to_owned();
    Some(Found { schedules: schedules.load(Ordering::Relaxed), failure })
}

fn run(model: fn(), preemptions: usize, schedules: &Arc<AtomicUsize>) {
    let schedules = Arc::clone(schedules);
    let mut builder = loom::model::Builder::new();
    // Whoever looks into a failure sets these from outside.
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(move || {
        schedules.fetch_add(1, Ordering::Relaxed);
        model();
    });
}
