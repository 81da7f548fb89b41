//! Where the time of a command goes: the server under `perf`, during a load of VERIFYs and one of REGISTERs.
//!
//! Samples say which share of the server's time each part takes; what a command costs in all is measured before, without
//! `perf`. What could not be told apart is shown as such and not spread over the others.
//!
//! | module | duty |
//! |---|---|
//! | [`parts`] | which code belongs to which part: the tables to extend |
//! | [`samples`] | `perf` and `addr2line` |
//! | [`picture`] | the bars |

pub mod parts;
pub mod picture;
pub mod samples;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, Table};
use jiff::Timestamp;
use repsec_load::{Extent, Plan, Workload, run};
use serde::{Deserialize, Serialize};

use self::parts::Part;
use self::samples::{Program, Recording, SKIPPED, Samples};
use crate::bench::Bench;
use crate::failure::Failure;
use crate::folder::Folder;
use crate::forecast::told;
use crate::machine::{Machine, Versions};
use crate::peer::Peer;
use crate::privacy::Privacy;
use crate::settings::{Settings, Size};
use crate::statistics::float64;

/// Symbols that are named of what belongs to no part, so that the tables can be extended.
const NAMED: usize = 12;
/// Seconds of a recording, at the least: shares of a few percent need thousands of samples.
const RECORDED_S: f64 = 5.0;
/// Seconds of a run of the client besides, and entities that are loaded in a second: for the forecast.
const BESIDES_S: f64 = 1.5;
const LOADED_PER_S: f64 = 150_000.0;

/// How samples are attributed, and what must be known of that.
const ATTRIBUTION: &str = "
A sample is one instruction that was running (perf, cpu-clock). The innermost function of the server's own source that
it stands in decides about its part, else its crate, else its symbol. The kernel counts by symbol where that tells, else
by thread: sockets and ring on a thread that serves connections, files and syncs on any other. A clock cannot interrupt
the kernel everywhere: what it does with interrupts off is counted where it allows them again, as in switching threads
or in unlocking. What one thread does for another stands where it is done; over loopback, a part of the client's
receiving is done by the server. In a VERIFY, committer and RocksDB work for the access journal alone.
";

/// Where the time of one command goes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Breakdown {
    /// The load: `VERIFY 4 x 128`.
    pub load: String,
    /// Server CPU of a command in nanoseconds, measured without `perf`.
    pub cpu_ns: f64,
    /// The same while `perf` was recording.
    pub recorded_cpu_ns: f64,
    /// How many samples there are.
    pub samples: u64,
    /// Nanoseconds of each part on each kind of thread.
    pub shares: Vec<Share>,
    /// The most frequent functions of what belongs to no part, and their nanoseconds.
    pub unnamed: Vec<(String, f64)>,
}

/// What one part takes on one kind of thread.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Share {
    /// The kind of thread.
    pub thread: String,
    /// The part.
    pub part: Part,
    /// Nanoseconds of each command.
    pub ns: f64,
}

/// A whole profile. As JSON it is one object with these names.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// The day, in UTC.
    pub date: String,
    /// On what.
    pub machine: Machine,
    /// Of what.
    pub versions: Versions,
    /// What was found, one for each load.
    pub breakdowns: Vec<Breakdown>,
}

/// Measures and records both loads.
///
/// # Errors
/// When a server, the client or `perf` fails; where `perf` is not there or not allowed, in words that say so.
pub fn measure(settings: Settings) -> Result<Profile, Failure> {
    let mut bench = Bench::new(settings)?;
    let all_s = expected_s(bench.size());
    bench.news(&format!("this takes about {} on two cores that do nothing else", told(all_s)));
    bench.news("looking at the machine");
    let machine = Machine::look(bench.scratch.path())?;
    let versions = Versions::look(&crate::repository());
    let entities = bench.size().entities;
    let mut breakdowns = Vec::new();
    for workload in [Workload::VerifyMixed, Workload::Register] {
        let (name, connections) = if workload == Workload::Register { ("REGISTER", 50) } else { ("VERIFY", 4) };
        let load = format!("{name} {connections} x 128");
        let peer = Peer::repsec(&bench.scratch.directory(&format!("profile-{}", name.to_lowercase()))?, 1)?;
        if workload != Workload::Register {
            bench.fill(&peer, entities)?;
        }
        let plan = Plan { workload, entities, connections, in_flight: 128, nonces: true, ..peer.plan() };
        breakdowns.push(breakdown(&mut bench, &peer, load, &plan)?);
        peer.end()?;
    }
    let date = Timestamp::now().strftime("%Y-%m-%d").to_string();
    let privacy = Privacy::of(bench.scratch.path(), &crate::repository());
    for breakdown in &mut breakdowns {
        breakdown.unnamed.iter_mut().for_each(|(symbol, _)| *symbol = privacy.text(symbol));
    }
    Ok(Profile { date, machine, versions, breakdowns })
}

