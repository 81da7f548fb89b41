//! How long a run measures, how much it loads, and which budgets it measures.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::budget::Budget;

/// How a run is made.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which budgets.
    pub budgets: BTreeSet<Budget>,
    /// How long and how much.
    pub size: Size,
    /// Where the peers keep their data, in a directory that vanishes.
    pub scratch: PathBuf,
    /// Where the results are written; chosen by day and processor if not named.
    pub out: Option<PathBuf>,
    /// How long it waits, in all, for other programs to leave the machine alone.
    pub patience: Duration,
}

/// How long and how much.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Size {
    /// Whether this is a quick look, whose numbers say nothing about the budgets.
    pub quick: bool,
    /// How often each measurement is made; the peers take turns.
    pub rounds: usize,
    /// Seconds of one measurement.
    pub window_s: f64,
    /// Seconds before it that do not count.
    pub warmup_s: f64,
    /// Entities of B1, B2 and B3.
    pub entities: u64,
    /// Entities of B5 to B8, and the largest of B10.
    pub entities_large: u64,
    /// Idle connections of B9.
    pub idle_connections: usize,
    /// Events of the entity whose history B8 asks for; an even number.
    pub history_events: u64,
    /// How often B8 asks in a round.
    pub audits: usize,
}

impl Size {
    /// What the budgets are about.
    pub fn full() -> Size {
        Size {
            quick: false,
            rounds: 3,
            window_s: 3.0,
            warmup_s: 0.5,
            entities: 1_000_000,
            entities_large: 10_000_000,
            idle_connections: 10_000,
            history_events: 1000,
            audits: 500,
        }
    }

    /// A quick look at whether everything works.
    pub fn quick() -> Size {
        Size {
            quick: true,
            rounds: 1,
            window_s: 1.0,
            warmup_s: 0.25,
            entities: 100_000,
            entities_large: 100_000,
            idle_connections: 1000,
            audits: 100,
            ..Size::full()
        }
    }

    /// Whether something is smaller than the budgets say, by hand or because this is a quick look.
    pub fn is_smaller(&self) -> bool {
        let full = Size::full();
        self.entities < full.entities
            || self.entities_large < full.entities_large
            || self.idle_connections < full.idle_connections
    }

    /// The sizes of B10, from the smallest to the largest, each ten times the one before.
    pub fn growth(&self) -> Vec<u64> {
        let mut sizes: Vec<u64> = std::iter::successors(Some(self.entities_large), |size| Some(size / 10))
            .take_while(|size| *size >= 10_000)
            .collect();
        sizes.reverse();
        sizes
    }
}
