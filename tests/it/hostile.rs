//! Peers who mean no good, or speak something else (`repsec:R1` to `R3`, `R6` to `R8`, `O13`, and the traps).
//!
//! What single messages get is said in `tests/data/hostile.jsonl`, which the session's own tests read too.

use std::fs;
use std::time::Instant;

use serde_json::Value;

use crate::harness::{Client, End, PlainPeer, Trust, data_file, each, outcome};

/// Inputs longer than this are sent once, and not in every round.
const SMALL_BYTES: usize = 128 * 1024;
/// Rounds of all small inputs, and how much memory the server may take in those behind the first. It does take some:
/// the records of the access journal stand in memory, 20 bytes for each message, until RocksDB writes a table.
const ROUNDS: usize = 300;
const WARM_UP_ROUNDS: usize = 100;
/// The access journal's table in memory grows to 8 MiB before it is written, and the allocator moves in steps of some MiB:
/// 2,400 rounds show a level that goes up and down by as much. A leak of 500 bytes a message would show beyond it.
const GROWTH_KIB_MAX: u64 = 16 * 1024;

struct Case {
    name: String,
    input: Vec<u8>,
    status: Value,
    error: Value,
    answers: usize,
    alive: bool,
}

fn cases() -> Vec<Case> {
    let text = fs::read_to_string(data_file("hostile.jsonl")).unwrap();
    let cases: Vec<Case> = text.lines().skip(1).map(|line| case(&serde_json::from_str(line).unwrap())).collect();
    assert!(cases.len() >= 64, "the table has lost its cases");
    cases
}

fn case(line: &Value) -> Case {
    Case {
        name: line["name"].as_str().unwrap().to_owned(),
        input: line["input"].as_array().unwrap().iter().flat_map(part).collect(),
        status: line["status"].clone(),
        error: line["error"].clone(),
        answers: usize::try_from(line["answers"].as_u64().unwrap()).unwrap(),
        alive: line["alive"].as_bool().unwrap(),
    }
}

fn part(part: &Value) -> Vec<u8> {
    let bytes = match (part.as_str().or(part["text"].as_str()), part["hex"].as_str()) {
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(hex)) => {
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        }
        _ => panic!("a part of an input is a text or hex: {part}"),
    };
    bytes.repeat(usize::try_from(part["times"].as_u64().unwrap_or(1)).unwrap())
}

/// Sends the input, and a PING if the connection should live on; looks at all that comes back.
fn judge(client: &mut Client, case: &Case) {
    client.send(&case.input);
    client.send("\n{\"command\":\"PING\"}\n");
    let answers: Vec<Value> = (0..case.answers).map(|_| client.answer()).collect();
    let first = &answers[0];
    assert_eq!((&first["status"], &first["error"]), (&case.status, &case.error), "{}: {first}", case.name);
    for answer in &answers {
        assert_tells_nothing(answer);
    }
    if case.alive {
        assert_eq!(client.answer()["message"], "pong", "{}", case.name);
    } else {
        assert_eq!(client.drain().0, Vec::<Value>::new(), "{}", case.name);
    }
}

/// Texts for people repeat nothing of what was sent, and name nothing of the server's machine (`repsec:R17`).
fn assert_tells_nothing(answer: &Value) {
    let text = answer.to_string();
    assert!(text.len() < 2000, "a long answer: {text}");
    for inside in ["/src/", ".rs", "panicked", "/tmp", "RocksDB", "abcdefghij", "DROP", "<?xml"] {
        assert!(!text.contains(inside), "{text}");
    }
}

