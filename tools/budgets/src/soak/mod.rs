//! One server through a long day: whether its memory, its descriptors and its answers' times stay as they are.
//!
//! A round is some seconds of the load generator's mixed day, while connections come and go beside it, and a reload of
//! the certificate now and then. What a round has registered is removed behind it, so that the next registers the same
//! names: the state is as large as before, and what grows is a leak. (The history grows, which is what a log does; it
//! is on the disk.) Between rounds, when the server has come to rest, its use is looked at.
//!
//! | module | duty |
//! |---|---|
//! | [`churn`] | connections that come and go |
//! | [`flat`] | the verdicts |
//! | [`picture`] | the curves |
//! | [`turnover`] | changes and lookups that make memory tables go to disk |

pub mod churn;
pub mod flat;
pub mod picture;
pub mod turnover;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use repsec_load::entities::Name;
use repsec_load::{Entities, Extent, Pace, Plan, Report, Usage, Workload, run};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::flat::{Measure, Verdict, judge, judged_from, told_from};
use crate::ask::Asker;
use crate::bench::Bench;
use crate::ending;
use crate::failure::Failure;
use crate::folder::Folder;
use crate::machine::{Machine, Versions};
use crate::peer::{Peer, beside, settle};
use crate::settings::Settings;
use crate::statistics::float64;

/// Seconds of the day in one round.
const ROUND_S: f64 = 8.0;
/// Commands per second, each of which wakes a thread: half a core of the server and a quarter for the client, as seen on
/// two cores of an AMD EPYC that compiled beside it.
const PER_SECOND: u64 = 10_000;
const CONNECTIONS: usize = 16;
const SHARDS: usize = 2;
/// Rounds between two reloads of the certificate.
const RELOAD_ROUNDS: u64 = 3;
/// Events between two snapshots: one every two minutes of half an hour, or every eleven of a night.
const CONFIG: &str = "[log]\nsnapshot_events = 500000\n";
/// Names that are removed at once behind a round.
const REMOVED_AT_ONCE: u64 = 500;
/// How long the server may go on with work of its own behind a round, before it is looked at all the same.
const REST: Duration = Duration::from_secs(3);
/// How often is told how far it is.
const NEWS: Duration = Duration::from_secs(60);

/// What was seen behind one round.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Look {
    /// Minutes since the first round began.
    pub minute: f64,
    /// Resident memory, in bytes: the mean of several looks, while tables are filled behind the round's day.
    pub rss_bytes: usize,
    /// Open descriptors, without files of the log.
    pub descriptors: usize,
    /// Open files of the log: more of them as it grows.
    pub files: usize,
    /// Threads.
    pub threads: usize,
    /// Commands of the round's day.
    pub commands: u64,
    /// Events of the round: what was registered, and what was removed.
    pub changes: u64,
    /// Names that were asked for in the round, by the day and beside it.
    pub names: u64,
    /// Connections that came and went in the round, with one command each.
    pub connections: u64,
    /// Median of the latencies, in microseconds.
    pub p50_us: f64,
    /// Their 99th percentile.
    pub p99_us: f64,
    /// Their 99.9th percentile.
    pub p999_us: f64,
    /// Server CPU of each command, in nanoseconds; the connections that come and go are in it.
    pub cpu_ns: f64,
}

/// A whole soak. As JSON it is one object with these names.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Soak {
    /// The day, in UTC.
    pub date: String,
    /// On what.
    pub machine: Machine,
    /// Of what.
    pub versions: Versions,
    /// Entities that were registered all the time.
    pub entities: u64,
    /// Commands that were sent in each second of a round.
    pub per_second: u64,
    /// Commands of the day, each with its right answer.
    pub commands: u64,
    /// Events: registrations, and as many removals, since all of them were taken back.
    pub changes: u64,
    /// Names that were asked for.
    pub names: u64,
    /// Connections that came and went beside the day.
    pub connections: u64,
    /// Certificates that were taken up.
    pub reloads: usize,
    /// Snapshots that were begun.
    pub snapshots: usize,
    /// What `log verify` said at the end, in its last line.
    pub verified: String,
    /// What was seen.
    pub looks: Vec<Look>,
    /// What is to be said of it; empty where the time was too short.
    pub verdicts: Vec<Verdict>,
}

