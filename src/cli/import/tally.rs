//! What an import has done so far.
//!
//! May use: nothing. Never: prints; it only says what to print.

use std::time::Duration;

use serde_json::json;

use crate::cli::exit::Exit;
use crate::cli::output::{listing, printable};

/// Refused lines that are kept to be shown.
const REFUSALS_SHOWN_MAX: usize = 10;

/// Counts of lines, by what became of them.
#[derive(Default, Debug)]
pub struct Tally {
    new: u64,
    known: u64,
    refused: u64,
    refusals: Vec<String>,
}

impl Tally {
    /// A command took effect.
    pub fn add_new(&mut self) {
        self.new += 1;
    }

    /// A command was done already, or had nothing to do.
    pub fn add_known(&mut self) {
        self.known += 1;
    }

    /// A command was refused, or a line is no command.
    pub fn add_refused(&mut self, line: u64, entity: &str, reason: &str) {
        self.refused += 1;
        if self.refusals.len() < REFUSALS_SHOWN_MAX {
            let name = if entity.is_empty() { String::new() } else { format!("{entity}: ") };
            self.refusals.push(printable(&format!("line {line}: {name}{reason}")).into_owned());
        }
    }

    /// Lines that are settled.
    pub fn lines(&self) -> u64 {
        self.new + self.known + self.refused
    }

    /// The first refused lines, with the reason of each, for people; says so where there are more.
    pub fn refusals(&self) -> Vec<String> {
        let shown = self.refusals.len() as u64;
        let more = (self.refused > shown).then(|| format!("and {} more refused lines", self.refused - shown));
        self.refusals.iter().cloned().chain(more).collect()
    }

    /// What the counts mean for the exit status.
    pub fn exit(&self) -> Exit {
        if self.refused == 0 { Exit::Yes } else { Exit::Failed }
    }

    /// The summary as a table.
    pub fn table(&self, time: Duration) -> String {
        let rows = [
            ("lines", self.lines().to_string()),
            ("new", self.new.to_string()),
            ("known", self.known.to_string()),
            ("refused", self.refused.to_string()),
            ("seconds", format!("{:.2}", time.as_secs_f64())),
            ("per second", self.per_second(time).to_string()),
        ];
        listing(rows.map(|(name, value)| (name.to_owned(), value)))
    }

    /// The summary as a JSON object on one line.
    pub fn json(&self, time: Duration) -> String {
        let rounded = |value: f64| (value * 1000.0).round() / 1000.0;
        let object = json!({
            "lines": self.lines(),
            "new": self.new,
            "known": self.known,
            "refused": self.refused,
            "seconds": rounded(time.as_secs_f64()),
            "per_second": self.per_second(time),
        });
        format!("{object}\n")
    }

    /// Whole lines a second; 0 where there was no time to measure.
    fn per_second(&self, time: Duration) -> u64 {
        let rate = (u128::from(self.lines()) * 1_000_000).checked_div(time.as_micros()).unwrap_or(0);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_as_table_and_json() {
        let mut tally = Tally::default();
        tally.add_new();
        tally.add_new();
        tally.add_known();
        assert_eq!(tally.exit(), Exit::Yes);
        tally.add_refused(7, "b\u{1b}d", "400 bad_entity: has control characters");
        assert_eq!(tally.exit(), Exit::Failed);
        let expected = "\
lines       4
new         2
known       1
refused     1
seconds     2.00
per second  2
";
        assert_eq!(tally.table(Duration::from_secs(2)), expected);
        let expected = "{\"known\":1,\"lines\":4,\"new\":2,\"per_second\":2,\"refused\":1,\"seconds\":2.0}\n";
        assert_eq!(tally.json(Duration::from_secs(2)), expected);
        assert_eq!(tally.refusals(), ["line 7: b\\u{1b}d: 400 bad_entity: has control characters"]);
    }

    #[test]
    fn only_the_first_refusals_are_kept() {
        let mut tally = Tally::default();
        for line in 1..=12 {
            tally.add_refused(line, "", "the line is not UTF-8");
        }
        let shown = tally.refusals();
        assert_eq!((shown.len(), shown[9].as_str()), (11, "line 10: the line is not UTF-8"));
        assert_eq!(shown[10], "and 2 more refused lines");
    }
}