#[test]
fn the_table_of_hostile_inputs() {
    let cases = cases();
    each(&[1, 3], |setup| {
        let server = setup.start();
        let mut shared = server.client();
        for case in &cases {
            // One connection of its own for each, and one for all that leave it alive.
            judge(&mut server.client(), case);
            if case.alive && case.input.len() <= SMALL_BYTES {
                judge(&mut shared, case);
            }
        }
        // None of it changed anything.
        let last = shared.ask(r#"{"command":"REGISTER","entity":"first.example"}"#);
        assert_eq!(last["sequence"], 1);
    });
}

#[test]
fn hostile_inputs_leave_no_memory_behind() {
    let cases: Vec<Case> = cases().into_iter().filter(|case| case.input.len() <= SMALL_BYTES).collect();
    each(&[1], |setup| {
        let server = setup.start();
        let mut resident_kib = Vec::new();
        for _ in 0..ROUNDS {
            resident_kib.push(server.resident_kib());
            let mut client = server.client();
            let living = cases.iter().filter(|case| case.alive);
            let (mut stream, mut expected) = (Vec::new(), 0);
            for case in living {
                stream.extend_from_slice(&case.input);
                stream.extend_from_slice(b"\n{\"command\":\"PING\"}\n");
                expected += case.answers + 1;
            }
            client.send(stream);
            for _ in 0..expected {
                client.answer();
            }
            // The end of this connection is rude, and the others end the server's way.
            for case in cases.iter().filter(|case| !case.alive) {
                let mut client = server.client();
                client.send(&case.input);
                client.drain();
            }
        }
        // An allocator gives memory back when it likes, so the least of many moments is what is really held.
        let least = |rounds: &[u64]| rounds.iter().copied().min().unwrap();
        let (earlier, later) = resident_kib[WARM_UP_ROUNDS..].split_at((ROUNDS - WARM_UP_ROUNDS) / 2);
        let (before, after) = (least(earlier), least(later));
        println!("resident: {before} KiB, then {after} KiB");
        assert!(after < before + GROWTH_KIB_MAX, "{before} KiB grew to {after} KiB");
    });
}

#[test]
fn duplicate_commands_do_not_smuggle_a_remove() {
    each(&[1], |setup| {
        let server = setup.start();
        let mut client = server.client();
        client.ask(r#"{"command":"REGISTER","entity":"x"}"#);
        for line in [
            r#"{"command":"PING","command":"REMOVE","entity":"x"}"#,
            r#"{"command":"REMOVE","entity":"x","command":"PING"}"#,
            r#"{"command":"PING","comm\u0061nd":"REMOVE","entity":"x"}"#,
        ] {
            assert_eq!(outcome(&client.ask(line)), (400, "duplicate_member"));
        }
        assert_eq!(client.ask(r#"{"command":"VERIFY","entity":"x"}"#)["verified"], true);
    });
}

#[test]
fn a_message_that_does_not_end_in_time_ends_the_connection() {
    each(&[1], |setup| {
        let server = setup.clone().config("[limits]\nmessage_timeout_s = 1\n").start();
        // One byte now and then is no excuse: the time counts from the first byte of the message.
        let mut client = server.client();
        assert_eq!(client.ask(r#"{"command":"PING"}"#)["status"], 200);
        client.send("{");
        while client.lives_a_moment() {
            client.send(" ");
        }
        assert_ended_by_server(&mut client);
        // A peer in the middle of a record, or of the handshake, is no better.
        let mut silent = PlainPeer::connect(&server);
        silent.send(&[0x16, 3, 1, 0x40]);
        assert!(!silent.hear_all().starts_with(&[0x16]));
        assert_eq!(server.client().ask(r#"{"command":"PING"}"#)["status"], 200);
    });
}

#[test]
fn an_idle_connection_ends() {
    each(&[1], |setup| {
        let server = setup.clone().config("[limits]\nidle_timeout_s = 1\n").start();
        let mut client = server.client();
        let began = Instant::now();
        assert_eq!(client.ask(r#"{"command":"PING"}"#)["status"], 200);
        let (answers, end) = client.drain();
        assert_eq!((answers.len(), end), (0, End::CloseNotify));
        assert!(began.elapsed().as_millis() >= 1000, "it was not idle for long enough");
    });
}

/// The server answers the message that did not end, if it says anything, with 400, and ends the connection in order.
fn assert_ended_by_server(client: &mut Client) {
    let (answers, end) = client.drain();
    assert!(answers.iter().all(|answer| answer["status"] == 400), "{answers:?}");
    assert_eq!(end, End::CloseNotify);
}

#[test]
fn many_connections_that_say_nothing_keep_nobody_out() {
    const SILENT: usize = 500;
    each(&[1, 3], |setup| {
        let server = setup.start();
        let silent: Vec<PlainPeer> = (0..SILENT).map(|_| PlainPeer::connect(&server)).collect();
        assert_eq!(server.client().ask(r#"{"command":"PING"}"#)["status"], 200);
        drop(silent);
        assert_eq!(server.client().ask(r#"{"command":"PING"}"#)["status"], 200);
    });
}

#[test]
fn connections_beyond_the_bound_are_closed_and_cost_the_others_nothing() {
    const BOUND: usize = 3;
    each(&[1, 3], |setup| {
        let server = setup.clone().config(&format!("[limits]\nconnections_max = {BOUND}\n")).start();
        let ping = r#"{"command":"PING"}"#;
        let mut within: Vec<Client> = (0..BOUND).map(|_| server.client()).collect();
        for _ in 0..10 {
            assert!(PlainPeer::connect(&server).hear_all().is_empty());
        }
        for client in &mut within {
            assert_eq!(client.ask(ping)["status"], 200);
        }
        // Whoever leaves makes room.
        let mut leaving = within.pop().unwrap();
        leaving.finish();
        leaving.drain();
        assert_eq!(within[0].ask(ping)["status"], 200);
        while Client::connect_with(server.address(), &Trust::file(&server.home().authority())).is_err() {}
    });
}
