//! What came of a run, for programs and for people.

use std::collections::BTreeMap;
use std::fmt;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::plan::{Extent, Keys, Pace, Plan, Target, Workload};

/// What came of a run. As JSON it is one object with these names.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// How it was made.
    pub plan: Plan,
    /// The cipher suite of all connections, as RFC 8446 names it.
    pub cipher_suite: String,
    /// Length of the counted window in seconds: as planned, or until the last answer where commands were counted, or
    /// where there was nothing left to remove.
    pub seconds: f64,
    /// Commands that were answered in it.
    pub commands: u64,
    /// Those per second.
    pub commands_per_s: f64,
    /// Names that were looked up in it: those of all messages of a bulk workload, else the same as `commands`.
    pub names: u64,
    /// Those per second.
    pub names_per_s: f64,
    /// The answers by what they were: `200` and `404` of RepSec, `value`, `nil` and `OK` of Redis, `same` of an echo.
    pub answers: BTreeMap<String, u64>,
    /// From intention (open loop) or sending (closed loop) to the answer.
    pub latency: Latency,
    /// Open loop: from intention to sending. Where it is not small beside the latency, commands had to wait for room in
    /// flight, or the client itself was too slow.
    pub lag: Option<Latency>,
    /// Open loop: commands of the window that had no answer 30 s behind its end. Each stands in the latencies with the
    /// time that it had waited by then.
    pub unanswered: u64,
    /// What this process has used.
    pub client: Cost,
    /// What the server has used, if its process was named.
    pub server: Option<Server>,
    /// The first number that a next run may register or remove ([`Plan::first`]).
    pub next_first: u64,
}

/// Quantiles, in microseconds, of three digits.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Latency {
    /// How many there are.
    pub samples: u64,
    /// The mean.
    pub mean_us: f64,
    /// The median.
    pub p50_us: f64,
    /// Nine of ten are below.
    pub p90_us: f64,
    /// 99 of 100 are below.
    pub p99_us: f64,
    /// 999 of 1,000 are below.
    pub p999_us: f64,
    /// 9,999 of 10,000 are below.
    pub p9999_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// CPU time between two moments at the ends of the window, and what was answered between the same moments.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// CPU time in nanoseconds, user and kernel, all threads.
    pub cpu_ns: u64,
    /// Answers meanwhile. (A few more or less than the window's, since the moments are not exactly its ends.)
    pub commands: u64,
    /// The quotient.
    pub cpu_ns_per_command: f64,
    /// The same for each name of a bulk workload.
    pub cpu_ns_per_name: f64,
    /// How many cores that keeps busy.
    pub cores: f64,
}

/// What the server has used.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Server {
    /// Its process.
    pub pid: u32,
    /// CPU time.
    pub cost: Cost,
    /// Resident memory at the end, in bytes.
    pub rss_bytes: u64,
    /// Threads at the end.
    pub threads: u64,
}

impl Latency {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Latency {
        let us = |nanoseconds: u64| float(nanoseconds) / 1000.0;
        let quantile = |quantile| us(histogram.value_at_quantile(quantile));
        Latency {
            samples: histogram.len(),
            mean_us: histogram.mean() / 1000.0,
            p50_us: quantile(0.5),
            p90_us: quantile(0.9),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            p9999_us: quantile(0.9999),
            max_us: us(histogram.max()),
        }
    }
}

impl Cost {
    pub(crate) fn new(cpu_ns: u64, commands: u64, names_per_command: u64, elapsed_ns: u64) -> Cost {
        let each = |count: u64| if count == 0 { 0.0 } else { float(cpu_ns) / float(count) };
        Cost {
            cpu_ns,
            commands,
            cpu_ns_per_command: each(commands),
            cpu_ns_per_name: each(commands * names_per_command),
            cores: if elapsed_ns == 0 { 0.0 } else { float(cpu_ns) / float(elapsed_ns) },
        }
    }
}

