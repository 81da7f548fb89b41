//! Whether what a server uses stays the same: the first third of what is judged beside the last.
//!
//! Never: judges the time in which the server fills what it keeps for a while (nonces, journal, caches).

use serde::{Deserialize, Serialize};

use super::Look;
use crate::statistics::{float, quantile};

/// Of the whole time, what is not judged: a nonce is remembered for ten minutes, which is a third of half an hour.
const SETTLING: f64 = 0.4;
/// Looks that each third must have.
const LOOKS_MIN: usize = 3;
/// Resident memory may grow by this, which is what an allocator's pages make of chance.
const MEMORY_ROOM_BYTES: f64 = 4.0 * 1024.0 * 1024.0;

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

    /// The most that the last third may be, by the first. Times are those of a shared machine; a count is a count.
    pub fn most(self, first: f64) -> f64 {
        match self {
            Measure::Memory => first * 1.02 + MEMORY_ROOM_BYTES,
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
    /// The median of the first third of what is judged.
    pub first: f64,
    /// The median of the last.
    pub last: f64,
    /// Whether it stayed.
    pub flat: bool,
}

/// Judges a series of looks; `None` where there are too few.
pub fn judge(looks: &[Look]) -> Option<Vec<Verdict>> {
    let judged = judged(looks);
    let third = judged.len() / 3;
    if third < LOOKS_MIN {
        return None;
    }
    let (head, tail) = (judged.get(..third)?, judged.get(judged.len() - third..)?);
    Measure::ALL
        .into_iter()
        .map(|measure| {
            let median = |looks: &[Look]| quantile(&looks.iter().map(|look| measure.of(look)).collect::<Vec<_>>(), 0.5);
            let (first, last) = (median(head)?, median(tail)?);
            Some(Verdict { measure, first, last, flat: last <= measure.most(first) })
        })
        .collect()
}

/// The looks behind the settling.
fn judged(looks: &[Look]) -> &[Look] {
    let end = looks.last().map_or(0.0, |look| look.minute);
    let from = looks.iter().position(|look| look.minute >= SETTLING * end).unwrap_or(looks.len());
    looks.get(from..).unwrap_or_default()
}

/// The minute from which on is judged.
pub fn judged_from(looks: &[Look]) -> f64 {
    judged(looks).first().map_or(0.0, |look| look.minute)
}
