//! The budgets, their goals, and whether a goal is met.
//!
//! Never: measures anything.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::statistics::{Sample, float};

/// One budget.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[allow(missing_docs, reason = "`what` says it")]
pub enum Budget {
    B1,
    B2,
    B3,
    B4,
    B5,
    B6,
    B7,
    B8,
    B9,
    B10,
}

impl Budget {
    /// All of them, in order.
    pub const ALL: [Budget; 10] = [
        Budget::B1,
        Budget::B2,
        Budget::B3,
        Budget::B4,
        Budget::B5,
        Budget::B6,
        Budget::B7,
        Budget::B8,
        Budget::B9,
        Budget::B10,
    ];

    /// What it is about.
    pub fn what(self) -> &'static str {
        match self {
            Budget::B1 => "CPU of a VERIFY",
            Budget::B2 => "many connections with one VERIFY in flight",
            Budget::B3 => "bulk VERIFY",
            Budget::B4 => "durable REGISTER",
            Budget::B5 => "replay of the log",
            Budget::B6 => "memory of an entity",
            Budget::B7 => "start with all entities",
            Budget::B8 => "AUDIT of a long history",
            Budget::B9 => "memory of an idle connection",
            Budget::B10 => "CPU of a VERIFY as entities grow",
        }
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl FromStr for Budget {
    type Err = String;

    fn from_str(text: &str) -> Result<Budget, String> {
        let found = Budget::ALL.into_iter().find(|budget| budget.to_string().eq_ignore_ascii_case(text.trim()));
        found.ok_or_else(|| format!("there is no budget {text}; there are B1 to B10"))
    }
}

/// What a number should be.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
}

impl Goal {
    /// The number that is the goal itself.
    pub fn number(self) -> f64 {
        match self {
            Goal::AtMost(number) | Goal::AtLeast(number) => number,
        }
    }

    fn is_met_by(self, number: f64) -> bool {
        match self {
            Goal::AtMost(most) => number <= most,
            Goal::AtLeast(least) => number >= least,
        }
    }

    /// Judges a sample by its median.
    pub fn judge(self, sample: &Sample) -> Verdict {
        let of_goal = sample.median / self.number();
        Verdict {
            met: self.is_met_by(sample.median),
            of_goal,
            misses_by: match self {
                Goal::AtMost(_) => of_goal,
                Goal::AtLeast(_) => of_goal.recip(),
            },
            rounds_met: sample.rounds.iter().filter(|number| self.is_met_by(**number)).count(),
            rounds: sample.len(),
        }
    }
}

/// Whether a goal is met, and by how much.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the median meets it.
    pub met: bool,
    /// The median divided by the goal.
    pub of_goal: f64,
    /// How many times too much, or too little, the median is; below one where the goal is met.
    pub misses_by: f64,
    /// In how many rounds it was met.
    pub rounds_met: usize,
    /// Of how many.
    pub rounds: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.met {
            f.write_str("met")?;
        } else {
            // A miss is never told as none.
            let digits = if self.misses_by < 1.005 { 4 } else { 2 };
            write!(f, "NOT met by {:.digits$} x", self.misses_by)?;
        }
        // A verdict that not all rounds share is a weak one.
        let agreeing = if self.met { self.rounds_met } else { self.rounds - self.rounds_met };
        if agreeing < self.rounds && float(self.rounds) > 1.0 {
            write!(f, " ({agreeing} of {} rounds)", self.rounds)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(rounds: &[f64]) -> Sample {
        Sample::of(rounds.to_vec()).unwrap()
    }

    proptest! {
        /// A goal is met exactly where it is missed by no more than one time, from both sides, and the quotient is that
        /// of the number and the goal.
        #[test]
        fn a_verdict_says_by_how_much(number in 0.001_f64..1e6, goal in 0.001_f64..1e6) {
            for goal in [Goal::AtMost(goal), Goal::AtLeast(goal)] {
                let verdict = goal.judge(&sample(&[number]));
                prop_assert!((verdict.of_goal * goal.number() / number - 1.0).abs() < 1e-9);
                prop_assert!(verdict.met == (verdict.misses_by <= 1.0) || (verdict.misses_by - 1.0).abs() < 1e-9);
                prop_assert_eq!(verdict.rounds_met == 1, verdict.met);
            }
        }

        /// What is better never turns a goal that is met into one that is not.
        #[test]
        fn better_stays_met(number in 0.001_f64..1e6, goal in 0.001_f64..1e6, factor in 1.0_f64..10.0) {
            let met = |goal: Goal, number: f64| goal.judge(&sample(&[number])).met;
            prop_assert!(!met(Goal::AtMost(goal), number) || met(Goal::AtMost(goal), number / factor));
            prop_assert!(!met(Goal::AtLeast(goal), number) || met(Goal::AtLeast(goal), number * factor));
        }
    }

    #[test]
    fn verdicts_are_told_in_words() {
        let told = |goal: Goal, rounds: &[f64]| goal.judge(&sample(rounds)).to_string();
        assert_eq!(told(Goal::AtMost(0.35), &[0.3, 0.31, 0.32]), "met");
        assert_eq!(told(Goal::AtMost(0.35), &[0.3, 0.31, 0.36]), "met (2 of 3 rounds)");
        assert_eq!(told(Goal::AtMost(0.5), &[0.75]), "NOT met by 1.50 x");
        assert_eq!(told(Goal::AtLeast(2.0), &[1.0, 1.0, 2.1]), "NOT met by 2.00 x (2 of 3 rounds)");
        assert_eq!(told(Goal::AtLeast(2.0), &[2.0]), "met");
        assert_eq!(told(Goal::AtMost(2.0), &[2.005]), "NOT met by 1.0025 x");
    }

    #[test]
    fn budgets_are_named() {
        for budget in Budget::ALL {
            assert_eq!(budget.to_string().to_lowercase().parse(), Ok(budget));
        }
        assert!("B11".parse::<Budget>().is_err());
    }
}
