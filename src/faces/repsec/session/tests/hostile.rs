//! The table of hostile input, `tests/data/hostile.jsonl`, against a session alone. What the table says holds for the
//! whole server, so other tests read it too.

use serde_json::Value;

use super::*;

const TABLE: &str = include_str!("../../../../../tests/data/hostile.jsonl");

fn input(case: &Value) -> Vec<u8> {
    let part = |part: &Value| {
        let bytes = match (part.as_str().or(part["text"].as_str()), part["hex"].as_str()) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(hex)) => {
                let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
                pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
            }
            _ => panic!("a part of an input is a text or hex: {part}"),
        };
        bytes.repeat(usize::try_from(part["times"].as_u64().unwrap_or(1)).unwrap())
    };
    case["input"].as_array().unwrap().iter().flat_map(part).collect()
}

/// An empty store.
fn hold(stream: &[u8]) -> (Vec<Value>, bool) {
    let mut session = session();
    let mut out = Vec::new();
    for piece in stream.chunks(16 * 1024) {
        if !session.wants_input() {
            break;
        }
        session.receive(piece);
        while let Some(Step { slot, .. }) = session.next(NOW) {
            session.complete(slot, Outcome::Refused(Refusal::NotRegistered));
        }
        while session.output_ready() {
            session.take_output(&mut out);
        }
        assert!(session.pending_bytes() <= BULK_MESSAGE_BYTES_MAX + 16 * 1024);
    }
    let lines = out.split_inclusive(|byte| *byte == b'\n');
    (lines.map(|line| serde_json::from_slice(line).unwrap()).collect(), session.finished())
}

#[test]
fn hostile_input_is_answered_as_the_table_says() {
    let mut cases = 0;
    for line in TABLE.lines().skip(1) {
        let case: Value = serde_json::from_str(line).unwrap();
        let name = case["name"].as_str().unwrap();
        let stream = [&input(&case), b"\n".as_slice(), PING].concat();
        let (answers, finished) = hold(&stream);
        let first = answers.first().unwrap_or_else(|| panic!("{name}: no answer"));
        assert_eq!((&first["status"], &first["error"]), (&case["status"], &case["error"]), "{name}: {first}");
        let alive = case["alive"].as_bool().unwrap();
        assert_eq!(finished, !alive, "{name}");
        let expected = case["answers"].as_u64().unwrap() + u64::from(alive);
        assert_eq!(u64::try_from(answers.len()).unwrap(), expected, "{name}: {answers:?}");
        if alive {
            assert_eq!(answers.last().unwrap()["message"], "pong", "{name}");
        }
        for answer in &answers {
            assert!(answer["message"].is_string(), "{name}: {answer}");
        }
        cases += 1;
    }
    assert!(cases >= 64, "the table has lost its cases");
}