/// Lets a server live through a day of so many minutes.
///
/// # Errors
/// When the server or the client fails, an answer is wrong, or the log is not whole at the end.
pub fn measure(settings: Settings, minutes: f64) -> Result<Soak, Failure> {
    let mut bench = Bench::new(settings)?;
    bench.news("looking at the machine");
    let machine = Machine::look(bench.scratch.path())?;
    let versions = Versions::look(&crate::repository());
    let entities = bench.size().entities;
    let data = bench.scratch.directory("soak")?;
    let config = bench.scratch.path().join("soak.toml");
    fs::write(&config, CONFIG).map_err(Failure::system(format!("write {}", config.display())))?;
    let peer = Peer::repsec_as(&data, SHARDS, Some(&config))?;
    bench.fill(&peer, entities)?;
    let mut day = Day::new(&peer, &data, entities, minutes)?;
    let mut told = Instant::now();
    bench.news(&format!("a day of {minutes} minutes begins"));
    while day.began.elapsed().as_secs_f64() < minutes * 60.0 {
        let look = day.round()?;
        if told.elapsed() > NEWS {
            told = Instant::now();
            let Look { minute, descriptors, p99_us, .. } = look;
            let memory = Measure::Memory.text(Measure::Memory.of(&look));
            bench.news(&format!("minute {minute:.0}: {memory}, {descriptors} descriptors, p99 {p99_us:.0} us"));
        }
        day.looks.push(look);
    }
    let looks = day.looks;
    let log = peer.logged();
    peer.end()?;
    let verified = verify(&data)?;
    if let Some(line) = log.lines().find(|line| line.contains(" WARN ") || line.contains(" ERROR ")) {
        return Err(Failure::peer("repsec", format!("was not content: {line}")));
    }
    let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
    Ok(Soak {
        date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
        machine,
        versions,
        entities,
        per_second: PER_SECOND,
        commands: looks.iter().map(|look| look.commands).sum(),
        changes: looks.iter().map(|look| look.changes).sum(),
        names: looks.iter().map(|look| look.names).sum(),
        connections: looks.iter().map(|look| look.connections).sum(),
        reloads: count("certificate reloaded"),
        snapshots: count("snapshot begun"),
        verified,
        verdicts: judge(&looks).unwrap_or_default(),
        looks,
    })
}

/// The day, as far as it has come.
struct Day<'a> {
    peer: &'a Peer,
    data: &'a Path,
    names: Entities,
    entities: u64,
    minutes: f64,
    began: Instant,
    rounds: u64,
    looks: Vec<Look>,
}

/// What was done in a round.
struct Done {
    report: Report,
    changes: u64,
    names: u64,
    connections: u64,
    rss_bytes: u64,
}

impl<'a> Day<'a> {
    fn new(peer: &'a Peer, data: &'a Path, entities: u64, minutes: f64) -> Result<Day<'a>, Failure> {
        let names = Entities::load(&peer.plan().lists).map_err(Failure::load("reading the lists of names"))?;
        Ok(Day { peer, data, names, entities, minutes, began: Instant::now(), rounds: 0, looks: Vec::new() })
    }

    fn minute(&self) -> f64 {
        self.began.elapsed().as_secs_f64() / 60.0
    }

    fn round(&mut self) -> Result<Look, Failure> {
        if self.rounds.is_multiple_of(RELOAD_ROUNDS) {
            ending::signal(self.peer.pid(), Signal::HUP);
        }
        self.rounds += 1;
        let plan = Plan {
            workload: Workload::Day,
            entities: self.entities,
            first: self.entities,
            pace: Pace::PerSecond(PER_SECOND),
            connections: CONNECTIONS,
            warmup_s: 0.0,
            extent: Extent::Seconds(ROUND_S),
            seed: self.rounds,
            ..self.peer.plan()
        };
        let stop = AtomicBool::new(false);
        let (report, connections) = thread::scope(|scope| {
            let churn = scope.spawn(|| churn::until(&stop, self.peer));
            let report = run(&plan);
            stop.store(true, Ordering::Relaxed);
            let connections = churn.join().unwrap_or_else(|_| Err(Failure::Result("a thread panicked".to_owned())));
            (report, connections)
        });
        let report = report.map_err(Failure::load("a round of the day"))?;
        if report.unanswered > 0 {
            return Err(Failure::peer(&self.peer.name, format!("left {} commands unanswered", report.unanswered)));
        }
        // What was taken back was registered before.
        let mut changes = 2 * self.take_back(report.next_first)?;
        let mut names = report.names;
        let due = turnover::due(&self.looks, self.minute(), self.minutes, (changes, names));
        let mut rss_bytes = 0;
        for part in 0..turnover::PARTS {
            let (more, asked) = turnover::part(self.peer, &self.names, self.entities, due, self.rounds + part)?;
            (changes, names) = (changes + more, names + asked);
            if part + 1 == turnover::PARTS {
                settle(&[self.peer], REST);
            }
            rss_bytes += self.usage()?.rss_bytes / turnover::PARTS;
        }
        self.look(&Done { report, changes, names, connections: connections?, rss_bytes })
    }

    fn usage(&self) -> Result<Usage, Failure> {
        Usage::of(self.peer.pid()).map_err(Failure::load("looking at the server"))
    }

    /// Removes what a round has registered; how many there were. The names have gaps, since each connection counts for
    /// itself.
    fn take_back(&self, until: u64) -> Result<u64, Failure> {
        let mut taken_back = 0;
        let mut asker = Asker::new(self.peer)?;
        let numbers: Vec<u64> = (self.entities..until).collect();
        for numbers in numbers.chunks(usize::try_from(REMOVED_AT_ONCE).unwrap_or(1)) {
            let name = |number: &u64| self.names.text(Name::Entity(*number));
            let commands: Vec<Value> =
                numbers.iter().map(|number| json!({"command": "REMOVE", "entity": name(number)})).collect();
            for answer in asker.ask_all(&commands)? {
                match answer["status"].as_u64() {
                    Some(200) => taken_back += 1,
                    Some(404) => {}
                    _ => return Err(Failure::peer(&self.peer.name, format!("answered {answer} to a REMOVE"))),
                }
            }
        }
        Ok(taken_back)
    }

    fn look(&self, done: &Done) -> Result<Look, Failure> {
        let report = &done.report;
        let pid = self.peer.pid();
        let usage = self.usage()?;
        let entries = fs::read_dir(format!("/proc/{pid}/fd")).map_err(Failure::system("look at the server's files"))?;
        let open: Vec<_> = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok()).collect();
        let files = open.iter().filter(|path| path.starts_with(self.data)).count();
        Ok(Look {
            minute: self.minute(),
            rss_bytes: usize::try_from(done.rss_bytes).unwrap_or(usize::MAX),
            descriptors: open.len() - files,
            files,
            threads: usize::try_from(usage.threads).unwrap_or(usize::MAX),
            commands: report.commands,
            changes: done.changes,
            names: done.names,
            connections: done.connections,
            p50_us: report.latency.p50_us,
            p99_us: report.latency.p99_us,
            p999_us: report.latency.p999_us,
            cpu_ns: report.server.map_or(f64::NAN, |server| server.cost.cpu_ns_per_command),
        })
    }
}

