//! How long a run will take: told before it begins, and again at each of its stages.
//!
//! Counted from the sizes that the measurements use, and from how long each step takes on two quiet cores of a small
//! virtual machine. Where the machine is slower, the stages that are done say by how much, and the rest is told anew.
//!
//! Never: measures, or shortens anything.

use std::time::Duration;

use crate::budget::Budget;
use crate::settings::{Settings, Size};
use crate::statistics::{float, float64};

/// Seconds of one measurement besides its warm-up and its window: coming to rest, a look at the machine, connecting.
const STEP_S: f64 = 0.8;
/// What can be loaded in a second.
const REPSEC_PER_S: f64 = 150_000.0;
const REDIS_PER_S: f64 = 350_000.0;
/// Events that B5 writes one by one in a second, and what it reads of them in all its ways.
const ONE_BY_ONE_PER_S: f64 = 250_000.0;
const REPLAYED_PER_S: f64 = 1_000_000.0;
/// Idle connections that are opened in a second, and how long they are held.
const CONNECTIONS_PER_S: f64 = 1200.0;
const HELD_S: f64 = 4.0;
/// The history of B8 is written one change at a time, and each waits for the disk; a page of it is read in this time.
const CHANGE_S: f64 = 0.003;
const PAGE_S: f64 = 0.008;
/// Starting and ending a server.
const SERVER_S: f64 = 0.5;
/// Entities that a start reads in a second.
const STARTED_PER_S: f64 = 5_000_000.0;
/// How much slower or faster than all this a machine may turn out.
const FACTOR_MIN: f64 = 0.25;
const FACTOR_MAX: f64 = 4.0;

/// Seconds that a stage with these budgets takes, as far as they are wanted.
pub fn stage_s(budgets: &[Budget], settings: &Settings) -> f64 {
    let wanted = |budget: &Budget| settings.budgets.contains(budget);
    if !budgets.iter().any(wanted) {
        return 0.0;
    }
    let each: f64 = budgets.iter().copied().filter(wanted).map(|budget| budget_s(budget, &settings.size)).sum();
    each + loading_s(budgets, settings)
}

/// What the budgets of a stage have in common: their servers, and what is in them.
fn loading_s(budgets: &[Budget], settings: &Settings) -> f64 {
    let size = &settings.size;
    let (few, many) = (float64(size.entities), float64(size.entities_large));
    let wants = |budget: Budget| settings.budgets.contains(&budget);
    if budgets.contains(&Budget::B1) {
        return 4.0 * SERVER_S + 2.0 * few / REPSEC_PER_S + few / REDIS_PER_S;
    }
    if budgets.contains(&Budget::B5) {
        let redis = if wants(Budget::B6) || wants(Budget::B10) { many / REDIS_PER_S } else { 0.0 };
        return 4.0 * SERVER_S + many / REPSEC_PER_S + redis + float64(size.history_events) * CHANGE_S;
    }
    3.0 * SERVER_S
}

/// What a budget takes with servers that are there and loaded.
fn budget_s(budget: Budget, size: &Size) -> f64 {
    let rounds = float(size.rounds);
    let step = STEP_S + size.warmup_s + size.window_s;
    let brief = STEP_S + size.warmup_s + size.window_s / 3.0;
    let many = float64(size.entities_large);
    match budget {
        Budget::B1 => rounds * (4.0 * step + 12.0 * brief),
        Budget::B2 => rounds * 6.0 * step,
        Budget::B4 => rounds * 8.0 * step,
        Budget::B3 => rounds * 3.0 * step,
        Budget::B5 => many / ONE_BY_ONE_PER_S + rounds * (STEP_S + 2.0 * many / REPLAYED_PER_S),
        Budget::B6 => 0.0,
        Budget::B7 => rounds * (STEP_S + 2.0 * SERVER_S + 2.0 * many / STARTED_PER_S),
        Budget::B8 => SERVER_S + rounds * (STEP_S + float(size.audits) * PAGE_S),
        Budget::B9 => 2.0 * (HELD_S + float(size.idle_connections) / CONNECTIONS_PER_S),
        Budget::B10 => {
            let smaller = many / 9.0;
            let servers = float(2 * size.growth().len());
            smaller / REPSEC_PER_S + smaller / REDIS_PER_S + servers * (SERVER_S + rounds * step)
        }
    }
}

