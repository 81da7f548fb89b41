//! The store in a simulated world: many shards, clients, a disk that fails, crashes and a clock that is set, all from one
//! seed and on one thread, so that what goes wrong once goes wrong again. The manual's page "simulation" tells how to
//! run it and how to read it.
//!
//! `REPSEC_SIM_SEEDS` says how many seeds, `REPSEC_SIM_TIME` for how many seconds, `REPSEC_SIM_SEED` the first of them,
//! `REPSEC_SIM_CUT` what is left of them, `REPSEC_SIM_THREADS` how many threads share them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// The product's own, which makes a seed a fifth quicker than the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod auditor;
mod bug;
mod cut;
mod dice;
mod disk;
mod process;
mod seeds;
mod shrink;
mod story;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bug::Bug;
use cut::Cut;
use disk::Counts;
use seeds::Seeds;
use world::{Report, live};

/// Seeds of a usual run.
const SEEDS: u64 = 1500;
/// Histories that are tried in the search for a short one that fails.
const ATTEMPTS_MAX: usize = 3000;
/// The same where a deliberate bug is shortened.
const ATTEMPTS_OF_BUG: usize = 250;
/// One in so many seeds is lived through twice.
const TWICE: u64 = 8;
/// From so many seeds on, every fault must have happened.
const SEEDS_FOR_ALL_FAULTS: u64 = 200;
/// What is done to worlds, and what comes of it.
const FAULTS: [&str; 37] = [
    "answer: changed",
    "answer: refused",
    "answer: replayed",
    "answer: seen",
    "answer: stale",
    "answer: stale since the clock was set back",
    "answer: storage failed",
    "clock set",
    "clock set far",
    "command repeated",
    "connection cut",
    "crash",
    "crash in a slow sync",
    "end after a failed write",
    "failed read",
    "failed sync",
    "farewell after a failed write",
    "full disk",
    "gave up in a slow sync",
    "letter or message held back",
    "long silence",
    "part of the index dropped",
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
    "stop while clients wait",
    "unsynced write kept",
    "unsynced write lost",
    "unsynced write torn",
    "unsynced write with a wrong byte",
];

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// Lives through a seed; a panic is a broken promise too.
fn attempt(seed: u64, bug: Option<Bug>, cut: &Cut) -> Result<Report, String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| live(seed, bug, cut)));
    outcome.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(format!("a panic: {}", text.unwrap_or("without words")))
    })
}

/// The command that repeats this.
fn again(seed: u64, cut: &Cut) -> String {
    let cut = if *cut == Cut::nothing() { String::new() } else { format!(" REPSEC_SIM_CUT='{cut}'") };
    format!("REPSEC_SIM_SEED={seed} REPSEC_SIM_SEEDS=1{cut} cargo test --test sim many_seeds -- --nocapture")
}

/// Tells people of a failure, and how it can be had with less.
fn report(seed: u64, cut: &Cut, what: &str) -> String {
    let shortest = shrink::shorten(seed, None, cut, what, ATTEMPTS_MAX);
    let (begin, end) = (cut.steps.len(), shortest.cut.steps.len());
    format!(
        "seed {seed}: {what}\nOnce more:\n{}\n\n{end} of its {begin} steps fail alike ({} histories were tried):\n{}\n{}\n\
         Once more:\n{}",
        again(seed, cut),
        shortest.attempts,
        shortest.story.join("\n"),
        shortest.what,
        again(seed, &shortest.cut),
    )
}

/// Lives through a seed that must keep all promises, twice if it is asked for, and counts what happened.
fn keep(seed: u64, cut: &Cut, twice: bool, counts: &mut Counts) -> Result<(), String> {
    let lived = attempt(seed, None, cut)?;
    if twice {
        let second = attempt(seed, None, cut).map(|report| report.trace);
        if second != Ok(lived.trace) {
            return Err("the seed does not repeat itself".to_owned());
        }
    }
    seeds::add(counts, lived.counts);
    Ok(())
}

