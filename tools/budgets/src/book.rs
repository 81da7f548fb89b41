//! What a run has found so far: lines of the table, curves of the plots, and each measurement behind them.
//!
//! Never: a path, a name of the machine or of its user.

use repsec_load::report::Latency;
use repsec_load::{Pace, Report, Target, Workload};
use serde::{Deserialize, Serialize};

use crate::bench::BUSY_CORES_MAX;
use crate::budget::Budget;
use crate::row::Row;
use crate::statistics::Sample;

/// Everything that was found.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Book {
    /// The lines of the table.
    pub rows: Vec<Row>,
    /// What a reader must know of them.
    pub notes: Vec<Note>,
    /// The curves of the plots.
    pub curves: Vec<Curve>,
    /// What could not be measured, and why.
    pub failures: Vec<Note>,
    /// Each run of the client.
    pub measurements: Vec<Measurement>,
    /// How quiet it was while each number was taken.
    #[serde(default)]
    pub disturbances: Vec<Disturbance>,
    /// How long each budget took, without the loading of servers that others use, too.
    #[serde(default)]
    pub spent: Vec<Spent>,
}

/// What a budget took.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Spent {
    /// Which one.
    pub budget: Budget,
    /// All of its rounds, with the waiting between them.
    pub seconds: f64,
}

/// What else the machine did while a number was taken.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Disturbance {
    /// Of which budget.
    pub budget: Budget,
    /// Cores that were busy with neither the client nor the server that was measured.
    pub other_cores: f64,
    /// Whether the servers had come to rest before, as far as anybody waited for that.
    pub settled: bool,
}

impl Disturbance {
    /// Whether that is more than a number should be taken beside.
    pub fn is_busy(&self) -> bool {
        self.other_cores > BUSY_CORES_MAX
    }
}

/// A remark.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// On which budget.
    pub budget: Budget,
    /// What about it.
    pub text: String,
}

/// Which plot a curve belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plot {
    /// Latency over its quantile, at half of Redis' load.
    Latency,
    /// Commands per second over commands in flight.
    Throughput,
    /// CPU of a VERIFY over the number of entities.
    Growth,
}

/// One curve.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Curve {
    /// Of which plot.
    pub plot: Plot,
    /// Whose.
    pub who: String,
    /// How it is drawn.
    pub target: Target,
    /// Its points from left to right.
    pub points: Vec<Point>,
}

/// One point of a curve.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Point {
    /// Where.
    pub x: f64,
    /// How high, in each round.
    pub y: Sample,
}

/// One run of the client. Latencies in microseconds.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the client's own report")]
pub struct Measurement {
    pub budget: Budget,
    pub round: usize,
    pub who: String,
    pub target: Target,
    pub workload: Workload,
    pub entities: u64,
    pub connections: usize,
    pub in_flight: usize,
    pub pace: Pace,
    pub names_per_message: usize,
    pub cipher_suite: String,
    pub seconds: f64,
    pub commands: u64,
    pub commands_per_s: f64,
    pub names_per_s: f64,
    pub unanswered: u64,
    pub latency: Latency,
    pub server_cpu_ns_per_command: f64,
    pub server_cpu_ns_per_name: f64,
    pub server_cores: f64,
    pub client_cores: f64,
    /// Cores that were busy with neither the client nor this server: other servers, and whatever else runs.
    pub other_cores: f64,
}

impl Measurement {
    /// What a report says, without the paths in its plan.
    pub fn of(budget: Budget, round: usize, who: &str, report: &Report, other_cores: f64) -> Measurement {
        let (plan, server) = (&report.plan, report.server);
        let of_server = |field: fn(&repsec_load::report::Server) -> f64| server.as_ref().map_or(0.0, field);
        Measurement {
            budget,
            round,
            who: who.to_owned(),
            target: plan.target,
            workload: plan.workload,
            entities: plan.entities,
            connections: plan.connections,
            in_flight: plan.in_flight,
            pace: plan.pace,
            names_per_message: if plan.workload == Workload::Bulk { plan.names_per_message } else { 1 },
            cipher_suite: report.cipher_suite.clone(),
            seconds: report.seconds,
            commands: report.commands,
            commands_per_s: report.commands_per_s,
            names_per_s: report.names_per_s,
            unanswered: report.unanswered,
            latency: report.latency,
            server_cpu_ns_per_command: of_server(|server| server.cost.cpu_ns_per_command),
            server_cpu_ns_per_name: of_server(|server| server.cost.cpu_ns_per_name),
            server_cores: of_server(|server| server.cost.cores),
            client_cores: report.client.cores,
            other_cores,
        }
    }
}

impl Book {
    /// Adds a line.
    pub fn row(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds a remark.
    pub fn note(&mut self, budget: Budget, text: impl Into<String>) {
        self.notes.push(Note { budget, text: text.into() });
    }

    /// Notes how busy the client was at full speed, since where it had no time left, it is the client that is measured.
    pub fn note_client(&mut self, budget: Budget) {
        let full = self.measurements.iter().filter(|it| it.budget == budget && it.pace == Pace::Max);
        let mut loads: Vec<(String, Vec<f64>)> = Vec::new();
        for measurement in full {
            let Measurement { connections, in_flight, who, client_cores, .. } = measurement;
            let load = format!("{connections} x {in_flight}: {who}");
            match loads.iter_mut().find(|(known, _)| *known == load) {
                Some((_, cores)) => cores.push(*client_cores),
                None => loads.push((load, vec![*client_cores])),
            }
        }
        let cores = |cores| Sample::of(cores).map_or(0.0, |sample| sample.median);
        let told: Vec<String> = loads.into_iter().map(|(load, all)| format!("{load} {:.2}", cores(all))).collect();
        self.note(
            budget,
            format!("Cores that the client used at full speed (of one that it has): {}.", told.join("; ")),
        );
    }

    /// Adds a reason why a budget, or a part of it, is not measured.
    pub fn failure(&mut self, budget: Budget, text: impl Into<String>) {
        self.failures.push(Note { budget, text: text.into() });
    }

    /// Whether something about a budget could not be measured.
    pub fn has_failed(&self, budget: Budget) -> bool {
        self.failures.iter().any(|failure| failure.budget == budget)
    }

    /// Whether there is a number for a budget.
    pub fn has_numbers(&self, budget: Budget) -> bool {
        self.rows.iter().any(|row| row.budget == budget)
    }

    /// Whether all that decides about a budget is met; `None` when that is not known. What was measured of a budget may
    /// show that it is not met, but only all of it that it is.
    pub fn is_met(&self, budget: Budget) -> Option<bool> {
        let aims = self.rows.iter().filter(|row| row.budget == budget && row.decides).map(|row| row.aim);
        let verdicts: Vec<Option<bool>> = aims.map(|aim| aim.map(|aim| aim.verdict.met)).collect();
        if verdicts.contains(&Some(false)) {
            return Some(false);
        }
        let all = !verdicts.is_empty() && verdicts.iter().all(Option::is_some) && !self.has_failed(budget);
        all.then_some(true)
    }
}