/// What is left of a run, by how long its stages were expected to take and how long they did.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Forecast {
    /// Seconds of the stages that are left, as expected.
    left_s: f64,
    /// Of those that are done, as expected and as it was.
    done_s: f64,
    took_s: f64,
}

impl Forecast {
    /// Of a run that takes so many seconds.
    pub fn new(all_s: f64) -> Forecast {
        Forecast { left_s: all_s, done_s: 0.0, took_s: 0.0 }
    }

    /// A stage that was expected to take so long is done, and took this.
    pub fn done(&mut self, expected_s: f64, took: Duration) {
        self.left_s = (self.left_s - expected_s).max(0.0);
        self.done_s += expected_s;
        self.took_s += took.as_secs_f64();
    }

    /// Seconds to go.
    pub fn left_s(&self) -> f64 {
        let factor = if self.done_s > 0.0 { self.took_s / self.done_s } else { 1.0 };
        self.left_s * factor.clamp(FACTOR_MIN, FACTOR_MAX)
    }
}

/// A time as people tell it.
pub fn told(seconds: f64) -> String {
    if seconds < 90.0 { format!("{:.0} s", seconds.ceil()) } else { format!("{:.0} min", seconds / 60.0) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    fn settings(size: Size, budgets: &[Budget]) -> Settings {
        let budgets: BTreeSet<Budget> = budgets.iter().copied().collect();
        Settings { budgets, size, scratch: PathBuf::new(), out: None, patience: Duration::ZERO }
    }

    fn budget() -> impl Strategy<Value = Budget> {
        prop::sample::select(Budget::ALL.to_vec())
    }

    proptest! {
        /// More budgets, more rounds and more entities never take less.
        #[test]
        fn more_takes_longer(budgets in proptest::collection::vec(budget(), 1..10), one in budget(), rounds in 1_usize..20) {
            let base = Size { rounds, ..Size::quick() };
            let all_s = |size: &Size, budgets: &[Budget]| stage_s(&Budget::ALL, &settings(size.clone(), budgets));
            let less = all_s(&base, &budgets);
            let more: Vec<Budget> = budgets.iter().copied().chain([one]).collect();
            prop_assert!(less >= 0.0 && all_s(&base, &more) >= less);
            let longer = Size { rounds: rounds + 1, ..base.clone() };
            prop_assert!(all_s(&longer, &budgets) >= less);
            let larger = Size { entities: base.entities * 2, entities_large: base.entities_large * 2, ..base.clone() };
            prop_assert!(all_s(&larger, &budgets) >= less);
        }

        /// What is done is not told again, and a machine that is twice as slow takes twice as long for the rest.
        #[test]
        fn the_rest_follows_what_was(stages in proptest::collection::vec(1.0_f64..500.0, 2..6), factor in 0.5_f64..3.0) {
            let all: f64 = stages.iter().sum();
            let mut forecast = Forecast::new(all);
            prop_assert_eq!(forecast.left_s(), all);
            let mut rest = all;
            for stage in stages {
                forecast.done(stage, Duration::from_secs_f64(stage * factor));
                rest -= stage;
                prop_assert!((forecast.left_s() - rest.max(0.0) * factor).abs() < 1e-6 * all);
            }
        }
    }

    #[test]
    fn times_are_told() {
        assert_eq!(["1 s", "59 s", "2 min", "14 min"], [0.2, 59.0, 100.0, 840.0].map(told));
        assert!(stage_s(&[Budget::B4], &settings(Size::full(), &[Budget::B1])).abs() < 1e-9);
    }

    /// A full run is one that somebody waits for.
    #[test]
    fn a_full_run_takes_less_than_25_minutes() {
        let full = settings(Size::full(), &Budget::ALL);
        let all_s: f64 = crate::run::STAGES.iter().map(|(budgets, _)| stage_s(budgets, &full)).sum();
        assert!((300.0..1500.0).contains(&all_s), "{all_s}");
    }
}
