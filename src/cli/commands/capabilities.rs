//! `repsec capabilities`: what the server can do, and its limits (`repsec:O7`).
//!
//! May use: the pipeline. Never: depends on which members there are; whatever comes is listed.

use std::io::Write;

use serde_json::{Map, Value};

use super::conclude;
use crate::cli::exit::{Exit, Failure};
use crate::cli::options::ConnectionArgs;
use crate::cli::output::listing;
use crate::cli::pipeline::Pipeline;
use crate::cli::request::Request;

/// The examples in the help.
pub const EXAMPLES: &str = "\
EXAMPLES:
  repsec capabilities
  repsec capabilities --json --server rep.example.org";

/// What `repsec capabilities` takes.
#[derive(clap::Args, Debug)]
pub struct CapabilitiesArgs {
    /// Which server, and how.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs the command.
///
/// # Errors
/// When there is no answer.
pub fn run(args: &CapabilitiesArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let answer = Pipeline::open(&args.connection)?.ask(&Request::new("CAPABILITIES"))?;
    conclude(out, args.connection.json, &answer, &readable(answer.members()))
}

/// One line per value; members of objects are named with dots.
fn readable(members: &Map<String, Value>) -> String {
    let mut rows = Vec::new();
    for (name, value) in members {
        if !["status", "message", "id"].contains(&name.as_str()) {
            flatten(name, value, &mut rows);
        }
    }
    listing(rows)
}

/// Not recursive without end: serde_json reads 128 levels at the most.
fn flatten(name: &str, value: &Value, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (inner, value) in members {
                flatten(&format!("{name}.{inner}"), value, rows);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            rows.push((name.to_owned(), if items.is_empty() { "none".to_owned() } else { items.join(", ") }));
        }
        other => rows.push((name.to_owned(), plain(other))),
    }
}

/// A string without its quotes, anything else as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_comes_is_listed() {
        let text = r#"{"status":200,"message":"m","commands":["PING","VERIFY"],"extensions":[],
            "limits":{"depth_max":16,"idle_timeout_s":300},"log":{"id":"abc","public_key":null},"new":{}}"#;
        let members = serde_json::from_str(text).unwrap();
        let expected = "\
commands               PING, VERIFY
extensions             none
limits.depth_max       16
limits.idle_timeout_s  300
log.id                 abc
log.public_key         null
new                    {}
";
        assert_eq!(readable(&members), expected);
    }
}
