//! Right answers as the server writes them are accepted the quick way, and in any other spelling the thorough way; wrong
//! ones in no way.

use repsec::domain::{Change, Event, HistoryPage, Order, Outcome, Refusal, Verified};
use repsec::faces::repsec::answer::{Answer, Asked, write, write_outcome};
use repsec::faces::repsec::bulk::NameResult;
use repsec::faces::repsec::id::Id;
use repsec::faces::repsec::message::CommandKind;
use repsec::faces::repsec::{Limits, Settings};
use repsec::types::{Attributes, Entity, HashKey, Kind, Principal, Sequence, Timestamp};
use repsec::wire::json::Number;

use super::*;
use crate::plan::{Plan, Target};

const NOON: Timestamp = Timestamp::from_unix_ms(1_756_807_200_120);

struct Bench {
    entities: Entities,
    bulk: BulkNames,
}

fn bench() -> Bench {
    let mut plan = Plan::new(Target::RepSec, "127.0.0.1:1".parse().unwrap(), "ca.pem");
    (plan.names_per_message, plan.entities, plan.bulk_hits_percent) = (6, 2, 50);
    let entities = Entities::new(["example.com", "example.org"].into_iter(), ["192.0.2.1"].into_iter()).unwrap();
    Bench { entities, bulk: BulkNames::new(&plan) }
}

/// What the server answers to a command, written by the server's own code.
fn served(kind: CommandKind, id: Option<u64>, answer: &Answer) -> Vec<u8> {
    let settings = Settings::new(Limits::default(), false, HashKey::new([7; 16]), &[1; 16]);
    let mut out = Vec::new();
    write(&mut out, &asked(kind, id), answer, &settings);
    out
}

/// The same of what came of a command.
fn told(kind: CommandKind, id: Option<u64>, outcome: &Outcome) -> Vec<u8> {
    let mut out = Vec::new();
    write_outcome(&mut out, &asked(kind, id), outcome);
    out
}

fn asked(command: CommandKind, id: Option<u64>) -> Asked {
    Asked { id: id.map(|id| Id::Number(Number::Unsigned(id))), command, order: Order::Ascending }
}

fn entity(bench: &Bench, number: u64) -> Entity {
    Entity::parse(&bench.entities.text(Name::Entity(number))).unwrap()
}

/// Commands with what the server says to them when all is well.
fn right(bench: &Bench, id: Option<u64>) -> Vec<(Command, Vec<u8>)> {
    let outcome = |kind, outcome| told(kind, id, &outcome);
    let verified = |kind| Outcome::Verified(Verified { verified: true, kind, last_updated: NOON });
    let sequence = Sequence::new(12);
    let changed = |number| (entity(bench, number), sequence);
    let (new, _) = changed(1000);
    let registered = Outcome::Registered { entity: new, sequence, time: NOON, replayed: false };
    let (old, _) = changed(1);
    let removed = Outcome::Removed { entity: old, sequence, time: NOON, replayed: false };
    let event = Event {
        sequence,
        time: NOON,
        entity: entity(bench, 0),
        principal: Principal::Anonymous,
        once: None,
        change: Change::Registered { attributes: Attributes::default() },
    };
    let page = HistoryPage { entity: entity(bench, 0), events: vec![event], next: None };
    let names: Vec<NameResult> = bench
        .bulk
        .hits(5)
        .map(|hit| {
            if hit { NameResult::Registered { verified: true, last_updated: NOON } } else { NameResult::NotRegistered }
        })
        .collect();
    vec![
        (Command::Verify(Name::Entity(0)), outcome(CommandKind::Verify, verified(Kind::Domain))),
        (Command::Verify(Name::Entity(2)), outcome(CommandKind::Verify, verified(Kind::Ip))),
        (Command::Verify(Name::Absent(3)), outcome(CommandKind::Verify, Outcome::Refused(Refusal::NotRegistered))),
        (Command::Register(1000), outcome(CommandKind::Register, registered)),
        (Command::Remove(1), outcome(CommandKind::Remove, removed)),
        (Command::Audit(0), outcome(CommandKind::Audit, Outcome::Audited(Box::new(page)))),
        (Command::Ping, served(CommandKind::Ping, id, &Answer::Pong(NOON))),
        (Command::Bulk { seed: 5 }, served(CommandKind::VerifyMany, id, &Answer::Names(names))),
    ]
}

fn judge(bench: &Bench, command: Command, id: Option<u64>, answer: &[u8]) -> Result<Right, String> {
    check(&bench.entities, &bench.bulk, command, id, answer, &mut Vec::new())
}

#[test]
fn what_the_server_writes_is_right() {
    let bench = bench();
    for id in [None, Some(0), Some(1_234_567)] {
        for (command, answer) in right(&bench, id) {
            let judged = judge(&bench, command, id, &answer);
            let changes = matches!(command, Command::Register(_) | Command::Remove(_));
            let told = if command == Command::Verify(Name::Absent(3)) { Told::NotFound } else { Told::Ok };
            assert_eq!(judged, Ok(Right { told, sequence: changes.then_some(12) }), "{command:?}");
        }
    }
}

