//! The commands that ask a server.
//!
//! May use: everything in `cli`. Never: each other, or sockets except through the pipeline.

pub mod audit;
pub mod capabilities;
pub mod completions;
pub mod ping;
pub mod register;
pub mod remove;
pub mod send;
pub mod verify;

mod change;

use std::io::Write;

use serde_json::{Map, Value};

use super::answer::Answer;
use super::exit::{Exit, Failure};
use super::output::{note, printable};

/// What is known, or claimed, of an entity, as typed.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct AttributeArgs {
    /// Attributes as a JSON object
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    pub attributes: Option<Map<String, Value>>,
    /// One attribute whose value is a string; may be repeated, and wins over the same name in --attributes
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = parse_pair)]
    pub pairs: Vec<(String, String)>,
}

impl AttributeArgs {
    /// All attributes together; `None` when none were typed.
    pub fn object(&self) -> Option<Value> {
        if self.attributes.is_none() && self.pairs.is_empty() {
            return None;
        }
        let mut object = self.attributes.clone().unwrap_or_default();
        object.extend(self.pairs.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))));
        Some(Value::Object(object))
    }
}

fn parse_object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err("expected a JSON object such as {\"reason\":\"spam\"}".to_owned()),
        Err(error) => Err(format!("not valid JSON: {error}")),
    }
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// Ends a command that has one answer: prints it as it is with `--json`, else says `success` on standard output, or
/// why not on standard error.
fn conclude(out: &mut dyn Write, json: bool, answer: &Answer, success: &str) -> Result<Exit, Failure> {
    if json {
        writeln!(out, "{}", answer.raw())?;
    } else if answer.exit() == Exit::Yes {
        out.write_all(success.as_bytes())?;
    } else {
        note(&printable(&answer.reason()));
    }
    out.flush()?;
    Ok(answer.exit())
}

/// What is said of a change that took effect: `registered example.com (domain, sequence 12)`.
fn change_text(done: &str, typed: &str, answer: &Answer) -> String {
    let entity = answer.text("entity").unwrap_or(typed);
    let sequence = answer.member("sequence").map(|sequence| format!("sequence {sequence}"));
    let remarks: Vec<String> = answer.text("type").map(str::to_owned).into_iter().chain(sequence).collect();
    let place = if remarks.is_empty() { String::new() } else { format!(" ({})", remarks.join(", ")) };
    let earlier = if answer.is_replayed() { ", by the first attempt" } else { "" };
    format!("{}\n", printable(&format!("{done} {entity}{place}{earlier}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_with_the_name_that_the_server_uses() {
        let answer = |raw: &str| Answer::parse(raw.to_owned()).unwrap();
        let full = answer(r#"{"status":200,"entity":"example.com","sequence":12,"replayed":true}"#);
        assert_eq!(
            change_text("removed", "EXAMPLE.com.", &full),
            "removed example.com (sequence 12), by the first attempt\n"
        );
        let registered = answer(r#"{"status":200,"entity":"example.com","type":"domain","sequence":1}"#);
        assert_eq!(
            change_text("registered", "example.com", &registered),
            "registered example.com (domain, sequence 1)\n"
        );
        assert_eq!(change_text("removed", "a\u{1b}b", &answer(r#"{"status":200}"#)), "removed a\\u{1b}b\n");
    }

    #[test]
    fn attributes_come_as_json_and_as_pairs() {
        let args = AttributeArgs {
            attributes: Some(parse_object(r#"{"a":1,"b":[true]}"#).unwrap()),
            pairs: vec![parse_pair("a=x=y").unwrap(), parse_pair("c=").unwrap()],
        };
        assert_eq!(args.object().unwrap().to_string(), r#"{"a":"x=y","b":[true],"c":""}"#);
        assert_eq!(AttributeArgs::default().object(), None);
        for bad in ["[]", "1", "{", ""] {
            assert!(parse_object(bad).is_err(), "{bad}");
        }
        for bad in ["", "=x", "x"] {
            assert!(parse_pair(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_answer_is_printed_as_it_is_or_in_words() {
        let answer = Answer::parse(r#"{"status": 200,  "x":1}"#.to_owned()).unwrap();
        let mut out = Vec::new();
        assert_eq!(conclude(&mut out, true, &answer, "never").unwrap(), Exit::Yes);
        assert_eq!(conclude(&mut out, false, &answer, "done\n").unwrap(), Exit::Yes);
        let refused = Answer::parse(r#"{"status":403}"#.to_owned()).unwrap();
        assert_eq!(conclude(&mut out, false, &refused, "never").unwrap(), Exit::Failed);
        assert_eq!(String::from_utf8(out).unwrap(), "{\"status\": 200,  \"x\":1}\ndone\n");
    }
}
