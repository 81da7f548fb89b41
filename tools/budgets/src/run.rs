//! A run from beginning to end.

use std::time::Instant;

use jiff::Timestamp;

use crate::bench::Bench;
use crate::budget::Budget;
use crate::failure::Failure;
use crate::forecast::{Forecast, stage_s, told};
use crate::machine::{CpuTimes, Machine, Versions};
use crate::measure::{durable, idle, large, lookup};
use crate::privacy::Privacy;
use crate::results::{Results, options};
use crate::settings::Settings;

/// Budgets that need the same servers, and how they are measured.
type Stage = (&'static [Budget], fn(&mut Bench) -> Result<(), Failure>);

/// The stages in order: first what takes least.
pub(crate) const STAGES: [Stage; 4] = [
    (&[Budget::B1, Budget::B2, Budget::B3], lookup::measure),
    (&[Budget::B4], durable::measure),
    (&[Budget::B9], idle::measure),
    (&[Budget::B5, Budget::B6, Budget::B7, Budget::B8, Budget::B10], large::measure),
];

/// Cores that others may keep busy before a run, without a warning.
const BUSY_CORES_MAX: f64 = 0.1;

/// Measures what is wanted. A budget that cannot be measured is told in the results, and the others are measured. After
/// each stage `keep` is given what there is, so that a run that is ended from outside leaves that behind.
///
/// # Errors
/// When the machine cannot be looked at, or there is no room for the peers' data.
pub fn run(settings: Settings, keep: &mut dyn FnMut(&Results)) -> Result<Results, Failure> {
    let began = Instant::now();
    let mut bench = Bench::new(settings)?;
    bench.news("looking at the machine");
    let machine = Machine::look(bench.scratch.path())?;
    let versions = Versions::look(&crate::repository());
    if machine.busy_cores_before > BUSY_CORES_MAX {
        bench.news(&format!("warning: {:.2} cores are busy with something else", machine.busy_cores_before));
    }
    if machine.disk.starts_with("tmpfs") {
        bench.news("warning: the data lie in memory, so that syncs cost nothing; name a disk with --data");
    }
    let frame = Frame { began, times: CpuTimes::read()?, machine, versions };
    let wanted = |bench: &Bench, budgets: &[Budget]| -> Vec<Budget> {
        budgets.iter().copied().filter(|budget| bench.wants(*budget)).collect()
    };
    let mut forecast = announced(&bench);
    for (at, (budgets, measure)) in STAGES.into_iter().enumerate() {
        let expected_s = stage_s(budgets, &bench.settings);
        let budgets = wanted(&bench, budgets);
        if budgets.is_empty() {
            continue;
        }
        let began = Instant::now();
        stage(&mut bench, &budgets, measure, forecast.left_s());
        forecast.done(expected_s, began.elapsed());
        let rest: Vec<Budget> = STAGES.iter().skip(at + 1).flat_map(|(rest, _)| wanted(&bench, rest)).collect();
        if !rest.is_empty() {
            keep(&frame.results(&bench, &rest)?);
        }
    }
    frame.results(&bench, &[])
}

/// Says how long all of it will take, and what may come to that.
fn announced(bench: &Bench) -> Forecast {
    let all_s = STAGES.iter().map(|(budgets, _)| stage_s(budgets, &bench.settings)).sum();
    let [others, servers] = bench.patience_left().map(|patience| told(patience.as_secs_f64()));
    bench.news(&format!("this takes about {} on two cores that do nothing else", told(all_s)));
    bench.news(&format!(
        "waiting adds at most {others} in all for other programs, and {servers} for the servers' own work; behind that it \
         is measured beside them"
    ));
    Forecast::new(all_s)
}

/// Measures the budgets of one stage.
fn stage(bench: &mut Bench, budgets: &[Budget], measure: fn(&mut Bench) -> Result<(), Failure>, left_s: f64) {
    let names: Vec<String> = budgets.iter().map(|budget| format!("{budget} ({})", budget.what())).collect();
    bench.news(&format!("== {} == about {} to go", names.join(", "), told(left_s)));
    if let Err(failure) = measure(bench) {
        bench.news(&format!("failed: {failure}"));
        // Those that were measured, or have a reason of their own, need none.
        for budget in budgets {
            if !bench.book.has_failed(*budget) && !bench.book.has_numbers(*budget) {
                bench.book.failure(*budget, failure.to_string());
            }
        }
    }
}

/// What is known of a run before it measures anything.
struct Frame {
    began: Instant,
    times: CpuTimes,
    machine: Machine,
    versions: Versions,
}

impl Frame {
    /// What there is, if the run ended now, before it came to the rest.
    fn results(&self, bench: &Bench, rest: &[Budget]) -> Result<Results, Failure> {
        let (_, stolen_cores) = self.times.since()?;
        let mut book = bench.book.clone();
        for budget in rest {
            book.failure(*budget, "the run was ended before it came to this");
        }
        book.rows.sort_by_key(|row| row.budget);
        book.notes.sort_by_key(|note| note.budget);
        book.spent.sort_by_key(|spent| spent.budget);
        let privacy = Privacy::of(bench.scratch.path(), &crate::repository());
        privacy.cleaned(&Results {
            date: Timestamp::now().strftime("%Y-%m-%d").to_string(),
            machine: self.machine.clone(),
            versions: self.versions.clone(),
            size: bench.size().clone(),
            options: options(),
            seconds: self.began.elapsed().as_secs_f64(),
            stolen_cores,
            book,
        })
    }
}
