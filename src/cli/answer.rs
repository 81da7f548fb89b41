//! Answers as they come from the wire. Unknown members are tolerated (`repsec:R12`), and so is a missing `message`
//! (the draft's own example has none: contradiction C1).
//!
//! May use: serde_json. Never: prints.

use serde_json::{Map, Value};

use super::exit::Exit;

/// One answer of the server: its text as received, and its members.
#[derive(Clone, Debug)]
pub struct Answer {
    raw: String,
    status: u16,
    members: Map<String, Value>,
}

impl Answer {
    /// Reads one line. `None` when it is no JSON object with a numeric `status`, and so no answer of RepSec.
    pub fn parse(raw: String) -> Option<Answer> {
        let Ok(Value::Object(members)) = serde_json::from_str(&raw) else { return None };
        let status = members.get("status").and_then(Value::as_u64).and_then(|status| u16::try_from(status).ok())?;
        Some(Answer { raw, status, members })
    }

    /// The line as received, without its line end.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// A member's value.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// All members.
    pub fn members(&self) -> &Map<String, Value> {
        &self.members
    }

    /// A member that is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name).and_then(Value::as_str)
    }

    /// The members of an array, or none.
    pub fn items(&self, name: &str) -> &[Value] {
        self.members.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Whether the server had given this answer before (P8).
    pub fn is_replayed(&self) -> bool {
        self.members.get("replayed").and_then(Value::as_bool).unwrap_or(false)
    }

    /// How long the server asks to wait, in seconds.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.members.get("retry_after").and_then(Value::as_u64)
    }

    /// What the answer means for the exit status.
    pub fn exit(&self) -> Exit {
        Exit::of_status(self.status, self.members.get("verified").and_then(Value::as_bool))
    }

    /// Why the answer is not a plain yes, for people: `400 bad_entity: has an empty label`.
    pub fn reason(&self) -> String {
        reason(&self.members)
    }
}

/// The same for one entry of `results`, which is built like an answer.
pub fn reason(members: &Map<String, Value>) -> String {
    let text = |name| members.get(name).and_then(Value::as_str);
    let mut reason = members.get("status").map_or_else(|| "no status".to_owned(), Value::to_string);
    if let Some(error) = text("error") {
        reason.push(' ');
        reason.push_str(error);
    }
    if let Some(detail) = text("detail").or_else(|| text("message")) {
        reason.push_str(": ");
        reason.push_str(detail);
    }
    if let Some(seconds) = members.get("retry_after").and_then(Value::as_u64) {
        reason.push_str(&format!(" (try again in {seconds} s)"));
    }
    reason
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_with_a_numeric_status_are_answers() {
        for bad in ["", "[]", "null", "200", "{}", r#"{"status":"200"}"#, r#"{"status":70000}"#, r#"{"status":200"#] {
            assert!(Answer::parse(bad.to_owned()).is_none(), "{bad}");
        }
    }

    #[test]
    fn unknown_members_and_a_missing_message_are_tolerated() {
        let raw = r#"{"status": 200, "verified":true, "score":{"x":[1]}}"#;
        let answer = Answer::parse(raw.to_owned()).unwrap();
        assert_eq!((answer.raw(), answer.status(), answer.exit()), (raw, 200, Exit::Yes));
        assert_eq!((answer.text("message"), answer.is_replayed()), (None, false));
    }

    #[test]
    fn reasons_prefer_the_detail() {
        for (raw, expected) in [
            (r#"{"status":404,"message":"m"}"#, "404: m"),
            (r#"{"status":400,"message":"m","error":"bad_entity","detail":"d"}"#, "400 bad_entity: d"),
            (r#"{"status":429,"error":"slow_down","retry_after":7}"#, "429 slow_down (try again in 7 s)"),
        ] {
            assert_eq!(Answer::parse(raw.to_owned()).unwrap().reason(), expected);
        }
    }
}
