//! Commands as lines of JSON. No name of ours holds a character that JSON would escape.

use rand::Rng as _;
use rand::rngs::SmallRng;

use super::write_number;
use crate::entities::{Entities, Name, write_value};
use crate::script::{BulkNames, Command};

/// Characters of a nonce: six bits each, 132 in all.
const NONCE_CHARACTERS: usize = 22;
const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Fresh nonces. They do not follow from the seed of the run: a second run with the same seed must not repeat them.
#[derive(Debug)]
pub(crate) struct Nonces(SmallRng);

impl Nonces {
    pub(crate) fn new() -> Nonces {
        Nonces(rand::make_rng())
    }

    fn write(&mut self, out: &mut Vec<u8>) {
        let mut left = NONCE_CHARACTERS;
        while left > 0 {
            let bits = self.0.next_u64();
            let take = left.min(10);
            for place in 0..take {
                let letter = usize::try_from(bits >> (6 * place) & 63).unwrap_or_default();
                out.push(BASE64URL.get(letter).copied().unwrap_or_default());
            }
            left -= take;
        }
    }
}

/// Appends a command and its line end. `once` is the time in UNIX seconds and where nonces come from.
pub(crate) fn compose(
    entities: &Entities,
    bulk: &BulkNames,
    command: Command,
    id: Option<u64>,
    once: Option<(u64, &mut Nonces)>,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(match command {
        Command::Verify(_) | Command::Bulk { .. } => br#"{"command":"VERIFY""#,
        Command::Register(_) => br#"{"command":"REGISTER""#,
        Command::Remove(_) => br#"{"command":"REMOVE""#,
        Command::Audit(_) => br#"{"command":"AUDIT""#,
        Command::Ping => br#"{"command":"PING""#,
    });
    if let Some(id) = id {
        out.extend_from_slice(br#","id":"#);
        write_number(id, out);
    }
    let named = |name: Name, out: &mut Vec<u8>| {
        out.extend_from_slice(br#","entity":""#);
        entities.write(name, out);
        out.push(b'"');
    };
    match command {
        Command::Verify(name) => named(name, out),
        Command::Audit(number) => named(Name::Entity(number), out),
        Command::Remove(number) => {
            named(Name::Entity(number), out);
            write_once(once, out);
        }
        Command::Register(number) => {
            named(Name::Entity(number), out);
            out.extend_from_slice(br#","attributes":"#);
            write_value(number, out);
            write_once(once, out);
        }
        Command::Bulk { seed } => {
            out.extend_from_slice(br#","entities":"#);
            let mut before = b'[';
            for name in bulk.names(seed) {
                out.extend_from_slice(&[before, b'"']);
                entities.write(name, out);
                out.push(b'"');
                before = b',';
            }
            out.push(b']');
        }
        Command::Ping => {}
    }
    out.extend_from_slice(b"}\n");
}

fn write_once(once: Option<(u64, &mut Nonces)>, out: &mut Vec<u8>) {
    if let Some((time_s, nonces)) = once {
        out.extend_from_slice(br#","ts":"#);
        write_number(time_s, out);
        out.extend_from_slice(br#","nonce":""#);
        nonces.write(out);
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::Arc;

    use repsec::faces::repsec::{Limits, Settings, message};
    use repsec::types::{HashKey, Principal};
    use repsec::wire::json::Parser;
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::{Plan, Target};

    fn line(command: Command, id: Option<u64>, once: bool) -> Vec<u8> {
        let entities = Entities::new(["example.com", "example.org"].into_iter(), ["192.0.2.1"].into_iter()).unwrap();
        let mut plan = Plan::new(Target::RepSec, "127.0.0.1:1".parse().unwrap(), "ca.pem");
        (plan.names_per_message, plan.entities) = (3, 2);
        let (mut out, mut nonces) = (Vec::new(), Nonces::new());
        let once = once.then_some((1_700_000_000, &mut nonces));
        compose(&entities, &BulkNames::new(&plan), command, id, once, &mut out);
        out
    }

    #[test]
    fn commands_are_spelled_as_the_draft_has_them() {
        let text = |command, id| String::from_utf8(line(command, id, false)).unwrap();
        let verify = Command::Verify(Name::Entity(1));
        assert_eq!(text(verify, None), "{\"command\":\"VERIFY\",\"entity\":\"example.org\"}\n");
        assert_eq!(text(verify, Some(7)), "{\"command\":\"VERIFY\",\"id\":7,\"entity\":\"example.org\"}\n");
        assert_eq!(text(Command::Audit(2), None), "{\"command\":\"AUDIT\",\"entity\":\"192.0.2.1\"}\n");
        assert_eq!(text(Command::Ping, None), "{\"command\":\"PING\"}\n");
        let register: Value = serde_json::from_slice(&line(Command::Register(0), None, true)).unwrap();
        assert_eq!(register["attributes"]["list"], json!("disposable-email-domains"));
        assert_eq!(register["ts"], json!(1_700_000_000));
    }

    #[test]
    fn the_server_understands_every_command() {
        let settings = Settings::new(Limits::default(), true, HashKey::new([7; 16]), &[1; 16]);
        let settings = Arc::new(settings);
        let parser = Rc::new(RefCell::new(Parser::new(16)));
        for command in [
            Command::Verify(Name::Entity(0)),
            Command::Verify(Name::Absent(9)),
            Command::Bulk { seed: 3 },
            Command::Register(40),
            Command::Remove(2),
            Command::Audit(1),
            Command::Ping,
        ] {
            let mut bytes = line(command, Some(1), true);
            let len = bytes.len();
            let read = message::read(&mut parser.borrow_mut(), &mut bytes, len, &Principal::Anonymous, &settings);
            assert!(read.is_ok(), "{command:?}: {read:?}");
        }
    }

    #[test]
    fn nonces_are_long_enough_and_do_not_repeat() {
        let mut nonces = Nonces::new();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..10_000 {
            let mut out = Vec::new();
            nonces.write(&mut out);
            let text = String::from_utf8(out).unwrap();
            assert!(repsec::types::Nonce::parse(&text).is_ok(), "{text}");
            assert!(seen.insert(text));
        }
    }
}
