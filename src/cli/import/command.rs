//! A line of the file as a command on the wire.
//!
//! May use: SHA-256. Never: sends.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::formats::Change;
use crate::cli::request::Request;
use crate::types::limits::NONCE_BYTES_MIN;

/// A command of the file.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its line, counted from 1.
    pub number: u64,
    /// The name as the file spells it.
    pub entity: String,
    /// What to do about it.
    pub change: Change,
}

/// The command of a line. It is built when it is sent, so that its time is that moment.
pub fn command(line: &Line, digest: &[u8; 32], log_id: &str) -> Request {
    let request = match &line.change {
        Change::Register { kind, attributes } => {
            let attributes = (!attributes.is_empty()).then(|| Value::Object(attributes.clone()));
            Request::new("REGISTER")
                .with("entity", line.entity.as_str())
                .with_some("type", kind.as_deref())
                .with_some("attributes", attributes)
        }
        Change::Remove => Request::new("REMOVE").with("entity", line.entity.as_str()),
    };
    let nonce = nonce(digest, line.number, log_id, &request.line(None));
    request.once(&nonce)
}

/// The first 22 characters of the base64url of a SHA-256: 132 bits. The command itself is part of it, because `--type`
/// may make another command of the same line.
fn nonce(digest: &[u8; 32], line: u64, log_id: &str, command: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(digest);
    hash.update(line.to_be_bytes());
    hash.update((log_id.len() as u64).to_be_bytes());
    hash.update(log_id);
    hash.update(command);
    let mut text = URL_SAFE_NO_PAD.encode(hash.finalize());
    text.truncate(NONCE_BYTES_MIN);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::types::Nonce;

    fn line(number: u64, kind: Option<&str>) -> Line {
        let attributes = Map::from_iter([("lists".to_owned(), json!(3))]);
        let change = Change::Register { kind: kind.map(str::to_owned), attributes };
        Line { number, entity: "192.0.2.1".to_owned(), change }
    }

    fn nonce_of(line: &Line, digest: u8, log_id: &str) -> String {
        let request = command(line, &[digest; 32], log_id);
        let nonce = request.member("nonce").and_then(Value::as_str).unwrap().to_owned();
        assert_eq!(Nonce::parse(&nonce).unwrap().as_str(), nonce);
        nonce
    }

    #[test]
    fn the_nonce_follows_from_file_line_log_and_command() {
        let first = nonce_of(&line(1, None), 0, "log");
        assert_eq!(nonce_of(&line(1, None), 0, "log"), first);
        for other in [
            nonce_of(&line(2, None), 0, "log"),
            nonce_of(&line(1, Some("ip")), 0, "log"),
            nonce_of(&line(1, None), 1, "log"),
            nonce_of(&line(1, None), 0, "other"),
        ] {
            assert_ne!(other, first);
        }
    }

    #[test]
    fn lines_become_commands() {
        let register = command(&line(1, Some("ip")), &[0; 32], "");
        assert_eq!(register.member("attributes"), Some(&json!({ "lists": 3 })));
        assert_eq!(register.member("type"), Some(&json!("ip")));
        let bare = Change::Register { kind: None, attributes: Map::new() };
        let bare = command(&Line { number: 1, entity: "a".to_owned(), change: bare }, &[0; 32], "");
        assert_eq!((bare.member("attributes"), bare.member("type")), (None, None));
        let remove = command(&Line { number: 1, entity: "a".to_owned(), change: Change::Remove }, &[0; 32], "");
        assert_eq!(remove.member("command"), Some(&json!("REMOVE")));
        assert!(remove.member("ts").is_some());
    }
}
