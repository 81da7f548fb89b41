//! What a line of an imported file says.
//!
//! May use: serde_json. Never: I/O.

use std::path::Path;

use clap::ValueEnum;
use serde_json::{Map, Value};

/// How a file is written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// JSON objects, one a line, with command (REGISTER or REMOVE), entity, type; other members are attributes
    Jsonl,
    /// Names, one a line, to register; lines beginning with # are comments
    Lines,
    /// An address, a tab and a count, as the IPsum feed is written; the count becomes the attribute lists
    Ipsum,
}

/// A command that a line stands for.
#[derive(Clone, PartialEq, Debug)]
pub struct Parsed {
    /// The name as the file spells it.
    pub entity: String,
    /// What to do about it.
    pub change: Change,
}

/// What to do about an entity.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// Register it.
    Register {
        /// As this kind, if any is said.
        kind: Option<String>,
        /// With these attributes, perhaps none.
        attributes: Map<String, Value>,
    },
    /// Remove it.
    Remove,
}

/// Members of a recorded command that belong to its sending and not to the entity.
const SENDING_MEMBERS: [&str; 3] = ["auth", "nonce", "ts"];

impl Format {
    /// Guesses by the file's name, then by its first line that is neither blank nor a comment.
    pub fn guess(path: &Path, first_line: &str) -> Format {
        let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
        let first_line = bare(first_line);
        if name.ends_with(".jsonl") || name.ends_with(".ndjson") || first_line.starts_with('{') {
            Format::Jsonl
        } else if ipsum(first_line).is_ok() {
            Format::Ipsum
        } else {
            Format::Lines
        }
    }

    /// Reads a line. `None` where it says nothing: it is blank or a comment.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn read(self, line: &[u8], default_kind: Option<&str>) -> Result<Option<Parsed>, String> {
        let line = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?;
        let line = bare(line);
        if is_silent(line) {
            return Ok(None);
        }
        let mut parsed = match self {
            Format::Jsonl => jsonl(line)?,
            Format::Lines => {
                Parsed { entity: line.to_owned(), change: Change::Register { kind: None, attributes: Map::new() } }
            }
            Format::Ipsum => ipsum(line)?,
        };
        if let Change::Register { kind, .. } = &mut parsed.change
            && let Some(default) = default_kind
            && (kind.is_none() || self == Format::Ipsum)
        {
            *kind = Some(default.to_owned());
        }
        Ok(Some(parsed))
    }
}

/// What a line says: without space around it, and without the mark that some editors begin a file with.
fn bare(line: &str) -> &str {
    line.trim_start_matches(|c: char| c == '\u{feff}' || c.is_whitespace()).trim_end()
}

/// Whether a line is blank or a comment.
pub fn is_silent(line: &str) -> bool {
    let line = bare(line);
    line.is_empty() || line.starts_with('#')
}

fn jsonl(line: &str) -> Result<Parsed, String> {
    let mut members: Map<String, Value> =
        serde_json::from_str(line).map_err(|error| format!("not a JSON object: {error}"))?;
    let mut string = |name: &str| match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(format!("member `{name}`: expected a string")),
    };
    let command = string("command")?.ok_or("member `command` is missing")?;
    let entity = string("entity")?.ok_or("member `entity` is missing")?;
    let kind = string("type")?;
    let change = if command.eq_ignore_ascii_case("REGISTER") {
        Change::Register { kind, attributes: attributes(members)? }
    } else if command.eq_ignore_ascii_case("REMOVE") {
        Change::Remove
    } else {
        return Err("member `command`: expected REGISTER or REMOVE".to_owned());
    };
    Ok(Parsed { entity, change })
}

/// The members of `attributes`, if there is such an object, and all that is left beside it.
fn attributes(mut members: Map<String, Value>) -> Result<Map<String, Value>, String> {
    for name in SENDING_MEMBERS {
        members.remove(name);
    }
    match members.remove("attributes") {
        None => Ok(members),
        Some(Value::Object(mut attributes)) => {
            attributes.extend(members);
            Ok(attributes)
        }
        Some(_) => Err("member `attributes`: expected an object".to_owned()),
    }
}