/// Seconds that a profile takes: two loads, each once without and once with a recording, which must be read.
fn expected_s(size: &Size) -> f64 {
    let each = size.warmup_s + size.window_s.max(RECORDED_S) + BESIDES_S;
    10.0 + float64(size.entities) / LOADED_PER_S + 4.0 * each
}

fn breakdown(bench: &mut Bench, peer: &Peer, load: String, plan: &Plan) -> Result<Breakdown, Failure> {
    let (warmup_s, window_s) = (bench.size().warmup_s, bench.size().window_s);
    let plan = |seconds: f64, first: u64| Plan { warmup_s, extent: Extent::Seconds(seconds), first, ..plan.clone() };
    let failed = || Failure::load(format!("{load} at {}", peer.name));
    let cost = |report: &repsec_load::Report| report.server.map_or(f64::NAN, |server| server.cost.cpu_ns_per_command);
    bench.settle(&[peer]);
    bench.wait_for_quiet()?;
    bench.news(&format!("{load}: what it costs"));
    // As long as the recording, so that what comes with time (compaction, a table that grows) is in both.
    let seconds = window_s.max(RECORDED_S);
    let plain = run(&plan(seconds, 0)).map_err(failed())?;
    bench.settle(&[peer]);
    bench.wait_for_quiet()?;
    bench.news(&format!("{load}: where it goes"));
    let program = Program::of(peer.pid())?;
    let data = bench.scratch.path().join(format!("{}.perf", peer.pid()));
    let recording = Recording::begin(peer.pid(), data)?;
    let recorded = run(&plan(seconds, plain.next_first)).map_err(failed());
    let data = recording.end()?;
    let recorded = recorded?;
    let samples = Samples::read(&data, &program)?;
    if !samples.counts.keys().any(|(place, _)| place.is_of_kernel()) {
        return Err(Failure::peer(
            "the profile",
            format!(
                "{SKIPPED}: perf saw nothing of the kernel, and a picture without it would give its share to others. As \
                 root, or with the sysctl kernel.perf_event_paranoid at 1 or less, it sees it"
            ),
        ));
    }
    let lines = samples.lines(&program, &crate::repository())?;
    let found = Breakdown::of(load, cost(&plain), cost(&recorded), &samples, |address| {
        lines.get(&address).map(Vec::as_slice).unwrap_or_default()
    });
    // It is large, and nobody needs it any more.
    let _ = fs::remove_file(data);
    found.ok_or_else(|| Failure::Result("perf has recorded nothing".to_owned()))
}

impl Breakdown {
    /// Divides what a command costs by samples. `None` where there are none.
    fn of<'a>(
        load: String,
        cpu_ns: f64,
        recorded_cpu_ns: f64,
        samples: &Samples,
        lines: impl Fn(u64) -> &'a [String],
    ) -> Option<Breakdown> {
        let total = samples.total();
        if total == 0 || !cpu_ns.is_finite() {
            return None;
        }
        let each_ns = cpu_ns / float64(total);
        let (mut shares, mut unnamed) = (BTreeMap::<(String, Part), u64>::new(), BTreeMap::<String, u64>::new());
        for ((place, address), count) in &samples.counts {
            let part = place.part(lines(*address));
            *shares.entry((kind(&place.thread), part)).or_default() += count;
            if matches!(part, Part::Else | Part::Unresolved | Part::Standard) {
                let object = place.object.rsplit('/').next().unwrap_or_default();
                *unnamed.entry(format!("{} ({object})", place.symbol)).or_default() += count;
            }
        }
        let ns = |count: u64| each_ns * float64(count);
        let shares = shares.into_iter().map(|((thread, part), count)| Share { thread, part, ns: ns(count) }).collect();
        let mut unnamed: Vec<(String, f64)> = unnamed.into_iter().map(|(symbol, count)| (symbol, ns(count))).collect();
        unnamed.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        unnamed.truncate(NAMED);
        Some(Breakdown { load, cpu_ns, recorded_cpu_ns, samples: total, shares, unnamed })
    }

    /// The kinds of threads and what they take, the most first.
    pub fn threads(&self) -> Vec<(&str, f64)> {
        let mut sums = BTreeMap::<&str, f64>::new();
        self.shares.iter().for_each(|share| *sums.entry(&share.thread).or_default() += share.ns);
        let mut threads: Vec<(&str, f64)> = sums.into_iter().collect();
        threads.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        threads
    }

    /// What a part takes, on one kind of thread or on all.
    pub fn ns(&self, part: Part, thread: Option<&str>) -> f64 {
        let shares = self.shares.iter().filter(|share| share.part == part);
        let wanted = shares.filter(|share| thread.is_none_or(|thread| share.thread == thread));
        // The sum of no floats is a zero with a sign, which people need not see.
        wanted.fold(0.0, |sum, share| sum + share.ns)
    }

    /// The parts that take something, in their order; what is not resolved is among them even where it is nothing.
    pub fn parts(&self) -> Vec<Part> {
        let is_shown = |part: &Part| *part == Part::Unresolved || self.ns(*part, None) > 0.0;
        Part::ALL.into_iter().filter(is_shown).collect()
    }
}

