//! Commands as they go on the wire: one JSON object, one line (`repsec:O1`).
//!
//! May use: serde_json, the system's clock and randomness. Never: sends.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

/// A command under construction.
#[derive(Clone, PartialEq, Debug)]
pub struct Request {
    members: Map<String, Value>,
}

/// A bearer token. It shows itself to the server only.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes over the content of a token file: one token, with or without a line end behind it.
    ///
    /// # Errors
    /// When there is none, or anything else beside it.
    pub fn from_file_content(content: &str) -> Result<Token, &'static str> {
        let token = content.trim();
        if token.is_empty() {
            return Err("it is empty");
        }
        if token.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err("it must hold one token and nothing else");
        }
        Ok(Token(token.to_owned()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

impl Request {
    /// A command without further members.
    pub fn new(command: &str) -> Request {
        let mut members = Map::new();
        members.insert("command".to_owned(), Value::from(command));
        Request { members }
    }

    /// The command with one more member.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Request {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// The command with one more member, if there is a value for it.
    #[must_use]
    pub fn with_some<V: Into<Value>>(self, name: &str, value: Option<V>) -> Request {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// The command with what makes its repetition recognizable (`repsec:O5`): now, and the nonce.
    #[must_use]
    pub fn once(self, nonce: &str) -> Request {
        self.with("ts", unix_time_s()).with("nonce", nonce)
    }

    /// A member's value.
    pub fn member(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    /// The line to send, with its line end, and with the token where there is one (`repsec:O4`).
    pub fn line(&self, token: Option<&Token>) -> String {
        let mut line = match token {
            None => Value::Object(self.members.clone()).to_string(),
            Some(Token(token)) => {
                let mut members = self.members.clone();
                members.insert("auth".to_owned(), json!({ "scheme": "bearer", "token": token }));
                Value::Object(members).to_string()
            }
        };
        line.push('\n');
        line
    }
}

/// A nonce that nobody can guess and that does not come twice: 16 random bytes as 22 characters.
///
/// # Errors
/// When the system has no randomness to give.
pub fn random_nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The present in whole seconds since 1970; a clock before that reads as 0, which every server refuses as stale.
fn unix_time_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Nonce;

    #[test]
    fn a_request_is_one_line() {
        let request =
            Request::new("VERIFY").with("entity", "a\nb").with_some("at", None::<u64>).with_some("n", Some(1));
        assert_eq!(request.line(None), "{\"command\":\"VERIFY\",\"entity\":\"a\\nb\",\"n\":1}\n");
    }

    #[test]
    fn the_token_is_sent_and_never_shown() {
        let token = Token::from_file_content("s3cret\n").unwrap();
        let line = Request::new("PING").line(Some(&token));
        assert_eq!(line, "{\"auth\":{\"scheme\":\"bearer\",\"token\":\"s3cret\"},\"command\":\"PING\"}\n");
        assert!(!format!("{token:?}").contains("s3cret"));
        for bad in ["", " \n", "two tokens", "two\nlines"] {
            assert!(Token::from_file_content(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn random_nonces_are_nonces_and_differ() {
        let (one, other) = (random_nonce().unwrap(), random_nonce().unwrap());
        assert_eq!(Nonce::parse(&one).unwrap().as_str(), one);
        assert_ne!(one, other);
    }

    #[test]
    fn a_command_that_changes_state_has_the_pair() {
        let request = Request::new("REMOVE").once("abcdefghijklmnopqrstuv");
        assert_eq!(request.member("nonce"), Some(&Value::from("abcdefghijklmnopqrstuv")));
        assert!(request.member("ts").and_then(Value::as_u64).is_some_and(|ts| ts > 1_700_000_000));
    }
}