fn ipsum(line: &str) -> Result<Parsed, String> {
    let expected = || "expected ADDRESS<TAB>COUNT".to_owned();
    let (address, count) = line.split_once('\t').ok_or_else(expected)?;
    let count: u32 = count.trim().parse().map_err(|_| expected())?;
    let attributes = Map::from_iter([("lists".to_owned(), Value::from(count))]);
    Ok(Parsed {
        entity: address.trim().to_owned(),
        change: Change::Register { kind: Some("ip".to_owned()), attributes },
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    proptest! {
        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..40), text in "[{}\":,a-z\\t0-9#]{0,40}") {
            for format in [Format::Jsonl, Format::Lines, Format::Ipsum] {
                let _ = format.read(&line, None);
                let _ = format.read(text.as_bytes(), Some("ip"));
            }
        }

        #[test]
        fn a_guessed_format_reads_the_line(line in "[\u{feff}\t #{9a]{0,6}") {
            if Format::guess(Path::new("list"), &line) == Format::Ipsum {
                prop_assert!(Format::Ipsum.read(line.as_bytes(), None).is_ok());
            }
        }

        #[test]
        fn a_written_command_is_read_back(entity in "\\PC{1,20}", kind in prop::option::of("[a-z]{1,5}"), n in any::<u32>()) {
            let written = json!({ "command": "REGISTER", "entity": entity, "type": kind, "source": { "n": n } });
            let parsed = Format::Jsonl.read(written.to_string().as_bytes(), None).unwrap().unwrap();
            let attributes = Map::from_iter([("source".to_owned(), json!({ "n": n }))]);
            prop_assert_eq!(parsed, Parsed { entity, change: Change::Register { kind, attributes } });
        }
    }

    fn register(entity: &str, kind: Option<&str>, attributes: &Value) -> Option<Parsed> {
        let change =
            Change::Register { kind: kind.map(str::to_owned), attributes: attributes.as_object().unwrap().clone() };
        Some(Parsed { entity: entity.to_owned(), change })
    }

    #[test]
    fn lines_of_each_format() {
        let none = json!({});
        for (format, line, kind, expected) in [
            (Format::Lines, "example.com\r", None, register("example.com", None, &none)),
            (
                Format::Lines,
                "  Example Ltd ",
                Some("organization"),
                register("Example Ltd", Some("organization"), &none),
            ),
            (Format::Lines, "\u{feff}a.example", None, register("a.example", None, &none)),
            (Format::Lines, "# comment", None, None),
            (Format::Lines, "", None, None),
            (Format::Ipsum, "192.0.2.1\t10", None, register("192.0.2.1", Some("ip"), &json!({"lists":10}))),
            (Format::Ipsum, "192.0.2.1\t3", Some("x-bot"), register("192.0.2.1", Some("x-bot"), &json!({"lists":3}))),
            (Format::Ipsum, "#", None, None),
            (
                Format::Jsonl,
                r#"{"at":"2014","command":"register","entity":"grr.la","type":"domain","ts":1,"nonce":"n","auth":{}}"#,
                Some("userid"),
                register("grr.la", Some("domain"), &json!({"at":"2014"})),
            ),
            (
                Format::Jsonl,
                r#"{"command":"REGISTER","entity":"e","attributes":{"a":1,"b":2},"b":3}"#,
                Some("userid"),
                register("e", Some("userid"), &json!({"a":1,"b":3})),
            ),
            (
                Format::Jsonl,
                r#"{"command":"REMOVE","entity":"e","type":"domain","at":"x"}"#,
                None,
                Some(Parsed { entity: "e".to_owned(), change: Change::Remove }),
            ),
        ] {
            assert_eq!(format.read(line.as_bytes(), kind), Ok(expected), "{line}");
        }
    }

    #[test]
    fn bad_lines_say_what_is_wrong() {
        for (format, line, part) in [
            (Format::Jsonl, &b"{"[..], "not a JSON object"),
            (Format::Jsonl, b"[]", "not a JSON object"),
            (Format::Jsonl, br#"{"entity":"e"}"#, "`command` is missing"),
            (Format::Jsonl, br#"{"command":"REMOVE"}"#, "`entity` is missing"),
            (Format::Jsonl, br#"{"command":"PING","entity":"e"}"#, "REGISTER or REMOVE"),
            (Format::Jsonl, br#"{"command":"REMOVE","entity":7}"#, "expected a string"),
            (Format::Jsonl, br#"{"command":"REGISTER","entity":"e","attributes":1}"#, "expected an object"),
            (Format::Ipsum, b"192.0.2.1 10", "ADDRESS<TAB>COUNT"),
            (Format::Ipsum, b"192.0.2.1\tmany", "ADDRESS<TAB>COUNT"),
            (Format::Lines, b"\xff", "not UTF-8"),
        ] {
            let error = format.read(line, None).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn formats_are_guessed() {
        for (name, first_line, expected) in [
            ("history.jsonl", "", Format::Jsonl),
            ("history.NDJSON", "x", Format::Jsonl),
            ("history", "{\"command\":\"REMOVE\"}", Format::Jsonl),
            ("ipsum.txt", "192.0.2.1\t10", Format::Ipsum),
            ("ipsum.txt", "192.0.2.1", Format::Lines),
            ("names.txt", "example.com", Format::Lines),
            ("names", "", Format::Lines),
            ("marked", "\u{feff}{", Format::Jsonl),
            ("marked", "\u{feff}\t9", Format::Lines),
        ] {
            assert_eq!(Format::guess(Path::new(name), first_line), expected, "{name} {first_line}");
        }
    }
}
