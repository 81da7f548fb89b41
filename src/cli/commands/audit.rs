//! `repsec audit`: what happened to an entity. Pages are followed to the end, or to the limit.
//!
//! May use: the pipeline. Never: reads what a cursor means (`repsec:O10`).

use std::io::Write;
use std::num::NonZeroU64;

use clap::ValueEnum;
use serde_json::Value;

use crate::cli::answer::Answer;
use crate::cli::exit::{Exit, Failure};
use crate::cli::options::{ConnectionArgs, parse_positive, parse_time};
use crate::cli::output::{note, printable, table};
use crate::cli::pipeline::{Exchange, Pipeline};
use crate::cli::request::Request;
use crate::types::Timestamp;
use crate::types::limits::AUDIT_PAGE_EVENTS_MAX;

/// The examples in the help.
pub const EXAMPLES: &str = "\
EXAMPLES:
  repsec audit example.com
  repsec audit example.com --order desc --limit 5
  repsec audit 192.0.2.1 --since 2026-08-01T00:00:00Z --json
Exits with 1 if the entity was never registered. With --json each page is one line.";

/// Which end to begin at.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Oldest event first
    Asc,
    /// Newest event first
    Desc,
}

/// What `repsec audit` takes.
#[derive(clap::Args, Debug)]
pub struct AuditArgs {
    /// Name to ask about
    pub entity: String,
    /// Show this many events at the most; all when left out
    #[arg(long, value_name = "N", value_parser = parse_positive::<NonZeroU64>)]
    pub limit: Option<NonZeroU64>,
    /// Nothing older than this (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<Timestamp>,
    /// Nothing younger than this (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<Timestamp>,
    /// Oldest or newest event first
    #[arg(long, value_enum, default_value = "asc")]
    pub order: Direction,
    /// Which server, and how.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs the command.
///
/// # Errors
/// When there is no answer.
pub fn run(args: &AuditArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let mut pipeline = Pipeline::open(&args.connection)?;
    let mut rows = Vec::new();
    let end = follow_pages(args, &mut pipeline, &mut |page| {
        if args.connection.json {
            return writeln!(out, "{}", page.raw());
        }
        rows.extend(page.items("events").iter().map(row));
        Ok(())
    })?;
    if !args.connection.json {
        match &end {
            Some(refusal) => note(&printable(&refusal.reason())),
            None if rows.is_empty() => note("no events"),
            None => {}
        }
        if !rows.is_empty() {
            out.write_all(table(["SEQUENCE", "TIME", "EVENT", "ACTOR", "DETAIL"], rows).as_bytes())?;
        }
    }
    out.flush()?;
    Ok(end.map_or(Exit::Yes, |refusal| refusal.exit()))
}

/// Asks page by page and hands each answer over, the refusing one included. Gives the answer that was not 200, if
/// one was.
fn follow_pages(
    args: &AuditArgs,
    server: &mut dyn Exchange,
    page: &mut dyn FnMut(&Answer) -> std::io::Result<()>,
) -> Result<Option<Answer>, Failure> {
    let mut left = args.limit.map_or(u64::MAX, NonZeroU64::get);
    let mut cursor: Option<String> = None;
    loop {
        let limit = left.min(AUDIT_PAGE_EVENTS_MAX as u64);
        let mut received = None;
        server.exchange(1, &mut |_| page_request(args, limit, cursor.as_deref()), &mut |_, answer| {
            received = Some(answer);
        })?;
        let Some(answer) = received else { return Err(Failure::Failed("the page got no answer".to_owned())) };
        page(&answer)?;
        if answer.status() != 200 {
            return Ok(Some(answer));
        }
        left = left.saturating_sub(answer.items("events").len() as u64);
        let next = answer.text("next").map(str::to_owned);
        if next.is_none() || left == 0 {
            return Ok(None);
        }
        if next == cursor {
            return Err(Failure::Failed("the server's pages do not end: it gave the same cursor twice".to_owned()));
        }
        cursor = next;
    }
}

fn page_request(args: &AuditArgs, limit: u64, cursor: Option<&str>) -> Request {
    let order = match args.order {
        Direction::Asc => "asc",
        Direction::Desc => "desc",
    };
    Request::new("AUDIT")
        .with("entity", args.entity.as_str())
        .with("limit", limit)
        .with("order", order)
        .with_some("since", args.since.map(|time| time.to_string()))
        .with_some("until", args.until.map(|time| time.to_string()))
        .with_some("cursor", cursor)
}

/// An event as a row. What is missing is shown as such.
fn row(event: &Value) -> [String; 5] {
    let cell = |name: &str| match event.get(name) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    [cell("sequence"), cell("time"), cell("event"), cell("actor"), cell("detail")]
}

#[cfg(test)]
mod tests;
