//! The pages of AUDIT: whatever way they are turned, every event is on exactly one of them (`repsec:O10`).

use std::thread;

use serde_json::{Map, Value, json};

use crate::harness::{Client, each, outcome};

const ENTITY: &str = "busy.example";

/// Registers and removes the entity in turn.
fn live(client: &mut Client, events: usize) {
    let change =
        |at: usize| json!({"command": if at.is_multiple_of(2) { "REGISTER" } else { "REMOVE" }, "entity": ENTITY});
    for answer in client.ask_all((0..events).map(change)) {
        assert_eq!(answer["status"], 200, "{answer}");
    }
}

/// Turns all pages and gives their events.
fn turn(client: &mut Client, members: Value, limit: usize) -> Vec<Value> {
    let mut question: Map<String, Value> = members.as_object().unwrap().clone();
    question.extend([("command".to_owned(), json!("AUDIT")), ("entity".to_owned(), json!(ENTITY))]);
    question.insert("limit".to_owned(), json!(limit));
    let mut events = Vec::new();
    loop {
        let page = client.ask(Value::Object(question.clone()));
        assert_eq!((page["status"].as_u64(), &page["entity"]), (Some(200), &json!(ENTITY)), "{page}");
        let found = page["events"].as_array().unwrap();
        events.extend(found.iter().cloned());
        match page.get("next") {
            None => return events,
            Some(next) => {
                assert_eq!(found.len(), limit, "only the last page may be short");
                question.insert("cursor".to_owned(), next.clone());
            }
        }
    }
}

fn sequences(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
}

#[test]
fn pages_of_any_size_in_either_order_hold_every_event_once() {
    each(&[1, 3], |setup| {
        let server = setup.start();
        let mut client = server.client();
        live(&mut client, 25);
        let whole = turn(&mut client, json!({}), 1000);
        assert_eq!(sequences(&whole), (1..=25).collect::<Vec<u64>>());
        let reversed: Vec<Value> = whole.iter().rev().cloned().collect();
        for limit in [1, 2, 7, 24, 25, 26] {
            assert_eq!(turn(&mut client, json!({}), limit), whole, "{limit}");
            assert_eq!(turn(&mut client, json!({"order": "asc"}), limit), whole, "{limit}");
            assert_eq!(turn(&mut client, json!({"order": "desc"}), limit), reversed, "{limit}");
        }
        // Without a limit a page has 100 events.
        live(&mut client, 0);
        let unlimited = client.ask(json!({"command": "AUDIT", "entity": ENTITY}));
        assert_eq!(unlimited["events"].as_array().unwrap().len(), 25);
    });
}

#[test]
fn a_span_of_time_holds_what_happened_in_it() {
    each(&[1], |setup| {
        let server = setup.start();
        let mut client = server.client();
        for _ in 0..6 {
            // One round trip each, so that their times are not all the same.
            live(&mut client, 2);
        }
        let whole = turn(&mut client, json!({}), 1000);
        // Milliseconds in one format and one zone compare as text.
        let time = |event: &Value| {
            let text = event["time"].as_str().unwrap().trim_end_matches('Z').to_owned();
            if text.contains('.') { text } else { text + ".000" }
        };
        for at in [0, 3, 5, 11] {
            let moment = whole[at]["time"].clone();
            let bound = time(&whole[at]);
            let since: Vec<Value> = whole.iter().filter(|event| time(event) >= bound).cloned().collect();
            let until: Vec<Value> = whole.iter().filter(|event| time(event) <= bound).cloned().collect();
            for limit in [1, 3, 1000] {
                assert_eq!(turn(&mut client, json!({"since": moment}), limit), since);
                assert_eq!(turn(&mut client, json!({"until": moment}), limit), until);
                let both = turn(&mut client, json!({"since": moment, "until": moment, "order": "desc"}), limit);
                assert!(both.iter().all(|event| time(event) == bound) && !both.is_empty());
            }
        }
        assert_eq!(turn(&mut client, json!({"since": "9998-01-01T00:00:00+02:00"}), 10), Vec::<Value>::new());
        assert_eq!(turn(&mut client, json!({"until": "1970-01-01T00:00:00Z"}), 10), Vec::<Value>::new());
    });
}

#[test]
fn a_cursor_is_good_for_its_own_entity_and_order_only() {
    each(&[1], |setup| {
        let server = setup.start();
        let mut client = server.client();
        live(&mut client, 4);
        client.ask(json!({"command": "REGISTER", "entity": "other.example"}));
        let page = client.ask(json!({"command": "AUDIT", "entity": ENTITY, "limit": 2}));
        let cursor = page["next"].as_str().unwrap();
        for (members, expected) in [
            (json!({"entity": ENTITY, "cursor": cursor}), (200, "")),
            (json!({"entity": "BUSY.example.", "cursor": cursor}), (200, "")),
            (json!({"entity": ENTITY, "cursor": cursor, "order": "asc"}), (200, "")),
            (json!({"entity": ENTITY, "cursor": cursor, "order": "desc"}), (400, "invalid_cursor")),
            (json!({"entity": "other.example", "cursor": cursor}), (400, "invalid_cursor")),
            (json!({"entity": ENTITY, "cursor": format!("{cursor}A")}), (400, "invalid_cursor")),
            (json!({"entity": ENTITY, "cursor": cursor.to_lowercase()}), (400, "invalid_cursor")),
        ] {
            let mut question = members.clone();
            question["command"] = json!("AUDIT");
            assert_eq!(outcome(&client.ask(question)), expected, "{members}");
        }
    });
}

#[test]
fn pages_neither_skip_nor_repeat_while_events_are_added() {
    const EVENTS: usize = 600;
    each(&[1, 3], |setup| {
        let server = setup.start();
        let mut reader = server.client();
        live(&mut reader, 2);
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut client = server.client();
                for _ in 0..EVENTS / 20 {
                    live(&mut client, 20);
                }
            });
            let mut seen_before = 0;
            while !writer.is_finished() {
                let seen = sequences(&turn(&mut reader, json!({}), 7));
                assert_eq!(seen, (1..=seen.len() as u64).collect::<Vec<u64>>(), "a gap or a repetition");
                assert!(seen.len() >= seen_before, "an event is gone");
                seen_before = seen.len();
                let newest_first = sequences(&turn(&mut reader, json!({"order": "desc"}), 7));
                let count = newest_first.len() as u64;
                assert_eq!(newest_first, (1..=count).rev().collect::<Vec<u64>>());
            }
        });
        assert_eq!(turn(&mut reader, json!({}), 1000).len(), EVENTS + 2);
    });
}
