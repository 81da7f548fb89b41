//! What is left out of a world: a history that is cut short, in one line of text that repeats it.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Clients of a whole world.
pub const CLIENTS: usize = 4;
/// Shards of a server at the most.
pub const SHARDS_MAX: usize = 4;
/// Things that happen in a whole world before the faults end.
pub const STEPS: u64 = 700;

/// What chance may do to a world, and can be left out altogether.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Crash,
    Stop,
    Disk,
    Slow,
    Cut,
    Snapshot,
    Clock,
    Silence,
}

impl Way {
    /// All of them, with their names.
    pub const ALL: [(Way, &str); 8] = [
        (Way::Crash, "crash"),
        (Way::Stop, "stop"),
        (Way::Disk, "disk"),
        (Way::Slow, "slow"),
        (Way::Cut, "cut"),
        (Way::Snapshot, "snapshot"),
        (Way::Clock, "clock"),
        (Way::Silence, "silence"),
    ];
}

/// What of a world happens. Each step throws dice of its own, so that leaving one out leaves the others' throws alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The steps that happen, in order.
    pub steps: Vec<u64>,
    /// Clients beyond these do nothing.
    pub clients: usize,
    /// No start has more shards.
    pub shards: usize,
    /// What does not happen at all.
    pub without: Vec<Way>,
}

impl Cut {
    /// A whole world.
    pub fn nothing() -> Cut {
        Cut { steps: (0..STEPS).collect(), clients: CLIENTS, shards: SHARDS_MAX, without: Vec::new() }
    }

    /// Whether this may happen.
    pub fn allows(&self, way: Way) -> bool {
        !self.without.contains(&way)
    }

    /// The same without this.
    pub fn without(&self, way: Way) -> Cut {
        let mut cut = self.clone();
        cut.without =
            Way::ALL.map(|(one, _)| one).into_iter().filter(|one| *one == way || !self.allows(*one)).collect();
        cut
    }

    /// The same without these of the steps that are left.
    pub fn without_steps(&self, places: Range<usize>) -> Cut {
        let mut cut = self.clone();
        cut.steps.drain(places);
        cut
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.steps.chunk_by(|one, next| one + 1 == *next);
        let runs: Vec<String> = runs
            .map(|run| match run {
                [one] => one.to_string(),
                _ => format!("{}-{}", run[0], run[run.len() - 1]),
            })
            .collect();
        write!(f, "clients={} shards={} steps={}", self.clients, self.shards, runs.join(","))?;
        let names: Vec<_> = Way::ALL.iter().filter(|(way, _)| !self.allows(*way)).map(|(_, name)| *name).collect();
        if names.is_empty() { Ok(()) } else { write!(f, " without={}", names.join(",")) }
    }
}

impl FromStr for Cut {
    type Err = String;

    fn from_str(text: &str) -> Result<Cut, String> {
        let wrong = |what: &str| format!("REPSEC_SIM_CUT: {what:?} is not understood");
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong(text));
        let mut cut = Cut::nothing();
        for part in text.split_whitespace() {
            let (member, value) = part.split_once('=').ok_or_else(|| wrong(part))?;
            let values = value.split(',').filter(|value| !value.is_empty());
            match member {
                "clients" => cut.clients = usize::try_from(number(value)?).unwrap().clamp(1, CLIENTS),
                "shards" => cut.shards = usize::try_from(number(value)?).unwrap().clamp(1, SHARDS_MAX),
                "steps" => {
                    cut.steps.clear();
                    for run in values {
                        let (first, last) = run.split_once('-').unwrap_or((run, run));
                        cut.steps.extend(number(first)?..=number(last)?);
                    }
                }
                "without" => {
                    for value in values {
                        let way = Way::ALL.iter().find(|(_, name)| *name == value).ok_or_else(|| wrong(value))?;
                        cut = cut.without(way.0);
                    }
                }
                _ => return Err(wrong(part)),
            }
        }
        Ok(cut)
    }
}
