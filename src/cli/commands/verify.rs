//! `repsec verify`: are these entities registered? One name asks one question; many names travel in bulk messages,
//! several of them in flight.
//!
//! May use: the pipeline, the standard input. Never: holds more than a few messages' worth of names.

use std::collections::VecDeque;
use std::io::Write;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, after, bounded, never, select};
use serde_json::{Map, Value};

use super::AttributeArgs;
use crate::cli::answer::{Answer, reason};
use crate::cli::bulk::{self, Chunk};
use crate::cli::exit::{Exit, Failure};
use crate::cli::options::ConnectionArgs;
use crate::cli::output::{note, printable};
use crate::cli::pipeline::{Pipeline, SILENCE_MAX_S, standard_input_lines};
use crate::cli::request::Request;
use crate::types::Timestamp;

/// The examples in the help.
pub const EXAMPLES: &str = "\
EXAMPLES:
  repsec verify example.com
  repsec verify 192.0.2.1 192.0.2.2 example.org
  repsec verify - < names.txt
  repsec verify example.com --attribute reason=spam
  repsec verify example.com --at 2026-08-22T10:00:00Z
Exits with 0 if all names are verified, with 3 if one is refused, else with 1.";

/// Bulk messages in flight: enough to keep the server busy, few enough not to pile up megabytes.
const MESSAGES_IN_FLIGHT: usize = 8;
/// A message that is not full is sent when no further name comes for this long.
const GATHER_PAUSE: Duration = Duration::from_millis(20);

/// What `repsec verify` takes.
#[derive(clap::Args, Debug)]
pub struct VerifyArgs {
    /// Names to ask about; - reads names from the standard input, one a line (blank lines and lines beginning with #
    /// are skipped)
    #[arg(required = true, value_name = "ENTITY")]
    pub entities: Vec<String>,
    /// What is claimed of the one name: verified only if each of these is registered with the same value.
    #[command(flatten)]
    pub attributes: AttributeArgs,
    /// SHA-256 (64 hex digits) of the canonical attributes that are claimed of the one name
    #[arg(long, value_name = "HEX", value_parser = parse_digest, conflicts_with_all = ["attributes", "pairs"])]
    pub digest: Option<String>,
    /// Moment to ask about, for the one name: a sequence of the log, or a time as in RFC 3339
    #[arg(long, value_name = "SEQUENCE|TIME", value_parser = parse_moment)]
    pub at: Option<Value>,
    /// Which server, and how.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

fn parse_digest(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("expected 64 hex digits".to_owned())
    }
}

/// Digits are a sequence, anything else must be a time.
fn parse_moment(text: &str) -> Result<Value, String> {
    match (text.parse::<u64>(), Timestamp::parse_rfc3339(text)) {
        (Ok(sequence), _) => Ok(Value::from(sequence)),
        (Err(_), Some(_)) => Ok(Value::from(text)),
        (Err(_), None) => Err("expected a number, or a time such as 2026-08-22T10:00:00Z".to_owned()),
    }
}

/// Runs the command.
///
/// # Errors
/// When there is no answer.
pub fn run(args: &VerifyArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    match args.entities.as_slice() {
        [name] if name != "-" => verify_one(args, name, out),
        _ if args.attributes.object().is_some() || args.digest.is_some() || args.at.is_some() => Err(Failure::Usage(
            "--attributes, --attribute, --digest and --at need exactly one ENTITY on the command line".to_owned(),
        )),
        _ => verify_many(args, out),
    }
}

fn verify_one(args: &VerifyArgs, name: &str, out: &mut dyn Write) -> Result<Exit, Failure> {
    let request = Request::new("VERIFY")
        .with("entity", name)
        .with_some("attributes", args.attributes.object())
        .with_some("digest", args.digest.as_deref())
        .with_some("at", args.at.clone());
    let answer = Pipeline::open(&args.connection)?.ask(&request)?;
    if args.connection.json {
        writeln!(out, "{}", answer.raw())?;
    } else if answer.exit() == Exit::Failed {
        note(&printable(&answer.reason()));
    } else {
        writeln!(out, "{}", verdict(name, answer.members()))?;
    }
    out.flush()?;
    Ok(answer.exit())
}

/// What is known of one name, for people: `yes    example.com  (domain, last updated 2026-08-22T10:00:00Z)`.
fn verdict(name: &str, members: &Map<String, Value>) -> String {
    let text = |member| members.get(member).and_then(Value::as_str);
    let (word, remark) = match exit_of(members) {
        Exit::Yes => ("yes", None),
        Exit::No if members.get("status").and_then(Value::as_u64) == Some(200) => {
            ("no", Some("registered, but not as claimed".to_owned()))
        }
        Exit::No => ("no", None),
        Exit::Usage | Exit::Failed => ("error", Some(reason(members))),
    };
    let updated = text("last_updated").map(|time| format!("last updated {time}"));
    let remarks: Vec<String> = remark.into_iter().chain(text("type").map(str::to_owned)).chain(updated).collect();
    let behind = if remarks.is_empty() { String::new() } else { format!("  ({})", remarks.join(", ")) };
    printable(&format!("{word:<5}  {name}{behind}")).into_owned()
}

