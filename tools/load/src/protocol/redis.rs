//! Redis (RESP 2): VERIFY is GET, REGISTER is SET of the value that belongs to the entity, PING is PING.
//!
//! Whether a value is the right one is known, since it follows from the entity's number.

use memchr::memmem;

use super::{Right, Told};
use crate::entities::{Entities, Name, VALUE_BYTES, write_value};
use crate::script::Command;

const NIL: &[u8] = b"$-1\r\n";
const DONE: &[u8] = b"+OK\r\n";
const PONG: &[u8] = b"+PONG\r\n";
const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";
const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n";
const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n";
const LINE_END: &[u8] = b"\r\n";

/// Appends a command. What Redis is never asked (a checked plan has none of it) is spelled as PING.
pub(super) fn compose(entities: &Entities, command: Command, out: &mut Vec<u8>, scratch: &mut Vec<u8>) {
    let mut keyed = |verb: &[u8], name: Name, out: &mut Vec<u8>| {
        scratch.clear();
        entities.write(name, scratch);
        out.extend_from_slice(verb);
        write_bulk(scratch, out);
    };
    match command {
        Command::Verify(name) => keyed(GET, name, out),
        Command::Register(number) => {
            keyed(SET, Name::Entity(number), out);
            scratch.clear();
            write_value(number, scratch);
            write_bulk(scratch, out);
        }
        Command::Ping | Command::Bulk { .. } | Command::Remove(_) | Command::Audit(_) => out.extend_from_slice(PING),
    }
}

fn write_bulk(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'$');
    out.extend_from_slice(bytes.len().to_string().as_bytes());
    out.extend_from_slice(LINE_END);
    out.extend_from_slice(bytes);
    out.extend_from_slice(LINE_END);
}

/// The length of the reply at the front of `bytes`.
pub(super) fn frame(bytes: &[u8]) -> Option<usize> {
    let head = memmem::find(bytes, LINE_END)? + LINE_END.len();
    let announced = bytes.strip_prefix(b"$").and_then(|rest| rest.get(..head - 1 - LINE_END.len()));
    let length = announced.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
    let whole = head + length.map_or(0, |length| length + LINE_END.len());
    (bytes.len() >= whole).then_some(whole)
}

/// Judges a reply.
pub(super) fn check(command: Command, answer: &[u8], scratch: &mut Vec<u8>) -> Result<Right, String> {
    let expect = |expected: &[u8], told| {
        if answer == expected { Ok(Right::plain(told)) } else { Err(format!("expected {}", expected.escape_ascii())) }
    };
    match command {
        Command::Verify(Name::Absent(_)) => expect(NIL, Told::Nil),
        Command::Verify(Name::Entity(number)) => {
            scratch.clear();
            write_value(number, scratch);
            let value = answer.strip_suffix(LINE_END).and_then(|rest| rest.strip_prefix(VALUE_HEAD));
            if value == Some(scratch.as_slice()) {
                Ok(Right::plain(Told::Value))
            } else {
                Err(format!("expected the value {}", scratch.escape_ascii()))
            }
        }
        Command::Register(_) => expect(DONE, Told::Done),
        Command::Ping | Command::Bulk { .. } | Command::Remove(_) | Command::Audit(_) => expect(PONG, Told::Done),
    }
}

/// What stands before a value in a reply.
const VALUE_HEAD: &[u8] = b"$69\r\n";
const _: () = assert!(VALUE_BYTES == 69);

#[cfg(test)]
mod tests {
    use super::*;

    fn entities() -> Entities {
        Entities::new(["example.com", "example.org"].into_iter(), ["192.0.2.1"].into_iter()).unwrap()
    }

    fn composed(command: Command) -> String {
        let (mut out, mut scratch) = (Vec::new(), Vec::new());
        compose(&entities(), command, &mut out, &mut scratch);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn commands_are_spelled_as_arrays_of_strings() {
        assert_eq!(composed(Command::Ping), "*1\r\n$4\r\nPING\r\n");
        assert_eq!(composed(Command::Verify(Name::Entity(1))), "*2\r\n$3\r\nGET\r\n$11\r\nexample.org\r\n");
        let set = composed(Command::Register(0));
        assert!(set.starts_with("*3\r\n$3\r\nSET\r\n$11\r\nexample.com\r\n$69\r\n{\"list\":"), "{set}");
        assert!(set.ends_with("\"}\r\n"), "{set}");
    }

    #[test]
    fn replies_are_framed_by_their_length() {
        let value = b"$4\r\na\r\nb\r\n+OK\r\n";
        assert_eq!(frame(value), Some(10), "a line end inside of a value ends nothing");
        for end in 0..10 {
            assert_eq!(frame(&value[..end]), None, "{end}");
        }
        assert_eq!(frame(b"$-1\r\n+OK\r\n"), Some(5));
        assert_eq!(frame(b"-ERR no\r\n$-1\r\n"), Some(9));
        assert_eq!(frame(b"$0\r\n\r\n"), Some(6));
    }

    #[test]
    fn only_the_right_reply_is_right() {
        let mut value = b"$69\r\n".to_vec();
        write_value(5, &mut value);
        value.extend_from_slice(b"\r\n");
        let (hit, miss) = (Command::Verify(Name::Entity(5)), Command::Verify(Name::Absent(5)));
        let judge = |command, answer: &[u8]| check(command, answer, &mut Vec::new()).map(|right| right.told);
        assert_eq!(judge(hit, &value), Ok(Told::Value));
        assert_eq!(judge(miss, NIL), Ok(Told::Nil));
        assert_eq!(judge(Command::Register(5), DONE), Ok(Told::Done));
        assert_eq!(judge(Command::Ping, PONG), Ok(Told::Done));

        let mut other = value.clone();
        other[70] ^= 1;
        assert!(judge(hit, &other).is_err());
        assert!(judge(Command::Verify(Name::Entity(6)), &value).is_err(), "the value of another key");
        assert!(judge(hit, NIL).is_err());
        assert!(judge(miss, &value).is_err());
        assert!(judge(Command::Register(5), b"-READONLY no\r\n").is_err());
        assert!(judge(Command::Ping, DONE).is_err());
    }
}
