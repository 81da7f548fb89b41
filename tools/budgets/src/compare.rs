//! Two runs beside each other: do they agree?
//!
//! Each line of the table is compared by its own number and, where a peer stands beside it, by the ratio to the peer.
//! Two numbers **agree** when the spreads of their rounds, from the least to the greatest, have a point in common; or,
//! since three rounds are few and some numbers have one round only, when the greater median is at most [`TOLERANCE`]
//! above the smaller one. A line that only one of the runs has does not agree.
//!
//! Never: measures, or says which of the two is right.

use std::fmt;
use std::fs;
use std::path::Path;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, Color, ContentArrangement, Table};

use crate::budget::{Budget, Verdict};
use crate::failure::Failure;
use crate::results::Results;
use crate::row::Row;
use crate::statistics::Sample;
use crate::unit::Unit;

/// How far apart medians may lie, as a part of the smaller one, whatever the rounds say.
pub const TOLERANCE: f64 = 0.1;
/// Widest table in columns of text.
const WIDTH: u16 = 160;

/// What is known of one number in both runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Pair {
    /// Of which budget.
    pub budget: Budget,
    /// What was measured, and beside whom where it is a ratio.
    pub what: String,
    /// In what.
    pub unit: Unit,
    /// The first run's.
    pub a: Option<Sample>,
    /// The second run's.
    pub b: Option<Sample>,
    /// What each run says of its goal, where this is the number that the goal is about.
    pub verdicts: [Option<bool>; 2],
}

/// How two numbers stand to each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Their spreads have a point in common.
    Overlap,
    /// They have none, but the medians lie close.
    Close,
    /// Neither.
    Apart,
    /// Only one run has it.
    Alone,
}

impl Standing {
    /// Whether that counts as agreement.
    pub fn agrees(self) -> bool {
        matches!(self, Standing::Overlap | Standing::Close)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Standing::Overlap => "agree",
            Standing::Close => "agree (close)",
            Standing::Apart => "APART",
            Standing::Alone => "ONLY ONE",
        })
    }
}

/// How two samples stand to each other.
pub fn standing(a: &Sample, b: &Sample) -> Standing {
    if a.min <= b.max && b.min <= a.max {
        return Standing::Overlap;
    }
    let (smaller, greater) = (a.median.min(b.median), a.median.max(b.median));
    // Numbers here are counts of something; at zero or below there is no quotient, and no overlap says enough.
    if smaller > 0.0 && greater <= smaller * (1.0 + TOLERANCE) { Standing::Close } else { Standing::Apart }
}

impl Pair {
    /// How they stand to each other.
    pub fn standing(&self) -> Standing {
        match (&self.a, &self.b) {
            (Some(a), Some(b)) => standing(a, b),
            (Some(_), None) | (None, Some(_)) | (None, None) => Standing::Alone,
        }
    }

    /// The second median divided by the first.
    pub fn ratio(&self) -> Option<f64> {
        let (a, b) = (self.a.as_ref()?.median, self.b.as_ref()?.median);
        (a > 0.0).then(|| b / a)
    }

    /// Whether the runs say different things of the goal.
    pub fn is_turned(&self) -> bool {
        matches!(self.verdicts, [Some(a), Some(b)] if a != b)
    }
}

/// Two runs.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// All numbers of both, in the order of the first run, then those of the second alone.
    pub pairs: Vec<Pair>,
    /// Why the runs must not be compared at all, or what a reader should know.
    pub remarks: Vec<String>,
    /// Whether they are of the same sizes.
    pub alike: bool,
}

impl Comparison {
    /// Compares two runs.
    pub fn of(a: &Results, b: &Results) -> Comparison {
        let mut pairs: Vec<Pair> = numbers(a).map(|number| number.pair(0)).collect();
        for number in numbers(b) {
            let same = |pair: &&mut Pair| {
                pair.b.is_none() && (pair.budget, &pair.what, pair.unit) == (number.budget, &number.what, number.unit)
            };
            match pairs.iter_mut().find(same) {
                Some(pair) => {
                    pair.b = Some(number.sample);
                    pair.verdicts[1] = number.verdict;
                }
                None => pairs.push(number.pair(1)),
            }
        }
        let mut remarks = Vec::new();
        let alike = a.size == b.size;
        if !alike {
            remarks.push(
                "The runs are of different lengths or sizes: their numbers say nothing about each other.".to_owned(),
            );
        }
        if (&a.machine.cpu, a.machine.cores) != (&b.machine.cpu, b.machine.cores) {
            remarks.push("The runs are of different machines: only the ratios can agree.".to_owned());
        }
        if a.versions != b.versions {
            remarks.push("The runs are of different versions.".to_owned());
        }
        Comparison { pairs, remarks, alike }
    }

