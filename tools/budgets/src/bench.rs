//! What all measurements share: the settings, the scratch directory, the certificates, the book, and the news on standard
//! error.

use std::panic::{self, AssertUnwindSafe};
use std::thread;
use std::time::{Duration, Instant};

use repsec::server::{CertificateFiles, make_development};
use repsec_load::{Extent, Plan, Report, run, run_with};

use crate::book::{Book, Disturbance, Measurement, Spent};
use crate::budget::Budget;
use crate::failure::Failure;
use crate::machine::CpuTimes;
use crate::others::Others;
use crate::patience::Patience;
use crate::peer::{Peer, SETTLED, settle};
use crate::scratch::Scratch;
use crate::settings::{Settings, Size};
use crate::statistics::Sample;

/// How long a server may go on with work of its own (compaction, snapshots) before it is measured all the same: in one
/// place, and in a whole run.
const SETTLE: Duration = Duration::from_secs(60);
const SETTLE_ALL: Duration = Duration::from_secs(300);
/// How long a run waits in one place for other programs to leave the machine alone. How long in all, it is told.
const QUIET: Duration = Duration::from_secs(20);
/// How often a fill says how far it is.
const NEWS: Duration = Duration::from_secs(10);
/// Cores that others may keep busy while something is measured, without being waited for.
pub const BUSY_CORES_MAX: f64 = 0.15;
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
    /// For other programs.
    quiet: Patience,
    /// For the servers' own work.
    settling: Patience,
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
        let (quiet, settling) = (Patience::new(settings.patience, QUIET), Patience::new(SETTLE_ALL, SETTLE));
        let (book, began) = (Book::default(), Instant::now());
        Ok(Bench { settings, scratch, certificates, book, began, quiet, settling })
    }

    /// How long and how much.
    pub fn size(&self) -> &Size {
        &self.settings.size
    }

    /// Whether a budget is to be measured.
    pub fn wants(&self, budget: Budget) -> bool {
        self.settings.budgets.contains(&budget)
    }

    /// How long the run will wait from now on at the most: for other programs, and for the servers' own work.
    pub fn patience_left(&self) -> [Duration; 2] {
        [self.quiet.left(), self.settling.left()]
    }

    /// Says what is being done.
    pub fn news(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs();
        eprintln!("[{:2}:{:02}] {text}", seconds / 60, seconds % 60);
    }

    /// Measures one budget, or a part of it, if it is wanted. What keeps it from being measured, a panic too, is told in
    /// the book; the run goes on.
    pub fn attempt(&mut self, budget: Budget, measure: impl FnOnce(&mut Bench) -> Result<(), Failure>) {
        if !self.wants(budget) {
            return;
        }
        // What a panic leaves half done is a row or a note less in the book.
        let began = Instant::now();
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| measure(self)));
        self.book.spent.push(Spent { budget, seconds: began.elapsed().as_secs_f64() });
        let failure = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "the measurement itself broke down; standard error says where".to_owned(),
        };
        self.news(&format!("{budget} failed: {failure}"));
        self.book.failure(budget, failure);
    }

    /// Waits until these do nothing of their own any more, as long as there is patience left. Whether it came to that.
    pub fn settle(&mut self, peers: &[&Peer]) -> bool {
        let (began, at_most) = (Instant::now(), self.settling.here());
        let settled = settle(peers, at_most);
        self.settling.spend(began.elapsed().saturating_sub(SETTLED));
        if !settled && !at_most.is_zero() {
            self.news(&format!("  the servers are still busy after {} s; going on", began.elapsed().as_secs()));
            if self.settling.is_over() {
                self.news("  no patience is left for the servers' own work; from now on it is measured beside it");
            }
        }
        settled
    }

    /// Waits until other programs leave the machine alone, as long as there is patience left. What is measured beside them
    /// all the same is told by [`Disturbance::other_cores`].
    ///
    /// # Errors
    /// When the kernel does not tell what the machine does.
    pub fn wait_for_quiet(&mut self) -> Result<(), Failure> {
        let (began, at_most) = (Instant::now(), self.quiet.here());
        let mut told = false;
        loop {
            let before = CpuTimes::read()?;
            thread::sleep(LOOK);
            let (busy, _) = before.since()?;
            let waited = began.elapsed();
            if busy < BUSY_CORES_MAX || waited >= at_most {
                // The look itself is none of it.
                self.quiet.spend(waited.saturating_sub(LOOK));
                if told && self.quiet.is_over() {
                    self.news("  no patience is left; from now on it is measured beside whatever else runs");
                }
                return Ok(());
            }
            if !told {
                self.news(&format!("  waiting: {busy:.2} cores are busy with something else"));
                told = true;
            }
        }
    }

    /// Takes a number when the machine is quiet, as far as there is patience, and notes how quiet it was. The servers are
    /// those that are there before; one that `measure` starts and gives back is asked for by `started`.
    ///
    /// # Errors
    /// When `measure` fails, or the kernel does not tell what the machine does.
    pub fn quietly<T>(
        &mut self,
        budget: Budget,
        peers: &[&Peer],
        measure: impl FnOnce() -> Result<T, Failure>,
        started: impl FnOnce(&T) -> Option<&Peer>,
    ) -> Result<T, Failure> {
        let settled = self.settle(peers);
        self.wait_for_quiet()?;
        let others = Others::begin(peers)?;
        let found = measure()?;
        let peers: Vec<&Peer> = peers.iter().copied().chain(started(&found)).collect();
        let other_cores = others.end(&peers)?;
        self.book.disturbances.push(Disturbance { budget, other_cores, settled });
        Ok(found)
    }

    /// Loads entities 0 up to `count`, and waits until the peer is quiet.
    ///
    /// # Errors
    /// When the client fails.
    pub fn fill(&mut self, peer: &Peer, count: u64) -> Result<(), Failure> {
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
        plan: impl FnMut(&Peer, usize) -> Plan,
    ) -> Result<Vec<Vec<Report>>, Failure> {
        self.interleave_for(self.size().window_s, budget, what, peers, plan)
    }

    /// The same in a third of the time, for a point of a plot that no goal is about.
    ///
    /// # Errors
    /// When the client fails, or an answer is wrong.
    pub fn interleave_briefly(
        &mut self,
        budget: Budget,
        what: &str,
        peers: &[&Peer],
        plan: impl FnMut(&Peer, usize) -> Plan,
    ) -> Result<Vec<Vec<Report>>, Failure> {
        self.interleave_for(self.size().window_s / 3.0, budget, what, peers, plan)
    }

    fn interleave_for(
        &mut self,
        window_s: f64,
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
                let settled = self.settle(peers);
                self.wait_for_quiet()?;
                let plan = Plan {
                    warmup_s: self.size().warmup_s,
                    extent: Extent::Seconds(window_s),
                    seed: u64::try_from(round).unwrap_or_default() + 1,
                    ..plan(peer, round)
                };
                let others = Others::begin(&[*peer])?;
                let report = run(&plan).map_err(Failure::load(format!("{what} at {}", peer.name)))?;
                let other_cores = others.end(&[*peer])?;
                self.book.measurements.push(Measurement::of(budget, round, &peer.name, &report, other_cores));
                self.book.disturbances.push(Disturbance { budget, other_cores, settled });
                reports.push(report);
            }
        }
        Ok(reports)
    }
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