/// The kind of a thread: its name without a number of its own.
fn kind(thread: &str) -> String {
    let kind = thread.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '-' | '#' | '/' | ':'));
    if kind.is_empty() { thread.to_owned() } else { kind.to_owned() }
}

impl Profile {
    /// Everything as text for people.
    pub fn text(&self) -> String {
        let Machine { cpu, cores, kernel, .. } = &self.machine;
        let mut out = format!(
            "Where the time of a command goes, {}\n{cpu}, {cores} cores, {kernel}; repsec {}, 1 shard, client on the same machine\n",
            self.date, self.versions.repsec,
        );
        for breakdown in &self.breakdowns {
            out += &format!(
                "\n{}: {:.0} ns of server CPU each ({:.0} ns while perf recorded it), {} samples\n",
                breakdown.load, breakdown.cpu_ns, breakdown.recorded_cpu_ns, breakdown.samples,
            );
            out += &format!("{}\n", table(breakdown));
            let unnamed: Vec<String> =
                breakdown.unnamed.iter().map(|(symbol, ns)| format!("  {ns:7.1} ns  {symbol}")).collect();
            out += &format!("Most of what belongs to no part, or to an unknown caller:\n{}\n", unnamed.join("\n"));
        }
        out += ATTRIBUTION;
        out
    }

    /// Writes the table, the JSON and the pictures into a directory, which is made if it is not there.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), Failure> {
        let folder = Folder::new(directory)?;
        folder.text("profile.txt", &self.text())?;
        folder.json("profile.json", self)?;
        let caption = format!("{}, {}, {} cores, 1 shard", self.date, self.machine.cpu, self.machine.cores);
        for breakdown in &self.breakdowns {
            let name = breakdown.load.split(' ').next().unwrap_or_default().to_lowercase();
            folder.text(&format!("profile-{name}.svg"), &picture::svg(breakdown, &caption)?)?;
        }
        Ok(())
    }
}

fn table(breakdown: &Breakdown) -> Table {
    let threads = breakdown.threads();
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).force_no_tty();
    let number = |ns: f64| Cell::new(if ns > 0.0 { format!("{ns:.1}") } else { String::new() });
    let right = |cell: Cell| cell.set_alignment(CellAlignment::Right);
    let heads = threads.iter().map(|(thread, _)| right(Cell::new(thread)));
    let front = [Cell::new("ns of each command"), right(Cell::new("all")), right(Cell::new("share"))];
    table.set_header(front.into_iter().chain(heads));
    for part in breakdown.parts() {
        let all = breakdown.ns(part, None);
        let share = Cell::new(format!("{:.1} %", 100.0 * all / breakdown.cpu_ns));
        let each = threads.iter().map(|(thread, _)| right(number(breakdown.ns(part, Some(thread)))));
        table.add_row([Cell::new(part.name()), right(number(all)), right(share)].into_iter().chain(each));
    }
    let sums = threads.iter().map(|(_, ns)| right(number(*ns)));
    let sum = [Cell::new("sum"), right(number(breakdown.cpu_ns)), right(Cell::new("100 %"))];
    table.add_row(sum.into_iter().chain(sums));
    table
}

#[cfg(test)]
mod tests;
