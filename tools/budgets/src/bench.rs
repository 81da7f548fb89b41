//! What all measurements share: the settings, the scratch directory, the certificates, the book, and the news on standard
//! error.

use std::thread;
use std::time::{Duration, Instant};

use repsec::server::{CertificateFiles, make_development};
use repsec_load::{Extent, Plan, Report, process, run, run_with};

use crate::book::{Book, Measurement};
use crate::budget::Budget;
use crate::failure::Failure;
use crate::machine::CpuTimes;
use crate::peer::{Peer, settle};
use crate::scratch::Scratch;
use crate::settings::{Settings, Size};
use crate::statistics::Sample;

/// How long a server may go on with work of its own (compaction, snapshots) before it is measured all the same.
const SETTLE: Duration = Duration::from_secs(90);
/// How often a fill says how far it is.
const NEWS: Duration = Duration::from_secs(10);

/// How long a run waits, in all, for other programs to leave the machine alone.
const PATIENCE: Duration = Duration::from_secs(600);
/// Cores that others may keep busy while something is measured, without being waited for.
const BUSY_CORES_MAX: f64 = 0.15;
/// Length of a look at what the machine does.
const LOOK: Duration = Duration::from_millis(300);

/// The bench.
pub struct Bench {
    /// How the run is made.
    pub settings: Settings,
    /// Where the peers keep their data.
    pub scratch: Scratch,
    /// What all peers but RepSec show to the client. (RepSec makes its own, of the same kind.)
    pub certificates: CertificateFiles,
    /// What was found.
    pub book: Book,
    began: Instant,
    /// How long it will still wait for other programs.
    patience: Duration,
}

impl Bench {
    /// An empty bench.
    ///
    /// # Errors
    /// When the scratch directory or the certificates cannot be made.
    pub fn new(settings: Settings) -> Result<Bench, Failure> {
        let scratch = Scratch::new(&settings.scratch)?;
        let certificates =
            make_development(scratch.path()).map_err(|error| Failure::peer("repsec", error.to_string()))?;
        let (book, began, patience) = (Book::default(), Instant::now(), PATIENCE);
        Ok(Bench { settings, scratch, certificates, book, began, patience })
    }

    /// How long and how much.
    pub fn size(&self) -> &Size {
        &self.settings.size
    }

    /// Whether a budget is to be measured.
    pub fn wants(&self, budget: Budget) -> bool {
        self.settings.budgets.contains(&budget)
    }

    /// Says what is being done.
    pub fn news(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs();
        eprintln!("[{:2}:{:02}] {text}", seconds / 60, seconds % 60);
    }

    /// Waits until these do nothing of their own any more.
    pub fn settle(&self, peers: &[&Peer]) {
        if !settle(peers, SETTLE) {
            self.news(&format!("the servers are still busy after {} s; going on", SETTLE.as_secs()));
        }
    }

    /// Waits until other programs leave the machine alone, as long as there is patience left. What is measured beside them
    /// all the same is told by [`Measurement::other_cores`].
    ///
    /// # Errors
    /// When the kernel does not tell what the machine does.
    pub fn wait_for_quiet(&mut self) -> Result<(), Failure> {
        let mut told = false;
        loop {
            let (before, began) = (CpuTimes::read()?, Instant::now());
            thread::sleep(LOOK);
            let (busy, _) = before.since()?;
            if busy < BUSY_CORES_MAX || self.patience.is_zero() {
                return Ok(());
            }
            if !told {
                self.news(&format!("  waiting: {busy:.2} cores are busy with something else"));
                told = true;
            }
            self.patience = self.patience.saturating_sub(began.elapsed());
            if self.patience.is_zero() {
                self.news("  no patience is left; from now on it is measured beside whatever else runs");
            }
        }
    }

    /// Loads entities 0 up to `count`, and waits until the peer is quiet.
    ///
    /// # Errors
    /// When the client fails.
    pub fn fill(&self, peer: &Peer, count: u64) -> Result<(), Failure> {
        self.news(&format!("loading {count} entities into {}", peer.name));
        let mut told = Instant::now();
        self.load(peer, 0, count, &mut told, count)?;
        self.settle(&[peer]);
        Ok(())
    }

