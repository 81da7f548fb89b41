//! What a run is told, and whether it can be done.
//!
//! May use: serde, so that a report says how it was made. Never: opens anything.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::entities::ENTITIES_MAX;
use crate::error::LoadError;

/// Connections of one run: what one address of the client has ports for, generously.
const CONNECTIONS_MAX: usize = 50_000;
/// Commands in flight on one connection.
const IN_FLIGHT_MAX: usize = 65_536;
/// Threads of the client.
const WORKERS_MAX: usize = 256;
/// Names in one bulk lookup, as the server allows by default.
const NAMES_MAX: usize = 10_000;
/// Seconds of warm-up, and of the window.
const SECONDS_MAX: f64 = 86_400.0;
/// Commands per second: one each nanosecond, the resolution of the schedule.
const RATE_MAX: u64 = 1_000_000_000;

/// Who is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A RepSec server: lines of JSON.
    #[serde(rename = "repsec")]
    RepSec,
    /// Redis, or what speaks like it (RESP 2): VERIFY is GET, REGISTER is SET.
    Redis,
    /// An echo server: what is sent is what RepSec would be sent, and comes back.
    Echo,
}

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Workload {
    /// VERIFY of entities that are registered. Redis: GET of keys that are there, and the value is compared.
    VerifyHit,
    /// VERIFY of names that never were registered. Redis: GET of keys that are not there.
    VerifyMiss,
    /// Both, one as likely as the other, in an order that the seed decides.
    VerifyMixed,
    /// VERIFY of many names in a message. RepSec and echo only.
    Bulk,
    /// REGISTER of new names with attributes. Redis: SET of the same names, the attributes' text the value.
    Register,
    /// REMOVE of registered names, each once. RepSec and echo only.
    Remove,
    /// A day: 95 % VERIFY (half of it of registered names), 4 % REGISTER, 1 % AUDIT. RepSec and echo only.
    Day,
    /// PING.
    Ping,
}

/// Which of the registered entities are asked for. Names that are not registered are always drawn uniformly.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keys {
    /// Each as often as any other.
    Uniform,
    /// By Zipf's law with exponent 0.99: the most frequent of 1,000,000 gets about one of 15 commands.
    Zipf,
}

/// How fast.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// As many commands in flight as allowed, always: a closed loop.
    Max,
    /// So many commands per second over all connections, evenly spaced, whatever the server does: an open loop.
    PerSecond(u64),
}

/// How long.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// A window of so many seconds.
    Seconds(f64),
    /// So many commands, from the first that is sent behind the warm-up to the last one's answer.
    Commands(u64),
}

/// All that a run is told. Make one with [`Plan::new`] and change what should be otherwise.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// Who is measured.
    pub target: Target,
    /// Where it listens.
    pub address: SocketAddr,
    /// The name that its certificate must be good for.
    pub server_name: String,
    /// The authority to trust (PEM).
    pub ca: PathBuf,
    /// What is asked.
    pub workload: Workload,
    /// Which registered entities are asked for.
    pub keys: Keys,
    /// How many entities are registered already: numbers 0 up to this one, as a fill leaves them. VERIFY and AUDIT ask
    /// for these, REMOVE takes from them.
    pub entities: u64,
    /// REGISTER and `day`: the first number of a name that is registered; REMOVE: the first that is removed. A name must
    /// not come twice, so the next run begins where [`Report::next_first`](crate::Report::next_first) says.
    pub first: u64,
    /// How fast.
    pub pace: Pace,
    /// Connections in all, dealt out to the workers.
    pub connections: usize,
    /// Commands in flight on one connection at the most.
    pub in_flight: usize,
    /// Threads of the client.
    pub workers: usize,
    /// Seconds before the window. What is answered in them is checked and not counted.
    pub warmup_s: f64,
    /// How long.
    pub extent: Extent,
    /// Bulk: names in one message.
    pub names_per_message: usize,
    /// Bulk: how many of 100 names are registered ones.
    pub bulk_hits_percent: u8,
    /// Sends an `id` with each command and expects it back. RepSec and echo only.
    pub ids: bool,
    /// Sends `ts` and a fresh `nonce` with commands that change state, as clients of a server without `--dev` must.
    /// RepSec and echo only.
    pub nonces: bool,
    /// Decides which names are drawn, and their order.
    pub seed: u64,
    /// The server's process, for its CPU and memory.
    pub pid: Option<u32>,
    /// The folder with the lists of names.
    pub lists: PathBuf,
}

/// The lists of the repository that this program was built from.
pub fn repository_lists() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data"))
}

impl Plan {
    /// A plan with the defaults of the command line: `verify-mixed` of 100,000 entities drawn uniformly, as fast as it
    /// goes over 4 connections with 128 commands in flight each, 1 s of warm-up and a window of 5 s.
    pub fn new(target: Target, address: SocketAddr, ca: impl Into<PathBuf>) -> Plan {
        Plan {
            target,
            address,
            server_name: "localhost".to_owned(),
            ca: ca.into(),
            workload: Workload::VerifyMixed,
            keys: Keys::Uniform,
            entities: 100_000,
            first: 0,
            pace: Pace::Max,
            connections: 4,
            in_flight: 128,
            workers: 1,
            warmup_s: 1.0,
            extent: Extent::Seconds(5.0),
            names_per_message: 1000,
            bulk_hits_percent: 100,
            ids: false,
            nonces: true,
            seed: 1,
            pid: None,
            lists: repository_lists(),
        }
    }

