//! `repsec log verify`: is every byte as it was written?

use std::io::Write;

use serde_json::json;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{self, note};
use crate::log::Store;

use super::open::{Progress, failed};

/// Checks the whole store and tells what is not as it must be.
pub(super) fn run(store: &Store, json: bool, out: &mut dyn Write) -> Result<Exit, Failure> {
    let bar = Progress::new("verifying");
    let report = store.verify(&mut |done, total| bar.at(done, total)).map_err(failed)?;
    drop(bar);
    if json {
        let findings: Vec<_> = report
            .findings
            .iter()
            .map(|found| json!({"area": found.area.name(), "sequence": found.sequence.value(), "what": found.what}))
            .collect();
        let line = json!({
            "sound": report.is_sound(),
            "sequence": report.head.last.value(),
            "events": report.events,
            "batches": report.batches,
            "index_entries": report.index_entries,
            "snapshot_records": report.snapshot_records,
            "snapshot_is_old": report.snapshot_is_old,
            "access_blocks": report.access_blocks,
            "digest": report.head.digest.to_string(),
            "findings": findings,
            "findings_untold": report.findings_untold,
        });
        writeln!(out, "{line}")?;
    } else {
        for found in &report.findings {
            writeln!(out, "{} at event {}: {}", found.area.name(), found.sequence, output::printable(&found.what))?;
        }
        if report.findings_untold > 0 {
            writeln!(out, "... and {} more", report.findings_untold)?;
        }
        let snapshot = if report.snapshot_is_old {
            "none that is read: an earlier version has taken the snapshot, and the next one replaces it".to_owned()
        } else {
            report.snapshot_records.to_string()
        };
        let rows = [
            ("events".to_owned(), report.events.to_string()),
            ("batches".to_owned(), report.batches.to_string()),
            ("index entries".to_owned(), report.index_entries.to_string()),
            ("snapshot records".to_owned(), snapshot),
            ("access blocks".to_owned(), report.access_blocks.to_string()),
            ("digest of the last batch".to_owned(), report.head.digest.to_string()),
            ("result".to_owned(), if report.is_sound() { "whole".to_owned() } else { "DAMAGED".to_owned() }),
        ];
        out.write_all(output::listing(rows).as_bytes())?;
    }
    out.flush()?;
    if report.is_sound() {
        return Ok(Exit::Yes);
    }
    note(
        "the store is damaged: keep a copy of it, and go on from a backup; the events before the damage can be read with `repsec log dump`",
    );
    Ok(Exit::Failed)
}