    /// Whether all numbers agree.
    pub fn agrees(&self) -> bool {
        self.alike && self.pairs.iter().all(|pair| pair.standing().agrees())
    }

    /// As a table for people.
    pub fn text(&self, color: bool) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        if color {
            table.enforce_styling();
        } else {
            table.set_width(WIDTH).force_no_tty();
        }
        table.set_header(["", "what", "A", "B", "B / A", "", "goal"]);
        for pair in &self.pairs {
            let told =
                |sample: &Option<Sample>| sample.as_ref().map(|it| pair.unit.sample_text(it)).unwrap_or_default();
            let standing = pair.standing();
            let cell = Cell::new(standing);
            table.add_row([
                Cell::new(pair.budget),
                Cell::new(&pair.what),
                Cell::new(told(&pair.a)),
                Cell::new(told(&pair.b)),
                Cell::new(pair.ratio().map(|ratio| format!("{ratio:.3}")).unwrap_or_default()),
                if standing.agrees() { cell.fg(Color::Green) } else { cell.fg(Color::Red) },
                Cell::new(goal(pair)),
            ]);
        }
        let agreeing = self.pairs.iter().filter(|pair| pair.standing().agrees()).count();
        let turned = self.pairs.iter().filter(|pair| pair.is_turned()).count();
        let mut out = format!("{table}\n{agreeing} of {} numbers agree.", self.pairs.len());
        out += &format!(
            " Two agree when the spreads of their rounds (least..greatest) have a point in common, or else (close) when the \
             greater median is at most {:.0} % above the smaller one.\n",
            TOLERANCE * 100.0,
        );
        if turned > 0 {
            out += &format!("{turned} goals are met in one run and not in the other.\n");
        }
        for remark in &self.remarks {
            out += remark;
            out.push('\n');
        }
        out
    }
}

fn goal(pair: &Pair) -> &'static str {
    match pair.verdicts {
        [Some(true), Some(true)] => "met",
        [Some(false), Some(false)] => "not met",
        [Some(true), Some(false)] => "met / NOT met",
        [Some(false), Some(true)] => "NOT met / met",
        [None, _] | [_, None] => "",
    }
}

/// One number of one run.
struct Number {
    budget: Budget,
    what: String,
    unit: Unit,
    sample: Sample,
    verdict: Option<bool>,
}

impl Number {
    fn pair(self, run: usize) -> Pair {
        let (mut samples, mut verdicts) = ([None, None], [None, None]);
        if let (Some(sample), Some(verdict)) = (samples.get_mut(run), verdicts.get_mut(run)) {
            (*sample, *verdict) = (Some(self.sample), self.verdict);
        }
        let [a, b] = samples;
        Pair { budget: self.budget, what: self.what, unit: self.unit, a, b, verdicts }
    }
}

/// Our number of each line, once, and its ratios to all peers.
fn numbers(results: &Results) -> impl Iterator<Item = Number> + '_ {
    let rows = &results.book.rows;
    rows.iter().enumerate().flat_map(|(at, row)| {
        let told_before = |other: &Row| (other.budget, &other.what, &other.ours) == (row.budget, &row.what, &row.ours);
        let verdict = |judged| row.aim.filter(|aim| aim.of == judged).map(|aim: crate::row::Aim| met(&aim.verdict));
        let (budget, what, unit) = (row.budget, row.what.clone(), row.unit);
        let verdict_of_ours = verdict(crate::row::Judged::Ours);
        let ours = Number { budget, what, unit, sample: row.ours.clone(), verdict: verdict_of_ours };
        let is_new = !rows.iter().take(at).any(told_before);
        let ratio = row.peer.as_ref().zip(row.ratio.clone()).map(|(peer, sample)| Number {
            budget,
            what: format!("{}: ratio to {}", row.what, peer.who),
            unit: Unit::Times,
            sample,
            verdict: verdict(crate::row::Judged::Ratio),
        });
        is_new.then_some(ours).into_iter().chain(ratio)
    })
}

fn met(verdict: &Verdict) -> bool {
    verdict.met
}

/// Reads the results that a run has written into a directory.
///
/// # Errors
/// When there are none, or they are of another version of this program.
pub fn read(directory: &Path) -> Result<Results, Failure> {
    let path = directory.join("results.json");
    let text = fs::read_to_string(&path).map_err(Failure::system(format!("read {}", path.display())))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::Result(format!("{} holds no results of this version: {error}", path.display())))
}

#[cfg(test)]
mod tests;