    /// A plan that loads entities 0 up to `entities` into an empty target, as fast as it goes, without nonces (so the
    /// server must allow that, as `--dev` does).
    pub fn fill(target: Target, address: SocketAddr, ca: impl Into<PathBuf>, entities: u64) -> Plan {
        Plan {
            workload: Workload::Register,
            entities: 0,
            connections: 16,
            in_flight: 256,
            warmup_s: 0.0,
            extent: Extent::Commands(entities),
            nonces: false,
            ..Plan::new(target, address, ca)
        }
    }

    /// Says whether the plan can be run.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&self) -> Result<(), LoadError> {
        let wrong = |why: String| Err(LoadError::Plan(why));
        let counts = [
            ("connections", self.connections, CONNECTIONS_MAX),
            ("in-flight", self.in_flight, IN_FLIGHT_MAX),
            ("workers", self.workers, WORKERS_MAX),
            ("names-per-message", self.names_per_message, NAMES_MAX),
        ];
        for (name, value, max) in counts {
            if !(1..=max).contains(&value) {
                return wrong(format!("{name} must be from 1 to {max}, and is {value}"));
            }
        }
        if self.workers > self.connections {
            return wrong(format!("{} workers have nothing to do with {} connections", self.workers, self.connections));
        }
        if self.bulk_hits_percent > 100 {
            return wrong("bulk-hits must be from 0 to 100".to_owned());
        }
        self.check_time()?;
        self.check_numbers()?;
        match (self.target, self.workload) {
            (Target::Redis, Workload::Bulk | Workload::Remove | Workload::Day) => wrong(
                "redis is asked to GET, to SET and to PING only: verify-hit, verify-miss, verify-mixed, register, ping"
                    .to_owned(),
            ),
            (Target::Redis, _) if self.ids => wrong("redis knows no ids".to_owned()),
            _ => Ok(()),
        }
    }

    fn check_time(&self) -> Result<(), LoadError> {
        let wrong = |why: String| Err(LoadError::Plan(why));
        if !(0.0..=SECONDS_MAX).contains(&self.warmup_s) {
            return wrong(format!("warmup must be from 0 to {SECONDS_MAX} s"));
        }
        match self.extent {
            Extent::Seconds(seconds) if !(seconds > 0.0 && seconds <= SECONDS_MAX) => {
                return wrong(format!("duration must be more than 0 and at most {SECONDS_MAX} s"));
            }
            Extent::Commands(0) => return wrong("commands must be at least 1".to_owned()),
            Extent::Seconds(_) | Extent::Commands(_) => {}
        }
        match self.pace {
            Pace::PerSecond(rate) if !(1..=RATE_MAX).contains(&rate) => {
                wrong(format!("rate must be from 1 to {RATE_MAX} commands/s, or max"))
            }
            Pace::PerSecond(_) | Pace::Max => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<(), LoadError> {
        let wrong = |why: &str| Err(LoadError::Plan(why.to_owned()));
        if self.entities > ENTITIES_MAX / 2 || self.first > ENTITIES_MAX / 2 {
            return Err(LoadError::Plan(format!("entities and first must not be above {}", ENTITIES_MAX / 2)));
        }
        let asks_for_registered = match self.workload {
            Workload::VerifyHit | Workload::VerifyMixed | Workload::Remove | Workload::Day => true,
            Workload::Bulk => self.bulk_hits_percent > 0,
            Workload::VerifyMiss | Workload::Register | Workload::Ping => false,
        };
        if asks_for_registered && self.entities == 0 {
            return wrong(
                "this workload asks for registered entities: load some (fill), and say how many (--entities)",
            );
        }
        match self.workload {
            Workload::Remove if self.first >= self.entities => {
                wrong("remove takes from --first up to --entities, and there is nothing in between")
            }
            Workload::Day if self.first < self.entities => {
                wrong("day registers from --first on, which must not be below --entities: those are registered already")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::new(Target::RepSec, "127.0.0.1:4655".parse().unwrap(), "ca.pem")
    }

    #[test]
    fn the_defaults_can_be_run() {
        for target in [Target::RepSec, Target::Redis, Target::Echo] {
            let address = "127.0.0.1:1".parse().unwrap();
            assert!(Plan::new(target, address, "ca.pem").check().is_ok());
            assert!(Plan::fill(target, address, "ca.pem", 10).check().is_ok());
        }
    }

    /// Each change makes a plan that must not run.
    #[test]
    fn what_cannot_be_run_is_said() {
        type Change = fn(&mut Plan);
        let changes: [(&str, Change); 15] = [
            ("connections", |plan| plan.connections = 0),
            ("in-flight", |plan| plan.in_flight = IN_FLIGHT_MAX + 1),
            ("workers", |plan| plan.workers = 0),
            ("workers", |plan| plan.workers = plan.connections + 1),
            ("names-per-message", |plan| plan.names_per_message = NAMES_MAX + 1),
            ("bulk-hits", |plan| plan.bulk_hits_percent = 101),
            ("warmup", |plan| plan.warmup_s = f64::NAN),
            ("duration", |plan| plan.extent = Extent::Seconds(0.0)),
            ("commands", |plan| plan.extent = Extent::Commands(0)),
            ("rate", |plan| plan.pace = Pace::PerSecond(0)),
            ("entities", |plan| plan.entities = 0),
            ("first", |plan| (plan.workload, plan.first) = (Workload::Remove, plan.entities)),
            ("first", |plan| plan.workload = Workload::Day),
            ("redis", |plan| (plan.target, plan.workload) = (Target::Redis, Workload::Remove)),
            ("ids", |plan| (plan.target, plan.ids) = (Target::Redis, true)),
        ];
        for (about, change) in changes {
            let mut plan = plan();
            change(&mut plan);
            let why = plan.check().expect_err(about).to_string();
            assert!(why.contains(about), "{about}: {why}");
        }
    }
}
