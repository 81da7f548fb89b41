//! The conversation that a peer who knows only the draft must be able to have (`spec/repsec.md`, section 7), word for
//! word.

use serde_json::Value;

use crate::harness::{Client, each, outcome};

/// The lines of the peer with the status that it expects, in order.
const TRANSCRIPT: [(&str, u64); 8] = [
    (r#"{ "command": "REGISTER", "entity": "example.com", "type": "domain" }"#, 200),
    (r#"{ "command": "REGISTER", "entity": "example.com", "type": "domain" }"#, 409),
    (r#"{ "command": "VERIFY", "entity": "example.com" }"#, 200),
    (r#"{ "command": "AUDIT", "entity": "example.com" }"#, 200),
    (r#"{ "command": "REMOVE", "entity": "example.com" }"#, 200),
    (r#"{ "command": "VERIFY", "entity": "example.com" }"#, 404),
    (r#"{ "command": "PING" }"#, 200),
    (r#"{ "entity": "example.com" }"#, 400),
];

#[test]
fn a_peer_that_knows_only_the_draft_is_understood() {
    each(&[1, 3], |setup| {
        let server = setup.start();
        let mut client = server.client();
        let answers: Vec<Value> = TRANSCRIPT.iter().map(|(line, _)| client.ask(line)).collect();
        judge(&answers);
    });
}

#[test]
fn the_draft_can_be_spoken_without_line_ends() {
    each(&[1], |setup| {
        let server = setup.start();
        let mut client = server.client();
        let speak = |client: &mut Client, line: &str| {
            client.send(line);
            client.answer()
        };
        let answers: Vec<Value> = TRANSCRIPT.iter().map(|(line, _)| speak(&mut client, line)).collect();
        judge(&answers);
    });
}

/// The client has looked at `status` and `message` of each answer; this looks at what belongs to the command.
fn judge(answers: &[Value]) {
    for (answer, (line, status)) in answers.iter().zip(TRANSCRIPT) {
        assert_eq!(answer["status"], status, "{line} {answer}");
    }
    let [registered, again, verified, audited, removed, gone, pong, nonsense] = answers else { panic!("{answers:?}") };
    assert_eq!(registered["message"], "Entity registered successfully");
    assert_eq!(registered["sequence"], 1);
    assert_eq!(outcome(again), (409, "already_registered"));
    assert_eq!(verified["verified"], true);
    assert_is_draft_time(&verified["last_updated"]);
    judge_history(audited);
    assert_eq!(removed["sequence"], 2);
    assert_eq!((outcome(gone), &gone["verified"]), ((404, "not_registered"), &Value::Bool(false)));
    assert!(pong.get("verified").is_none());
    assert_eq!(outcome(nonsense), (400, "missing_member"));
}

fn judge_history(audited: &Value) {
    assert_eq!(audited["entity"], "example.com");
    assert!(audited.get("next").is_none(), "one event needs no second page: {audited}");
    let [event] = audited["events"].as_array().unwrap().as_slice() else { panic!("{audited}") };
    assert_eq!((&event["sequence"], &event["event"]), (&1.into(), &"registered".into()));
    assert_eq!(event["actor"], "anonymous");
    assert_eq!(event["detail"]["type"], "domain");
    let time = event["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.contains('T'), "{time}");
}

/// `2025-09-02T10:00:00Z`: RFC 3339, UTC, whole seconds.
fn assert_is_draft_time(value: &Value) {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00Z", "{text}");
}
