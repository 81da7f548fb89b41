//! Whether what a server uses stays the same: the begin of what is judged beside its end.
//!
//! Memory goes up and down by tens of megabytes as tables fill and go to disk, so its three thirds are compared by weighted
//! means: the weights are those of a Hann window, which begin and end at zero, so that it makes no difference where in a
//! filling a third begins or ends. A leak goes on, while a hash table that doubles is greater once: so memory grows when
//! it grows from the first third to the second and from the second to the last. The rest is compared by medians of the
//! first third and the last.
//!
//! Never: judges the time in which the server fills what it keeps for a while (nonces, journal, caches); nor memory where
//! its tables did not go to disk several times.

use std::f64::consts::TAU;

use serde::{Deserialize, Serialize};

use super::Look;
use super::turnover::turns;
use crate::statistics::{float, float64, quantile};

/// Of the whole time, what is not judged.
const SETTLING: f64 = 0.4;
/// Minutes in which memory is not judged: a nonce is remembered for ten.
const SETTLING_MEMORY: f64 = 11.0;
/// Looks that each third must have.
const LOOKS_MIN: usize = 3;
/// How often everything must have gone to disk in each third: from three on, a filling that was cut weighs less than a
/// hundredth of itself.
const TURNS_MIN: f64 = 3.0;
/// Memory may grow by this from a third to the next, which is what an allocator's pages make of chance, and by a hundredth.
const MEMORY_ROOM_BYTES: f64 = 2.0 * 1024.0 * 1024.0;

/// What is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Resident memory, in bytes.
    Memory,
    /// Open descriptors.
    Descriptors,
    /// Threads.
    Threads,
    /// Median of the latencies, in microseconds.
    Median,
    /// Their 99th percentile.
    P99,
    /// Server CPU of each command, in nanoseconds.
    Cpu,
}

impl Measure {
    /// All of them, in the order of the table.
    pub const ALL: [Measure; 6] =
        [Measure::Memory, Measure::Descriptors, Measure::Threads, Measure::Median, Measure::P99, Measure::Cpu];

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Memory => "resident memory",
            Measure::Descriptors => "open descriptors",
            Measure::Threads => "threads",
            Measure::Median => "latency, median",
            Measure::P99 => "latency, 99 %",
            Measure::Cpu => "server CPU of a command",
        }
    }

    /// Its number in a look.
    pub fn of(self, look: &Look) -> f64 {
        match self {
            Measure::Memory => float(look.rss_bytes),
            Measure::Descriptors => float(look.descriptors),
            Measure::Threads => float(look.threads),
            Measure::Median => look.p50_us,
            Measure::P99 => look.p99_us,
            Measure::Cpu => look.cpu_ns,
        }
    }

    /// A number for people.
    pub fn text(self, number: f64) -> String {
        match self {
            Measure::Memory => format!("{:.1} MiB", number / (1024.0 * 1024.0)),
            Measure::Descriptors | Measure::Threads => format!("{number:.0}"),
            Measure::Median | Measure::P99 => format!("{number:.0} us"),
            Measure::Cpu => format!("{number:.0} ns"),
        }
    }

    /// The most that the end may be, by the begin. Times are those of a shared machine; a count is a count.
    pub fn most(self, first: f64) -> f64 {
        match self {
            Measure::Memory => first * 1.01 + MEMORY_ROOM_BYTES,
            Measure::Descriptors | Measure::Threads => first,
            Measure::Median | Measure::Cpu => first * 1.25,
            Measure::P99 => first * 1.5,
        }
    }
}

/// One measure, judged.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Which.
    pub measure: Measure,
    /// The median of the first third of what is judged. Of memory, of two neighbouring thirds that grew less, the mean of the
    /// earlier.
    pub first: f64,
    /// The median of the last third; of memory, the mean of the later of those two.
    pub last: f64,
    /// Whether it stayed.
    pub flat: bool,
}

