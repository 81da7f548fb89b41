//! `repsec log stat`: what is in the store.

use std::io::Write;

use serde_json::json;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::log::Store;

use super::open::failed;

/// Shows the numbers of a store.
pub(super) fn run(store: &Store, json: bool, out: &mut dyn Write) -> Result<Exit, Failure> {
    let stat = store.stat().map_err(failed)?;
    let head = &stat.head;
    if json {
        let sizes: serde_json::Map<_, _> =
            stat.sizes_bytes.iter().map(|(area, bytes)| (area.name().to_owned(), json!(bytes))).collect();
        let line = json!({
            "log_id": stat.log_id.to_string(),
            "format_version": stat.format_version,
            "sequence": head.last.value(),
            "batches": head.batches,
            "first_time": stat.first_time.map(|time| time.to_string()),
            "last_time": stat.first_time.map(|_| head.last_time.to_string()),
            "digest": head.digest.to_string(),
            "snapshot": stat.snapshot.map(|(start, records)| json!({"start": start.value(), "records": records})),
            "sizes_bytes": sizes,
        });
        writeln!(out, "{line}")?;
    } else {
        let none = || "none".to_owned();
        let mut rows = vec![
            ("log".to_owned(), stat.log_id.to_string()),
            ("format".to_owned(), stat.format_version.to_string()),
            ("events".to_owned(), head.last.to_string()),
            ("batches".to_owned(), head.batches.to_string()),
            ("first event".to_owned(), stat.first_time.map_or_else(none, |time| time.to_string())),
            ("last event".to_owned(), stat.first_time.map_or_else(none, |_| head.last_time.to_string())),
            ("digest of the last batch".to_owned(), head.digest.to_string()),
            (
                "snapshot".to_owned(),
                stat.snapshot.map_or_else(none, |(start, records)| format!("{records} records, up to event {start}")),
            ),
        ];
        rows.extend(
            stat.sizes_bytes.iter().map(|(area, bytes)| (format!("bytes of {}", area.name()), bytes.to_string())),
        );
        out.write_all(output::listing(rows).as_bytes())?;
    }
    out.flush()?;
    Ok(Exit::Yes)
}
