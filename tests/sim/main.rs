//! The store in a simulated world: many shards, clients, a disk that fails, crashes and a clock that is set, all from one
//! seed and on one thread, so that what goes wrong once goes wrong again. The manual's page "simulation" tells how to
//! run it and how to read it.
//!
//! `REPSEC_SIM_SEEDS` says how many seeds, `REPSEC_SIM_SEED` the first of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod auditor;
mod bug;
mod dice;
mod disk;
mod process;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bug::Bug;
use disk::Counts;
use world::{Report, live};

/// Seeds of a usual run.
const SEEDS: u64 = 1500;
/// One in so many seeds is lived through twice.
const TWICE: u64 = 8;
/// From so many seeds on, every fault must have happened.
const SEEDS_FOR_ALL_FAULTS: u64 = 200;
/// What is done to worlds, and what comes of it.
const FAULTS: [&str; 30] = [
    "answer: changed",
    "answer: refused",
    "answer: replayed",
    "answer: seen",
    "answer: stale",
    "answer: storage failed",
    "clock set",
    "command repeated",
    "connection cut",
    "crash",
    "crash in a slow sync",
    "end after a failed write",
    "failed sync",
    "full disk",
    "gave up in a slow sync",
    "long silence",
    "part of the index written",
    "power lost after a sync",
    "power lost before a sync",
    "slow read",
    "slow sync",
    "snapshot begun",
    "snapshot complete",
    "start from a snapshot",
    "stop in a slow sync",
    "stop in good order",
    "unsynced write kept",
    "unsynced write lost",
    "unsynced write torn",
    "unsynced write with a wrong byte",
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Lives through a seed; a panic is a broken promise too.
fn attempt(seed: u64, bug: Option<Bug>) -> Result<Report, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| live(seed, bug)));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(format!("a panic: {}", text.unwrap_or("without words")))
    })
}

/// Lives through a seed that must keep all promises, twice if it is asked for, and counts what happened.
fn keep(seed: u64, twice: bool, counts: &mut Counts) {
    let again = format!("REPSEC_SIM_SEED={seed} REPSEC_SIM_SEEDS=1 cargo test --test sim many_seeds -- --nocapture");
    let report = attempt(seed, None).unwrap_or_else(|what| panic!("seed {seed}: {what}\nOnce more:\n{again}"));
    if twice {
        let second = attempt(seed, None).map(|report| report.trace);
        assert_eq!(second, Ok(report.trace), "seed {seed} does not repeat itself\nOnce more:\n{again}");
    }
    for (what, count) in report.counts {
        *counts.entry(what).or_default() += count;
    }
}

#[test]
fn many_seeds_keep_all_promises() {
    let count = number("REPSEC_SIM_SEEDS").unwrap_or(SEEDS);
    let chance = || u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()) << 8;
    let first = number("REPSEC_SIM_SEED").unwrap_or_else(chance);
    println!("REPSEC_SIM_SEED={first} REPSEC_SIM_SEEDS={count}");
    let (begin, mut counts) = (Instant::now(), Counts::new());
    for seed in first..first + count {
        keep(seed, count == 1 || seed.is_multiple_of(TWICE), &mut counts);
    }
    let ms = begin.elapsed().as_millis();
    println!("{count} seeds in {ms} ms, one in {TWICE} twice: {} seeds/s", u128::from(count) * 1000 / ms.max(1));
    for (what, count) in &counts {
        println!("{count:>8}  {what}");
    }
    if count >= SEEDS_FOR_ALL_FAULTS {
        let missing: Vec<_> = FAULTS.iter().filter(|fault| !counts.contains_key(*fault)).collect();
        assert!(missing.is_empty(), "these never happened: {missing:?}");
    }
}

#[test]
fn past_failures_stay_mended() {
    let seeds = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    for seed in seeds.filter_map(|line| line.split_whitespace().next()) {
        keep(seed.parse().unwrap(), true, &mut Counts::new());
    }
}

#[test]
fn deliberate_bugs_are_found() {
    for (bug, within) in Bug::ALL {
        let found = (0..within).find_map(|seed| attempt(seed, Some(bug)).err().map(|what| (seed, what)));
        let Some((seed, what)) = found else { panic!("{bug:?} is not found within {within} seeds") };
        println!("{bug:?}: seed {seed}: {}", what.chars().take(160).collect::<String>());
    }
}
