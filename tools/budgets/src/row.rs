//! One line of the table: ours, the peer's, their ratio, the goal.

use serde::{Deserialize, Serialize};

use crate::budget::{Budget, Goal, Verdict};
use crate::statistics::Sample;
use crate::unit::Unit;

/// One line of the table.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Of which budget.
    pub budget: Budget,
    /// What was measured.
    pub what: String,
    /// In what.
    pub unit: Unit,
    /// Our server's.
    pub ours: Sample,
    /// Beside whom, and what that one had.
    pub peer: Option<Beside>,
    /// Ours divided by the peer's, round by round.
    pub ratio: Option<Sample>,
    /// What should be. A line without one only tells.
    pub aim: Option<Aim>,
    /// Whether the line decides about its budget. The others stand beside it for comparison.
    pub decides: bool,
}

/// A peer's number.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Beside {
    /// Who.
    pub who: String,
    /// What it had.
    pub sample: Sample,
}

/// What should be, and whether it is.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Aim {
    /// Of what.
    pub of: Judged,
    /// What it should be.
    pub goal: Goal,
    /// Whether it is.
    pub verdict: Verdict,
}

/// What a goal is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// The ratio to the peer.
    Ratio,
    /// Our number itself.
    Ours,
}

impl Row {
    /// A line about our server alone.
    pub fn new(budget: Budget, what: impl Into<String>, unit: Unit, ours: Sample) -> Row {
        let (what, decides) = (what.into(), true);
        Row { budget, what, unit, ours, peer: None, ratio: None, aim: None, decides }
    }

    /// Sets a peer beside it.
    #[must_use]
    pub fn beside(mut self, who: impl Into<String>, sample: Sample) -> Row {
        self.ratio = Sample::ratio(&self.ours, &sample);
        self.peer = Some(Beside { who: who.into(), sample });
        self
    }

    /// Judges the ratio to the peer that stands beside.
    #[must_use]
    pub fn ratio_goal(mut self, goal: Goal) -> Row {
        let verdict = self.ratio.as_ref().map(|ratio| goal.judge(ratio));
        self.aim = verdict.map(|verdict| Aim { of: Judged::Ratio, goal, verdict });
        self
    }

    /// Judges our own number.
    #[must_use]
    pub fn own_goal(mut self, goal: Goal) -> Row {
        self.aim = Some(Aim { of: Judged::Ours, goal, verdict: goal.judge(&self.ours) });
        self
    }

    /// Lets it stand for comparison only, or not.
    #[must_use]
    pub fn decides(mut self, decides: bool) -> Row {
        self.decides = decides;
        self
    }
}
