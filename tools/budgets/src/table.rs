//! A run as text for people: one table, the verdicts, the machine, the remarks.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table};

use repsec_load::Target;

use crate::bench::BUSY_CORES_MAX;
use crate::book::Disturbance;
use crate::budget::{Budget, Goal};
use crate::results::Results;
use crate::row::{Judged, Row};
use crate::settings::Size;
use crate::statistics::quantile;
use crate::unit::Unit;

/// Widest table in columns of text, where nobody says how wide the terminal is.
const WIDTH: u16 = 160;
/// A run is called disturbed where more than one of so many numbers was.
const BUSY_SHARE: usize = 5;
/// Longest line of a remark, unless a single word is longer.
const LINE: usize = 120;

/// The whole text. With `color` verdicts have colours, as a terminal shows them; else it is plain.
pub fn text(results: &Results, color: bool) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = head(&mut out, results);
    let _ = writeln!(out, "{}", table(&results.book.rows, results.size.quick, color));
    let _ = foot(&mut out, results);
    out
}

fn head(out: &mut String, results: &Results) -> std::fmt::Result {
    let size = &results.size;
    writeln!(out, "repsec beside its peers, {}", results.date)?;
    if size.quick {
        writeln!(
            out,
            "\n*** QUICK RUN: short, and with few entities. It shows that everything works; its numbers say"
        )?;
        writeln!(out, "*** nothing about the budgets, and its verdicts are none.")?;
    } else if size.is_smaller() {
        let full = Size::full();
        writeln!(
            out,
            "\n*** SMALLER RUN: {} entities in B1 to B3, {} in B5 to B8 and B10, {} connections in B9; the budgets\n\
             *** are about {}, {} and {}.",
            size.entities,
            size.entities_large,
            size.idle_connections,
            full.entities,
            full.entities_large,
            full.idle_connections,
        )?;
    }
    let all = &results.book.disturbances;
    let busy = all.iter().filter(|it| it.is_busy()).count();
    if busy * BUSY_SHARE > all.len() {
        writeln!(
            out,
            "\n*** BUSY MACHINE: {busy} of {} numbers were taken while something else ran. Ratios suffer less than numbers,\n\
             *** latencies most; measure again when it is quiet before a verdict is believed.",
            all.len(),
        )?;
    }
    writeln!(out)
}

fn table(rows: &[Row], quick: bool, color: bool) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "",
        "what",
        "ours",
        "peer",
        "ratio",
        "goal",
        "of goal",
        if quick { "verdict, were it a real run" } else { "verdict" },
    ]);
    if color {
        table.set_content_arrangement(ContentArrangement::Dynamic).enforce_styling();
    } else {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH).force_no_tty();
    }
    let mut before = None;
    for row in rows {
        let id = if before == Some(row.budget) { String::new() } else { named(row.budget, quick) };
        before = Some(row.budget);
        let peer = row.peer.as_ref().map(|peer| format!("{}: {}", peer.who, row.unit.sample_text(&peer.sample)));
        let mut cells = vec![Cell::new(id), Cell::new(&row.what), Cell::new(row.unit.sample_text(&row.ours))];
        cells.push(Cell::new(peer.unwrap_or_default()));
        cells.push(Cell::new(row.ratio.as_ref().map(|ratio| Unit::Times.sample_text(ratio)).unwrap_or_default()));
        cells.push(Cell::new(goal(row)));
        let of_goal = row.aim.map(|aim| format!("{:.2}", aim.verdict.of_goal));
        cells.push(Cell::new(of_goal.unwrap_or_default()));
        cells.push(verdict(row));
        table.add_row(cells);
    }
    table
}

fn named(budget: Budget, quick: bool) -> String {
    if quick { format!("{budget} quick") } else { budget.to_string() }
}

fn goal(row: &Row) -> String {
    let Some(aim) = row.aim else { return String::new() };
    let unit = match aim.of {
        Judged::Ratio => Unit::Times,
        Judged::Ours => row.unit,
    };
    match aim.goal {
        Goal::AtMost(number) => format!("<= {}", unit.text(number)),
        Goal::AtLeast(number) => format!(">= {}", unit.text(number)),
    }
}

fn verdict(row: &Row) -> Cell {
    let Some(aim) = row.aim else { return Cell::new("") };
    if !row.decides {
        return Cell::new(format!("({})", aim.verdict));
    }
    let cell = Cell::new(aim.verdict);
    if aim.verdict.met { cell.fg(Color::Green) } else { cell.fg(Color::Red).add_attribute(Attribute::Bold) }
}

fn foot(out: &mut String, results: &Results) -> std::fmt::Result {
    let book = &results.book;
    writeln!(
        out,
        "Ratios are ours divided by the peer's, round by round; (least..greatest) of the rounds beside the median."
    )?;
    writeln!(out, "Verdicts in parentheses stand for comparison; the others decide.\n")?;
    let verdicts: &[(&str, Option<bool>)] =
        if results.size.quick { &[] } else { &[("met", Some(true)), ("NOT met", Some(false))] };
    for (told, expected) in verdicts {
        let budgets: Vec<String> =
            Budget::ALL.into_iter().filter(|it| book.is_met(*it) == *expected).map(|it| it.to_string()).collect();
        if !budgets.is_empty() {
            writeln!(out, "{told:8}  {}", budgets.join(" "))?;
        }
    }
    for failure in &book.failures {
        let what = if book.has_numbers(failure.budget) { "measured in part" } else { "not measured" };
        writeln!(out, "{:8}  {}", failure.budget.to_string(), wrapped(&format!("{what}: {}", failure.text), 10))?;
    }
    writeln!(out)?;
    machine(out, results)?;
    writeln!(out)?;
    for note in &book.notes {
        writeln!(out, "{:4} {}", note.budget.to_string(), wrapped(&note.text, 5))?;
    }
    Ok(())
}