#[test]
fn many_seeds_keep_all_promises() {
    let time = number("REPSEC_SIM_TIME").map(Duration::from_secs);
    let count = number("REPSEC_SIM_SEEDS").unwrap_or(if time.is_some() { u64::MAX } else { SEEDS });
    let chance = || u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()) << 8;
    let first = number("REPSEC_SIM_SEED").unwrap_or_else(chance);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = number("REPSEC_SIM_THREADS").map_or(cores, |threads| usize::try_from(threads).unwrap().max(1));
    let cut = std::env::var("REPSEC_SIM_CUT").map_or(Cut::nothing(), |text| text.parse().unwrap());
    println!("REPSEC_SIM_SEED={first}, {threads} threads");
    let begin = Instant::now();
    let seeds = Seeds { first, count, until: time.map(|time| begin + time) };
    let outcome = seeds::live_all(&seeds, threads, |seed, counts| {
        keep(seed, &cut, count == 1 || seed.is_multiple_of(TWICE), counts)
    });
    let done = outcome.unwrap_or_else(|(seed, what)| panic!("{}", report(seed, &cut, &what)));
    for (what, count) in &done.counts {
        println!("{count:>8}  {what}");
    }
    let ms = begin.elapsed().as_millis();
    let speed = u128::from(done.lived) * 1000 / ms.max(1);
    println!("{} seeds in {ms} ms, one in {TWICE} twice: {speed} seeds/s", done.lived);
    if done.lived >= SEEDS_FOR_ALL_FAULTS {
        let missing: Vec<_> =
            FAULTS.iter().filter(|fault| done.counts.get(**fault).is_none_or(|count| *count == 0)).collect();
        assert!(missing.is_empty(), "these never happened: {missing:?}");
    }
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let live = |threads, bug| {
        let seeds = Seeds { first: 7, count: 60, until: None };
        seeds::live_all(&seeds, threads, |seed, counts| {
            let lived = attempt(seed, bug, &Cut::nothing())?;
            // A sum of all traces.
            *counts.entry("trace").or_default() +=
                u64::from(u32::from_le_bytes(*lived.trace.as_bytes().first_chunk().unwrap()));
            seeds::add(counts, lived.counts);
            Ok(())
        })
    };
    for bug in [None, Some(Bug::NonceForgotten)] {
        let alone = live(1, bug);
        assert_eq!(alone.is_err(), bug.is_some());
        assert_eq!(live(2, bug), alone);
        assert_eq!(live(5, bug), alone);
    }
}

#[test]
fn past_failures_stay_mended() {
    let seeds = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    for seed in seeds.filter_map(|line| line.split_whitespace().next()) {
        let (seed, whole) = (seed.parse().unwrap(), Cut::nothing());
        let kept = keep(seed, &whole, true, &mut Counts::new());
        kept.unwrap_or_else(|what| panic!("{}", report(seed, &whole, &what)));
    }
}

/// The first seed that shows a bug, and how.
fn find(bug: Bug, within: u64) -> (u64, String) {
    let whole = Cut::nothing();
    let found = (0..within).find_map(|seed| attempt(seed, Some(bug), &whole).err().map(|what| (seed, what)));
    found.unwrap_or_else(|| panic!("{bug:?} is not found within {within} seeds"))
}

#[test]
fn deliberate_bugs_are_found() {
    for (bug, within) in Bug::ALL {
        let (seed, what) = find(bug, within);
        println!("{bug:?}: seed {seed}: {}", what.chars().take(160).collect::<String>());
    }
}

#[test]
fn what_fails_is_shortened_and_still_fails() {
    let (mut before, mut after) = (0, 0);
    for (bug, within) in Bug::ALL {
        let (seed, what) = find(bug, within);
        let whole = Cut::nothing();
        let shortest = shrink::shorten(seed, Some(bug), &whole, &what, ATTEMPTS_OF_BUG);
        assert!(shortest.attempts <= ATTEMPTS_OF_BUG);
        assert_eq!(shrink::kind(&shortest.what), shrink::kind(&what), "{bug:?}: it fails otherwise: {}", shortest.what);
        assert!(!shortest.story.is_empty(), "{bug:?}: nothing is told");
        // The text of it is enough to repeat it, to the letter.
        let cut: Cut = shortest.cut.to_string().parse().unwrap();
        assert_eq!(cut, shortest.cut);
        story::begin();
        let again = attempt(seed, Some(bug), &cut).err();
        assert_eq!((again, story::end()), (Some(shortest.what), shortest.story), "{bug:?} does not repeat itself");
        println!("{bug:?}: {} of {} steps: {cut}", cut.steps.len(), whole.steps.len());
        (before, after) = (before + whole.steps.len(), after + cut.steps.len());
        assert!(cut.steps.len() <= whole.steps.len() && cut.clients <= whole.clients && cut.shards <= whole.shards);
    }
    assert!(after * 4 < before, "{after} of {before} steps are left: that is no search");
}
