//! Commands take effect in the order in which they were sent, and every question sees what was before it (P2): on one
//! connection however many are in flight, and on any connection what was answered before.

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Client, Dice, each};

const NAMES: usize = 12;
const COMMANDS: usize = 4000;

/// What a server must know of one name.
#[derive(Clone, Default)]
struct Known {
    registered: bool,
    attributes: u64,
    events: usize,
}

/// What is known of a name that was registered with this value.
fn attributes(value: u64) -> Value {
    json!({"n": value, "note": "the same for all"})
}

/// A server in a few lines, to compare the real one with.
#[derive(Default)]
struct Model {
    names: [Known; NAMES],
}

impl Model {
    /// A command of any kind, and what must be in its answer.
    fn command(&mut self, dice: &mut Dice) -> (Value, Value) {
        let name = usize::try_from(dice.between(0, NAMES as u64 - 1)).unwrap();
        let entity = format!("name{name}.example");
        let known = &mut self.names[name];
        match dice.between(0, 9) {
            0..=2 => {
                let value = dice.between(1, 3);
                let status = if known.registered { 409 } else { 200 };
                if !known.registered {
                    *known = Known { registered: true, attributes: value, events: known.events + 1 };
                }
                let attributes = attributes(value);
                (json!({"command": "REGISTER", "entity": entity, "attributes": attributes}), json!({"status": status}))
            }
            3..=4 => {
                let status = if known.registered { 200 } else { 404 };
                if known.registered {
                    *known = Known { registered: false, attributes: 0, events: known.events + 1 };
                }
                (json!({"command": "REMOVE", "entity": entity}), json!({"status": status}))
            }
            5..=6 => {
                let claim = dice.between(1, 3);
                let expected = match known.registered {
                    true => json!({"status": 200, "verified": claim == known.attributes}),
                    false => json!({"status": 404, "verified": false}),
                };
                // Exactly what may be registered, which memory knows; and a part of it, which only the log does.
                let claimed = if dice.between(0, 1) == 0 { attributes(claim) } else { json!({"n": claim}) };
                (json!({"command": "VERIFY", "entity": entity, "attributes": claimed}), expected)
            }
            7 => {
                let expected = match known.events {
                    0 => json!({"status": 404}),
                    count => json!({"status": 200, "count": count}),
                };
                (json!({"command": "AUDIT", "entity": entity, "limit": 1000}), expected)
            }
            8 => {
                let names: Vec<String> = (0..NAMES).map(|name| format!("name{name}.example")).collect();
                let verified: Vec<bool> = self.names.iter().map(|known| known.registered).collect();
                (json!({"command": "VERIFY", "entities": names}), json!({"status": 200, "each": verified}))
            }
            _ => (json!({"command": "PING"}), json!({"status": 200})),
        }
    }
}

/// What of an answer the model knows.
fn judged(answer: &Value, expected: &Value) -> Value {
    let mut found = json!({"status": answer["status"]});
    if expected.get("verified").is_some() {
        found["verified"] = answer["verified"].clone();
    }
    if expected.get("count").is_some() {
        found["count"] = json!(answer["events"].as_array().unwrap().len());
    }
    if expected.get("each").is_some() {
        let results = answer["results"].as_array().unwrap();
        found["each"] = results.iter().map(|result| result["verified"].clone()).collect();
    }
    found
}