/// Checks the log of a server that has ended. The last line of what was said of it.
fn verify(data: &Path) -> Result<String, Failure> {
    let output = Command::new(beside("repsec")?).args(["log", "verify", "--data"]).arg(data).output();
    let output = output.map_err(Failure::system("start repsec log verify"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::peer("repsec log verify", format!("found the log not whole: {}", said.trim_end())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().last().unwrap_or_default().to_owned())
}

impl Soak {
    /// Whether all stayed as it was. Not where the time was too short to judge one of them.
    pub fn is_flat(&self) -> bool {
        self.verdicts.len() == Measure::ALL.len() && self.verdicts.iter().all(|verdict| verdict.flat)
    }

    /// Everything as text for people.
    pub fn text(&self) -> String {
        let Machine { cpu, cores, memory_gib, kernel, disk, .. } = &self.machine;
        let minutes = self.looks.last().map_or(0.0, |look| look.minute);
        let out = format!(
            "One server through {minutes:.0} minutes of a mixed day, {}\n{cpu}, {cores} cores, {memory_gib:.0} GiB, \
             {kernel}, {disk}; repsec {}, {SHARDS} shards, client on the same machine\n\n{} commands at {} a second, each \
             answered rightly; {} entities, {} changes that\ntook themselves back, {} names asked for; {} connections came \
             and went, one of three\nin the middle of a message; {} certificates taken up, {} snapshots begun.\nlog verify: \
             {}\n\n",
            self.date,
            self.versions.repsec,
            grouped(self.commands),
            grouped(self.per_second),
            grouped(self.entities),
            grouped(self.changes),
            grouped(self.names),
            grouped(self.connections),
            self.reloads,
            self.snapshots,
            self.verified,
        );
        if self.verdicts.is_empty() {
            return out + "The time was too short to say what stays: twenty rounds, or four minutes, are needed.\n";
        }
        out + &self.judged()
    }

    /// The verdicts as text.
    fn judged(&self) -> String {
        let from = |measure| judged_from(&self.looks, measure);
        let mut out = format!(
            "Judged from minute {:.0} on (memory from {:.0} on), medians of its first and last third (memory: means of the \
             two\nneighbouring thirds that grew less):\n",
            from(Measure::Threads),
            from(Measure::Memory),
        );
        for Verdict { measure, first, last, flat } in &self.verdicts {
            let word = if *flat { "flat" } else { "GROWS" };
            out += &format!(
                "  {:<24} {:>12} {:>12}   {word} (at most {})\n",
                measure.name(),
                measure.text(*first),
                measure.text(*last),
                measure.text(measure.most(*first)),
            );
        }
        out + &match told_from(&self.looks) {
            Some([command, change, connection]) => format!(
                "A leak of more than {command:.1} bytes for each command of the day, {change:.1} for each change, or \
                 {connection:.0} for each\nconnection would have been told.\n"
            ),
            None => {
                "Memory is not judged: the time was too short for its tables to go to disk several times; 24 minutes \
                     are enough.\n"
                    .to_owned()
            }
        }
    }

    /// Writes the text, the JSON and the picture into a directory, which is made if it is not there.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), Failure> {
        let folder = Folder::new(directory)?;
        folder.text("soak.txt", &self.text())?;
        folder.json("soak.json", self)?;
        let caption = format!("{}, {}, {} cores, {SHARDS} shards", self.date, self.machine.cpu, self.machine.cores);
        folder.text("soak.svg", &picture::svg(self, &caption)?)
    }
}

fn grouped(number: u64) -> String {
    crate::plot::grouped(&float64(number))
}

#[cfg(test)]
mod tests;