/// Judges a series of looks; `None` where there are too few. Memory is not among the verdicts where its tables did not go
/// to disk often enough.
pub fn judge(looks: &[Look]) -> Option<Vec<Verdict>> {
    let rest = judged(looks, Measure::Threads);
    let third = rest.len() / 3;
    if third < LOOKS_MIN {
        return None;
    }
    let (head, tail) = (rest.get(..third)?, rest.get(rest.len() - third..)?);
    let verdict = |measure: Measure| {
        let median = |looks: &[Look]| quantile(&looks.iter().map(|look| measure.of(look)).collect::<Vec<_>>(), 0.5);
        let (first, last) = match measure {
            Measure::Memory => memory(looks)?,
            _ => (median(head)?, median(tail)?),
        };
        Some(Verdict { measure, first, last, flat: last <= measure.most(first) })
    };
    Some(Measure::ALL.into_iter().filter_map(verdict).collect())
}

/// From how many bytes on a leak would have been told: for each command of the day, each change, and each connection that
/// came and went. `None` where memory is not judged.
pub fn told_from(looks: &[Look]) -> Option<[f64; 3]> {
    let (first, _) = memory(looks)?;
    let room = Measure::Memory.most(first) - first;
    let each = |count: fn(&Look) -> u64| {
        // A leak of one byte for each is a memory that grows as they are counted.
        let mut all = 0;
        let [first, second, last] = thirds(looks, |look| {
            all += count(look);
            float64(all)
        })?;
        Some(room / (second - first).min(last - second).max(1.0))
    };
    Some([each(|look| look.commands)?, each(|look| look.changes)?, each(|look| look.connections)?])
}

/// Memory in two neighbouring thirds of the time in which it is judged: in those that grew less.
fn memory(looks: &[Look]) -> Option<(f64, f64)> {
    let [first, second, last] = thirds(looks, |look| Measure::Memory.of(look))?;
    Some(if second - first < last - second { (first, second) } else { (second, last) })
}

/// A number in the thirds of the time in which memory is judged; `None` where it is not.
fn thirds(looks: &[Look], mut number: impl FnMut(&Look) -> f64) -> Option<[f64; 3]> {
    let judged = judged(looks, Measure::Memory);
    let (from, to) = (judged.first()?.minute, judged.last()?.minute);
    let before = |part: f64| judged.partition_point(|look| look.minute < from + part * (to - from));
    let (head, rest) = judged.split_at(before(1.0 / 3.0));
    let (middle, tail) = rest.split_at(before(2.0 / 3.0) - head.len());
    let mut of = |third: &[Look]| {
        let often = third.len() >= 3 * LOOKS_MIN && turns(third) >= TURNS_MIN;
        if often { mean(third, &mut number) } else { None }
    };
    Some([of(head)?, of(middle)?, of(tail)?])
}

/// The mean over a time with the weights of a Hann window; looks weigh by the time that they stand for.
fn mean(looks: &[Look], number: &mut impl FnMut(&Look) -> f64) -> Option<f64> {
    let (from, to) = (looks.first()?.minute, looks.last()?.minute);
    let (mut sum, mut weights) = (0.0, 0.0);
    for at in 0..looks.len() {
        let look = looks.get(at)?;
        let before = at.checked_sub(1).and_then(|at| looks.get(at)).unwrap_or(look);
        let behind = looks.get(at + 1).unwrap_or(look);
        let weight = (behind.minute - before.minute) * (1.0 - (TAU * (look.minute - from) / (to - from)).cos());
        sum += weight * number(look);
        weights += weight;
    }
    (weights > 0.0).then(|| sum / weights)
}

/// The looks behind the settling.
fn judged(looks: &[Look], measure: Measure) -> &[Look] {
    let end = looks.last().map_or(0.0, |look| look.minute);
    let least = if measure == Measure::Memory { SETTLING_MEMORY } else { 0.0 };
    let from = looks.iter().position(|look| look.minute >= (SETTLING * end).max(least)).unwrap_or(looks.len());
    looks.get(from..).unwrap_or_default()
}

/// The minute from which on something is judged; the end where it is not.
pub fn judged_from(looks: &[Look], measure: Measure) -> f64 {
    let end = looks.last().map_or(0.0, |look| look.minute);
    judged(looks, measure).first().map_or(end, |look| look.minute)
}