/// More claims in flight than may be open at once, of those that memory decides and of those that the log does, with
/// changes in between: each answer is about what was before it, and none is lost.
#[test]
fn many_claims_in_flight_are_answered_in_order() {
    each(&[1, 3], |setup| {
        let server = setup.start();
        let mut client = server.client();
        let (mut commands, mut expected) = (Vec::new(), Vec::new());
        let empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        for round in 0..40 {
            for name in 0..4 {
                let entity = format!("claimed{name}.example");
                let mut ask = |members: Value, answer: Value| {
                    let mut question = members;
                    question["entity"] = json!(entity);
                    commands.push(question);
                    expected.push(answer);
                };
                ask(json!({"command": "REGISTER", "attributes": attributes(round)}), json!({"status": 200}));
                for (claim, holds) in [
                    (json!({"attributes": attributes(round)}), true),
                    (json!({"attributes": {"n": round}}), true),
                    (json!({"attributes": {"note": "the same for all"}}), true),
                    (json!({"attributes": {"n": round + 1}}), false),
                    (json!({"attributes": {}}), true),
                    (json!({"digest": empty}), false),
                    (json!({}), true),
                ] {
                    let mut question = claim;
                    question["command"] = json!("VERIFY");
                    ask(question, json!({"status": 200, "verified": holds}));
                }
                ask(json!({"command": "REMOVE"}), json!({"status": 200}));
            }
        }
        let answers = client.ask_all(&commands);
        for ((command, answer), expected) in commands.iter().zip(&answers).zip(&expected) {
            assert_eq!(judged(answer, expected), *expected, "{command}: {answer}");
        }
    });
}

#[test]
fn commands_in_flight_together_have_the_effect_of_commands_one_by_one() {
    each(&[1, 3], |setup| {
        let mut dice = Dice::new();
        let server = setup.start();
        let mut client = server.client();
        let mut model = Model::default();
        let (commands, expected): (Vec<Value>, Vec<Value>) = (0..COMMANDS).map(|_| model.command(&mut dice)).unzip();
        let answers = client.ask_all(&commands);
        for (at, ((command, answer), expected)) in commands.iter().zip(&answers).zip(&expected).enumerate() {
            assert_eq!(judged(answer, expected), *expected, "command {at}: {command}: {answer}");
        }
        let sequences: Vec<u64> = answers.iter().filter_map(|answer| answer["sequence"].as_u64()).collect();
        assert_eq!(sequences, (1..=sequences.len() as u64).collect::<Vec<u64>>());
    });
}

#[test]
fn what_was_answered_is_seen_on_every_connection() {
    const ROUNDS: usize = 150;
    const READERS: usize = 3;
    each(&[1, 3], |setup| {
        let server = setup.start();
        let (before, after) = (Barrier::new(READERS + 1), Barrier::new(READERS + 1));
        thread::scope(|scope| {
            for _ in 0..READERS {
                scope.spawn(|| {
                    let mut client = server.client();
                    for round in 0..ROUNDS {
                        before.wait();
                        let registered = round.is_multiple_of(2);
                        let one = client.ask(json!({"command": "VERIFY", "entity": "a.example"}));
                        assert_eq!(one["verified"], registered, "round {round}: {one}");
                        let history = client.ask(json!({"command": "AUDIT", "entity": "a.example", "limit": 1000}));
                        assert_eq!(history["events"].as_array().unwrap().len(), round + 1);
                        after.wait();
                    }
                });
            }
            let mut writer: Client = server.client();
            for round in 0..ROUNDS {
                let command = if round.is_multiple_of(2) { "REGISTER" } else { "REMOVE" };
                assert_eq!(writer.ask(json!({"command": command, "entity": "a.example"}))["status"], 200);
                before.wait();
                after.wait();
            }
        });
    });
}

#[test]
fn of_rivals_for_one_name_one_wins() {
    const RIVALS: usize = 6;
    const NAMES: usize = 100;
    each(&[1, 3], |setup| {
        let server = setup.start();
        let mut rivals: Vec<Client> = (0..RIVALS).map(|_| server.client()).collect();
        let register = |at: usize| json!({"command": "REGISTER", "entity": format!("h{at}.example")});
        let text: String = (0..NAMES).map(|at| format!("{}\n", register(at))).collect();
        for rival in &mut rivals {
            rival.send(&text);
        }
        let mut winners = [0; NAMES];
        for rival in &mut rivals {
            for winner in &mut winners {
                let answer = rival.answer();
                match answer["status"].as_u64() {
                    Some(200) => *winner += 1,
                    _ => assert_eq!(answer["error"], "already_registered"),
                }
            }
        }
        assert_eq!(winners, [1; NAMES]);
    });
}
