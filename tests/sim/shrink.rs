//! Looks for a shorter history that breaks the same promise: less of everything, then one step after the other left out.

use crate::attempt;
use crate::bug::Bug;
use crate::cut::{Cut, Way};
use crate::story;

/// The shortest history that was found.
pub struct Shortest {
    pub cut: Cut,
    /// What is broken in it.
    pub what: String,
    /// What happens in it.
    pub story: Vec<String>,
    /// Histories that were tried.
    pub attempts: usize,
}

struct Search {
    seed: u64,
    bug: Option<Bug>,
    kind: String,
    cut: Cut,
    attempts: usize,
    attempts_max: usize,
}

/// Shortens a history that failed with these words.
pub fn shorten(seed: u64, bug: Option<Bug>, cut: &Cut, what: &str, attempts_max: usize) -> Shortest {
    let mut search = Search { seed, bug, kind: kind(what), cut: cut.clone(), attempts: 0, attempts_max };
    search.begin_only();
    search.less_of_all();
    search.fewer_steps();
    search.less_of_all();
    let Search { cut, attempts, .. } = search;
    story::begin();
    let what = attempt(seed, bug, &cut).err().unwrap_or_else(|| "it does not fail once more".to_owned());
    Shortest { what, story: story::end(), cut, attempts }
}

impl Search {
    /// Whether this fails alike; then it is what is left.
    fn keeps(&mut self, cut: Cut) -> bool {
        if self.attempts >= self.attempts_max {
            return false;
        }
        self.attempts += 1;
        let fails = attempt(self.seed, self.bug, &cut).is_err_and(|what| kind(&what) == self.kind);
        if fails {
            self.cut = cut;
        }
        fails
    }

    /// Often the first steps are enough.
    fn begin_only(&mut self) {
        for eighth in 1..8 {
            let all = self.cut.steps.len();
            if self.keeps(self.cut.without_steps(all * eighth / 8..all)) {
                break;
            }
        }
    }

    /// Fewer clients and shards, and whole kinds of faults left out.
    fn less_of_all(&mut self) {
        let fewer = (1..self.cut.clients).find(|clients| self.keeps(Cut { clients: *clients, ..self.cut.clone() }));
        let _ = fewer
            .or_else(|| (1..self.cut.shards).find(|shards| self.keeps(Cut { shards: *shards, ..self.cut.clone() })));
        for (way, _) in Way::ALL {
            if self.cut.allows(way) {
                self.keeps(self.cut.without(way));
            }
        }
    }

    /// Parts of the steps are left out, smaller and smaller ones, the last first; single ones as long as that helps.
    fn fewer_steps(&mut self) {
        let mut part = self.cut.steps.len().div_ceil(2);
        while part > 0 && self.attempts < self.attempts_max {
            let before = self.cut.steps.len();
            let mut end = before;
            while end > 0 {
                let begin = end.saturating_sub(part);
                self.keeps(self.cut.without_steps(begin..end));
                end = begin;
            }
            let helped = self.cut.steps.len() < before;
            part = if part == 1 && helped { 1 } else { part / 2 };
        }
    }
}

/// What sort of failure it is: the words that do not depend on who did what.
pub fn kind(what: &str) -> String {
    let (mut depth, mut quoted) = (0_usize, false);
    let mut words = String::new();
    for letter in what.chars() {
        match letter {
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => depth += 1,
            '}' | ']' if !quoted => depth = depth.saturating_sub(1),
            _ if depth == 0 && !quoted => words.push(letter),
            _ => {}
        }
    }
    let plain =
        |word: &&str| word.starts_with('(') || word.chars().all(|letter| letter.is_ascii_lowercase() || letter == ':');
    words.split_whitespace().filter(plain).collect::<Vec<_>>().join(" ")
}