/// A count as a float, for quotients.
#[allow(clippy::cast_precision_loss, reason = "quotients are given to a few digits")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        let mut rows = vec![
            ("workload", describe(plan)),
            ("connections", format!("{} with {} in flight, {}", plan.connections, plan.in_flight, pace(plan))),
            ("tls", self.cipher_suite.clone()),
            ("seconds", format!("{:.3}", self.seconds)),
            ("commands", format!("{}, {:.0}/s", self.commands, self.commands_per_s)),
        ];
        if plan.workload == Workload::Bulk {
            rows.push(("names", format!("{}, {:.0}/s", self.names, self.names_per_s)));
        }
        let answers: Vec<String> = self.answers.iter().map(|(what, count)| format!("{what}: {count}")).collect();
        rows.push(("answers", answers.join(", ")));
        if self.unanswered > 0 {
            rows.push(("unanswered", self.unanswered.to_string()));
        }
        rows.push(("latency us", self.latency.to_string()));
        if let Some(lag) = &self.lag {
            rows.push(("sent late us", lag.to_string()));
        }
        let bulk = plan.workload == Workload::Bulk;
        rows.push(("client cpu", cost(&self.client, bulk)));
        if let Some(server) = &self.server {
            rows.push(("server cpu", cost(&server.cost, bulk)));
            let memory = format!("{:.1} MiB resident, {} threads", mib(server.rss_bytes), server.threads);
            rows.push(("server memory", memory));
        }
        if matches!(plan.workload, Workload::Register | Workload::Remove | Workload::Day) {
            rows.push(("next --first", self.next_first.to_string()));
        }
        write_rows(f, &rows)
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {:.1}  p90 {:.1}  p99 {:.1}  p99.9 {:.1}  p99.99 {:.1}  max {:.1}  ({} samples)",
            self.p50_us, self.p90_us, self.p99_us, self.p999_us, self.p9999_us, self.max_us, self.samples
        )
    }
}

/// Names and values, one line each, the values in a column.
pub(crate) fn write_rows(f: &mut fmt::Formatter<'_>, rows: &[(&str, String)]) -> fmt::Result {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    for (name, value) in rows {
        writeln!(f, "{name:width$}  {value}")?;
    }
    Ok(())
}

pub(crate) fn mib(bytes: u64) -> f64 {
    float(bytes) / 1_048_576.0
}

fn describe(plan: &Plan) -> String {
    let keys = match plan.keys {
        Keys::Uniform => "uniform",
        Keys::Zipf => "zipf",
    };
    let among = format!("{} entities, {keys}", plan.entities);
    let what = match plan.workload {
        Workload::VerifyHit => format!("verify-hit of {among}"),
        Workload::VerifyMiss => "verify-miss".to_owned(),
        Workload::VerifyMixed => format!("verify-mixed of {among}"),
        Workload::Bulk => {
            format!("bulk of {} names, {} % of them of {among}", plan.names_per_message, plan.bulk_hits_percent)
        }
        Workload::Register => format!("register from {} on", plan.first),
        Workload::Remove => format!("remove from {} on", plan.first),
        Workload::Day => format!("day with {among}"),
        Workload::Ping => "ping".to_owned(),
    };
    let target = match plan.target {
        Target::RepSec => "repsec",
        Target::Redis => "redis",
        Target::Echo => "echo",
    };
    format!("{what} at {target} {}", plan.address)
}

fn pace(plan: &Plan) -> String {
    let how_long = match plan.extent {
        Extent::Seconds(_) => String::new(),
        Extent::Commands(commands) => format!(", {commands} commands"),
    };
    match plan.pace {
        Pace::Max => format!("as fast as it goes (closed loop){how_long}"),
        Pace::PerSecond(rate) => format!("{rate} commands/s intended (open loop){how_long}"),
    }
}

fn cost(cost: &Cost, bulk: bool) -> String {
    let per_name = if bulk { format!(", {:.1} ns/name", cost.cpu_ns_per_name) } else { String::new() };
    format!("{:.0} ns/command{per_name}, {:.2} cores", cost.cpu_ns_per_command, cost.cores)
}