fn machine(out: &mut String, results: &Results) -> std::fmt::Result {
    let (machine, versions, size) = (&results.machine, &results.versions, &results.size);
    writeln!(
        out,
        "machine   {}, {} cores, {:.0} GiB, {}; {} ({:.0} syncs of 4 KiB per second)",
        machine.cpu, machine.cores, machine.memory_gib, machine.kernel, machine.disk, machine.syncs_per_s,
    )?;
    writeln!(
        out,
        "load      {:.2} cores busy with something else before the run; {:.2} cores taken by the hypervisor on average",
        machine.busy_cores_before, results.stolen_cores,
    )?;
    disturbances(out, &results.book.disturbances)?;
    writeln!(
        out,
        "versions  repsec {}, rustc {}, rustls {}, rocksdb {}, Redis {}",
        if versions.repsec.is_empty() { "of no known commit" } else { &versions.repsec },
        versions.rustc,
        versions.rustls,
        versions.rocksdb,
        versions.redis,
    )?;
    writeln!(
        out,
        "run       {} of {} s after {} s of warm-up each, {:.0} s in all; {} entities in B1 to B3, {} in B5 to B8 and at \
         most in B10",
        if size.rounds == 1 { "1 round".to_owned() } else { format!("{} rounds", size.rounds) },
        size.window_s,
        size.warmup_s,
        results.seconds,
        size.entities,
        size.entities_large,
    )?;
    let spent: Vec<String> =
        results.book.spent.iter().map(|spent| format!("{} {:.0} s", spent.budget, spent.seconds)).collect();
    if !spent.is_empty() {
        let told = format!("of that, without loading: {}", spent.join(", "));
        writeln!(out, "          {}", wrapped(&told, 10))?;
    }
    let mut suites: Vec<String> = Vec::new();
    for measurement in &results.book.measurements {
        let who = match measurement.target {
            Target::RepSec => "repsec",
            Target::Redis => "redis",
            Target::Echo => "echo",
        };
        let suite = format!("{who} {}", measurement.cipher_suite);
        if !suites.contains(&suite) {
            suites.push(suite);
        }
    }
    if !suites.is_empty() {
        writeln!(out, "tls       {}", suites.join(", "))?;
    }
    for peer in &results.options {
        writeln!(out, "options   {}", wrapped(&format!("{}: {}", peer.who, peer.options), 10))?;
    }
    Ok(())
}

/// A text in lines of [`LINE`] columns, those behind the first indented; lines that it has already stay lines.
fn wrapped(text: &str, indent: usize) -> String {
    let mut out = String::new();
    let mut column = indent;
    for (at, line) in text.lines().enumerate() {
        if at > 0 {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        }
        for (at, word) in line.split_whitespace().enumerate() {
            let length = word.chars().count();
            if at > 0 && column + 1 + length > LINE {
                out.push('\n');
                out.push_str(&" ".repeat(indent));
                column = indent;
            } else if at > 0 {
                out.push(' ');
                column += 1;
            }
            out.push_str(word);
            column += length;
        }
    }
    out
}

/// How quiet it was: of each budget the middle and the worst, and how many numbers were taken although it was not.
fn disturbances(out: &mut String, all: &[Disturbance]) -> std::fmt::Result {
    let told = Budget::ALL.into_iter().filter_map(|budget| {
        let cores: Vec<f64> = all.iter().filter(|it| it.budget == budget).map(|it| it.other_cores).collect();
        let (middle, worst) = (quantile(&cores, 0.5)?, quantile(&cores, 1.0)?);
        Some(format!("{budget} {middle:.2} to {worst:.2}"))
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        return Ok(());
    }
    let busy = all.iter().filter(|it| it.is_busy()).count();
    let unsettled = all.iter().filter(|it| !it.settled).count();
    let told = format!("cores busy with something else meanwhile (middle to worst): {}", told.join(", "));
    writeln!(out, "          {}", wrapped(&told, 10))?;
    writeln!(
        out,
        "          {busy} of {} numbers were taken with more than {BUSY_CORES_MAX} cores busy like that, {unsettled} while a server \
         had work of its own left",
        all.len(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Wrapping loses no word, and no line is longer than a line may be unless it is one long word.
        #[test]
        fn wrapping_keeps_every_word(text in "([a-z(]{1,30}[ \\n]{1,2}){0,60}", indent in 0_usize..12) {
            let lines = wrapped(&text, indent);
            prop_assert!(lines.split_whitespace().eq(text.split_whitespace()));
            for (at, line) in lines.lines().enumerate() {
                let width = line.chars().count() + if at == 0 { indent } else { 0 };
                prop_assert!(width <= LINE, "{}", line);
            }
        }
    }
}