    /// Loads entities `first` up to `first + count`, of `all` that there will be. Says how far it is when it was last
    /// told some time ago.
    ///
    /// # Errors
    /// When the client fails.
    pub fn load(&self, peer: &Peer, first: u64, count: u64, told: &mut Instant, all: u64) -> Result<(), Failure> {
        let plan = Plan { first, ..peer.fill(count) };
        run_with(&plan, &mut |progress| {
            if told.elapsed() >= NEWS {
                *told = Instant::now();
                self.news(&format!("  {} of {all}", first + progress.answered));
            }
        })
        .map_err(Failure::load(format!("loading {}", peer.name)))?;
        Ok(())
    }

    /// Measures peers in turns, `rounds` times: the reports of each peer, in the order of the peers. What a plan says of
    /// time is the bench's affair.
    ///
    /// # Errors
    /// When the client fails, or an answer is wrong.
    pub fn interleave(
        &mut self,
        budget: Budget,
        what: &str,
        peers: &[&Peer],
        mut plan: impl FnMut(&Peer, usize) -> Plan,
    ) -> Result<Vec<Vec<Report>>, Failure> {
        let rounds = self.size().rounds;
        let mut reports: Vec<Vec<Report>> = peers.iter().map(|_| Vec::with_capacity(rounds)).collect();
        for round in 0..rounds {
            for (at, (peer, reports)) in peers.iter().zip(&mut reports).enumerate() {
                let (step, steps) = (round * peers.len() + at + 1, rounds * peers.len());
                self.news(&format!("{budget} {what}, {step} of {steps}: {}", peer.name));
                self.settle(peers);
                self.wait_for_quiet()?;
                let size = self.size();
                let plan = Plan {
                    warmup_s: size.warmup_s,
                    extent: Extent::Seconds(size.window_s),
                    seed: u64::try_from(round).unwrap_or_default() + 1,
                    ..plan(peer, round)
                };
                let others = Others::begin(peer)?;
                let report = run(&plan).map_err(Failure::load(format!("{what} at {}", peer.name)))?;
                let other_cores = others.end()?;
                self.book.measurements.push(Measurement::of(budget, round, &peer.name, &report, other_cores));
                reports.push(report);
            }
        }
        Ok(reports)
    }
}

/// What the machine does beside a measurement.
struct Others {
    pid: u32,
    all: CpuTimes,
    ours_ns: u64,
}

impl Others {
    fn begin(peer: &Peer) -> Result<Others, Failure> {
        let pid = peer.pid();
        Ok(Others { pid, all: CpuTimes::read()?, ours_ns: ours_ns(pid)? })
    }

    /// Cores that were busy with neither the client nor the server.
    fn end(self) -> Result<f64, Failure> {
        let used = Duration::from_nanos(ours_ns(self.pid)?.saturating_sub(self.ours_ns)).as_secs_f64();
        let seconds = self.all.elapsed_s();
        let (busy, stolen) = self.all.since()?;
        // The kernel counts in steps of 10 ms, so a little less than nothing may come out.
        Ok((busy + stolen - used / seconds).max(0.0))
    }
}

/// CPU that a server and the client have used.
fn ours_ns(pid: u32) -> Result<u64, Failure> {
    Ok(process::cpu_ns(pid).map_err(Failure::load("looking at a server"))? + process::own_cpu_ns())
}

/// One number of each report.
///
/// # Errors
/// When there are none, or one is no number.
pub fn sample(reports: &[Report], number: impl Fn(&Report) -> f64) -> Result<Sample, Failure> {
    sample_of(reports.iter().map(number).collect())
}

/// These numbers as a sample.
///
/// # Errors
/// When there are none, or one is no number.
pub fn sample_of(numbers: Vec<f64>) -> Result<Sample, Failure> {
    Sample::of(numbers).ok_or_else(|| Failure::Result("a measurement gave no number".to_owned()))
}

/// CPU that the server spent on a command, in nanoseconds.
pub fn server_ns(report: &Report) -> f64 {
    report.server.map_or(f64::NAN, |server| server.cost.cpu_ns_per_command)
}

/// CPU that the server spent on a name, in nanoseconds.
pub fn server_ns_per_name(report: &Report) -> f64 {
    report.server.map_or(f64::NAN, |server| server.cost.cpu_ns_per_name)
}

/// Commands per second.
pub fn per_second(report: &Report) -> f64 {
    report.commands_per_s
}