fn exit_of(members: &Map<String, Value>) -> Exit {
    let status = members.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok());
    Exit::of_status(status.unwrap_or(0), members.get("verified").and_then(Value::as_bool))
}

/// The names in the order typed, with the standard input in the place of `-`.
fn names(args: &VerifyArgs) -> Result<Receiver<Result<String, Failure>>, Failure> {
    let lines = if args.entities.iter().any(|name| name == "-") { standard_input_lines()? } else { never() };
    let typed = args.entities.clone();
    let (giving, names) = bounded(bulk::NAMES_MAX);
    let give = move || {
        for name in typed {
            if name != "-" {
                if giving.send(Ok(name)).is_err() {
                    return;
                }
                continue;
            }
            for line in &lines {
                let Some(name) = name_of_line(line) else { continue };
                if giving.send(name).is_err() {
                    return;
                }
            }
        }
    };
    match thread::Builder::new().name("names".to_owned()).spawn(give) {
        Ok(_) => Ok(names),
        Err(error) => Err(Failure::Failed(format!("cannot start a thread: {error}"))),
    }
}

/// The name on a line of the standard input, if there is one.
fn name_of_line(line: std::io::Result<Vec<u8>>) -> Option<Result<String, Failure>> {
    let input = |source| Failure::Input { name: "the standard input".to_owned(), source };
    let invalid = |error| input(std::io::Error::new(std::io::ErrorKind::InvalidData, error));
    match line.map_err(input).and_then(|bytes| String::from_utf8(bytes).map_err(invalid)) {
        Ok(line) => {
            let name = line.trim();
            (!name.is_empty() && !name.starts_with('#')).then(|| Ok(name.to_owned()))
        }
        Err(failure) => Some(Err(failure)),
    }
}

/// The names still to ask about, and how they become messages.
struct Names {
    coming: Receiver<Result<String, Failure>>,
    /// A name that did not fit into the message before.
    held: Option<String>,
}

impl Names {
    /// The names of one message, beginning with `first`.
    fn gather(&mut self, first: String) -> Result<Chunk, Failure> {
        let mut chunk = Chunk::default();
        let mut next = Some(first);
        while let Some(name) = next.take() {
            if let Err(name) = chunk.push(name) {
                self.held = Some(name);
                break;
            }
            if let Ok(name) = self.coming.recv_timeout(GATHER_PAUSE) {
                next = Some(name?);
            }
        }
        Ok(chunk)
    }
}

fn verify_many(args: &VerifyArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let mut pipeline = Pipeline::open(&args.connection)?;
    let mut names = Names { coming: names(args)?, held: None };
    let arrivals = pipeline.arrivals();
    let mut in_flight: VecDeque<Chunk> = VecDeque::new();
    let mut worst = Exit::Yes;
    let mut input_open = true;
    while input_open || names.held.is_some() || !in_flight.is_empty() {
        let room = in_flight.len() < MESSAGES_IN_FLIGHT;
        if let Some(held) = names.held.take_if(|_| room) {
            let chunk = names.gather(held)?;
            pipeline.send(&chunk.request())?;
            in_flight.push_back(chunk);
            continue;
        }
        let coming = if room && input_open { names.coming.clone() } else { never() };
        let silence = if in_flight.is_empty() { never() } else { after(Duration::from_secs(SILENCE_MAX_S)) };
        select! {
            recv(coming) -> name => match name {
                Ok(name) => {
                    let chunk = names.gather(name?)?;
                    pipeline.send(&chunk.request())?;
                    in_flight.push_back(chunk);
                }
                Err(_) => input_open = false,
            },
            recv(arrivals) -> line => {
                let line = line.map_err(|_| pipeline.cut())??;
                let answer = pipeline.read(line)?;
                let chunk = in_flight.pop_front().unwrap_or_default();
                worst = worst.max(print_bulk(&chunk, &answer, args.connection.json, out)?);
                if arrivals.is_empty() {
                    out.flush()?;
                }
            },
            recv(silence) -> _ => return Err(pipeline.silent().into()),
        }
    }
    out.flush()?;
    Ok(worst)
}

/// Prints the answer to one message. A name that is refused is a failure, as when it is asked alone, and so is a
/// message that is refused.
fn print_bulk(chunk: &Chunk, answer: &Answer, json: bool, out: &mut dyn Write) -> Result<Exit, Failure> {
    let complete = answer.status() == 200 && answer.items("results").len() == chunk.names().len();
    if json {
        writeln!(out, "{}", answer.raw())?;
    }
    if !complete {
        note(&printable(&format!("{} names got no answer: {}", chunk.names().len(), answer.reason())));
        return Ok(Exit::Failed);
    }
    let mut worst = Exit::Yes;
    for (name, result) in chunk.names().iter().zip(answer.items("results")) {
        let nothing = Map::new();
        let members = result.as_object().unwrap_or(&nothing);
        worst = worst.max(exit_of(members));
        if !json {
            writeln!(out, "{}", verdict(name, members))?;
        }
    }
    Ok(worst)
}

#[cfg(test)]
mod tests;
