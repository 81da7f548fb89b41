//! Many seeds on all cores. What comes of them does not depend on how many threads share them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::disk::Counts;

/// Which seeds, and how long.
pub struct Seeds {
    pub first: u64,
    pub count: u64,
    /// No seed is begun after this.
    pub until: Option<Instant>,
}

/// What comes of seeds that keep all promises.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Lived {
    pub lived: u64,
    pub counts: Counts,
}

/// Adds counts to others.
pub fn add(counts: &mut Counts, more: Counts) {
    for (what, count) in more {
        *counts.entry(what).or_default() += count;
    }
}

/// Lives through seeds until one breaks a promise, and then gives the lowest of those that do: seeds are handed out in
/// order, and all that were are lived to the end.
pub fn live_all(
    seeds: &Seeds,
    threads: usize,
    live: impl Fn(u64, &mut Counts) -> Result<(), String> + Sync,
) -> Result<Lived, (u64, String)> {
    let (next, broken) = (AtomicU64::new(0), AtomicBool::new(false));
    let lowest: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let all = Mutex::new(Lived::default());
    let work = || {
        let mut mine = Lived::default();
        while !broken.load(Ordering::Relaxed) && seeds.until.is_none_or(|until| Instant::now() < until) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= seeds.count {
                break;
            }
            let seed = seeds.first.wrapping_add(at);
            mine.lived += 1;
            if let Err(what) = live(seed, &mut mine.counts) {
                broken.store(true, Ordering::Relaxed);
                let mut lowest = lowest.lock().unwrap();
                if lowest.as_ref().is_none_or(|(other, _)| seed < *other) {
                    *lowest = Some((seed, what));
                }
            }
        }
        let mut all = all.lock().unwrap();
        all.lived += mine.lived;
        add(&mut all.counts, mine.counts);
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    lowest.into_inner().unwrap().map_or_else(|| Ok(all.into_inner().unwrap()), Err)
}