/// The quick way would be of no use if it did not know the server's own form. If this fails, the server writes an answer
/// in another way now, and the constants must follow.
#[test]
fn the_quick_way_knows_the_servers_form() {
    let bench = bench();
    for id in [None, Some(42)] {
        for (command, answer) in right(&bench, id) {
            let line = answer.strip_suffix(b"\n").unwrap();
            let quick = quickly(&bench.entities, &bench.bulk, command, id, line, &mut Vec::new());
            let thorough = thoroughly(&bench.entities, &bench.bulk, command, id, line);
            if matches!(command, Command::Audit(_)) {
                assert_eq!(quick, None);
            } else {
                assert_eq!(quick, thorough.ok(), "{command:?}: {}", line.escape_ascii());
                assert!(quick.is_some(), "{command:?}: {}", line.escape_ascii());
            }
        }
    }
}

#[test]
fn another_spelling_is_right_too() {
    let bench = bench();
    for (command, answer) in right(&bench, Some(9)) {
        let value: Value = serde_json::from_slice(&answer).unwrap();
        // Sorted members, and white space.
        let respelled = serde_json::to_string_pretty(&value).unwrap().replace('\n', "\r") + "\n";
        assert_eq!(
            judge(&bench, command, Some(9), respelled.as_bytes()),
            judge(&bench, command, Some(9), &answer),
            "{command:?}"
        );
    }
}

#[test]
fn the_answer_to_another_command_is_wrong() {
    let bench = bench();
    let all = right(&bench, None);
    for (command, _) in &all {
        for (other, answer) in &all {
            // PING is answered by nothing but its status, which others have as well.
            if command == other || *command == Command::Ping {
                continue;
            }
            assert!(judge(&bench, *command, None, answer).is_err(), "{other:?} as an answer to {command:?}");
        }
    }
}

#[test]
fn another_id_or_none_is_wrong() {
    let bench = bench();
    for (command, answer) in right(&bench, Some(7)) {
        for (id, is_right) in [(None, true), (Some(7), true), (Some(8), false), (Some(70), false)] {
            assert_eq!(judge(&bench, command, id, &answer).is_ok(), is_right, "{command:?} {id:?}");
        }
    }
    for (command, answer) in right(&bench, None) {
        assert!(judge(&bench, command, Some(7), &answer).is_err(), "{command:?}");
    }
}

#[test]
fn a_change_inside_of_an_answer_is_wrong() {
    let bench = bench();
    let hit = Command::Verify(Name::Entity(0));
    let miss = Command::Verify(Name::Absent(3));
    for (command, from, to) in [
        (hit, "\"status\":200", "\"status\":404"),
        (hit, "true", "false"),
        (hit, "domain", "ip"),
        (hit, "}\n", "\n"),
        (hit, "}\n", "}}\n"),
        (hit, "{", "["),
        (miss, "404", "200"),
        (miss, "404", "500"),
        (miss, "false", "true"),
        (Command::Register(1000), "example", "exampla"),
        (Command::Register(1000), ",\"sequence\":12", ""),
        (Command::Register(1000), "12}", "12,\"replayed\":true}"),
        (Command::Register(1000), "200", "409"),
        (Command::Remove(1), "example.org", "example.com"),
        (Command::Remove(1), "12", "\"12\""),
        (Command::Audit(0), "example.com", "example.org"),
        (Command::Audit(0), "\"event\":\"registered\"", "\"event\":\"removed\""),
        (Command::Audit(0), "\"sequence\":12", "\"sequence\":0"),
        (Command::Ping, "200", "500"),
        (Command::Bulk { seed: 5 }, "{\"status\":404,\"verified\":false}", "{\"status\":200,\"verified\":true}"),
        (Command::Bulk { seed: 5 }, "]", ",{}]"),
        (Command::Bulk { seed: 5 }, "[{\"status", "[{},{\"status"),
        (Command::Bulk { seed: 5 }, "Entities looked up\",\"results\"", "Entities looked up\",\"result\""),
    ] {
        let (_, answer) = right(&bench, None).into_iter().find(|(other, _)| *other == command).unwrap();
        let text = String::from_utf8(answer).unwrap();
        let changed = text.replacen(from, to, 1);
        assert_ne!(text, changed, "{from} stands in {text}");
        assert!(judge(&bench, command, None, changed.as_bytes()).is_err(), "{command:?}: {changed}");
    }
}

#[test]
fn a_short_bulk_answer_is_wrong() {
    let bench = bench();
    let (command, answer) = right(&bench, None).pop().unwrap();
    let mut value: Value = serde_json::from_slice(&answer).unwrap();
    value["results"].as_array_mut().unwrap().pop();
    let why = judge(&bench, command, None, &serde_json::to_vec(&value).unwrap()).unwrap_err();
    assert_eq!(why, "results ends before place 5");
}
