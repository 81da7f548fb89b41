//! A retry is not a second effect, and a replay has none (P8, `repsec:R14`, `O5`).

use serde_json::{Value, json};

use crate::harness::{Client, Home, Server, Setup, each, nonce, now_s, outcome, with_once};

/// A server that demands `ts` and `nonce`, with the certificate that an earlier start with `--dev` made.
fn strict(setup: &Setup) -> Server {
    let home = Home::new();
    setup.start_in(&home).terminate();
    setup.clone().strict(&home).start_in(&home)
}

fn register(entity: &str) -> Value {
    json!({"command": "REGISTER", "entity": entity})
}

/// Asks a changing command that must take effect, and gives its answer.
fn change(client: &mut Client, command: &Value) -> Value {
    let answer = client.ask(command);
    assert_eq!(answer["status"], 200, "{answer}");
    assert!(answer.get("replayed").is_none(), "{answer}");
    answer
}

/// Asks a command again, and expects the first answer.
fn repeat(client: &mut Client, command: &Value, first: &Value) {
    let mut expected = first.clone();
    expected["replayed"] = json!(true);
    assert_eq!(client.ask(command), expected);
}

#[test]
fn a_retry_gets_the_first_answer_wherever_and_whenever_it_comes() {
    each(&[1, 3], |setup| {
        let mut server = strict(setup);
        let (registered, removed) = {
            let client = &mut server.client();
            let (born, died) =
                (with_once(register("a.example")), with_once(json!({"command": "REMOVE", "entity": "a.example"})));
            let first = change(client, &born);
            repeat(client, &born, &first);
            // A repetition is recognized before the state is looked at: the entity has gone since.
            let second = change(client, &died);
            repeat(client, &born, &first);
            repeat(client, &died, &second);
            ((born, first), (died, second))
        };
        let all_repeat = |server: &Server| {
            let client = &mut server.client();
            repeat(client, &registered.0, &registered.1);
            repeat(client, &removed.0, &removed.1);
        };
        all_repeat(&server);
        server.kill();
        server.start_again();
        all_repeat(&server);
        // Another number of shards is no other store.
        server.terminate();
        server.start_again_as(&setup.clone().shards(2).strict(server.home()));
        all_repeat(&server);
        let history = server.client().ask(json!({"command": "AUDIT", "entity": "a.example"}));
        assert_eq!(history["events"].as_array().unwrap().len(), 2, "a retry had an effect: {history}");
    });
}

#[test]
fn retries_in_flight_together_have_one_effect() {
    each(&[1, 3], |setup| {
        let server = strict(setup);
        let command = with_once(register("a.example"));
        let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
        for client in &mut clients {
            client.send(format!("{command}\n{command}\n"));
        }
        let mut answers: Vec<Value> =
            clients.iter_mut().flat_map(|client| [client.answer(), client.answer()]).collect();
        let firsts = answers.iter().filter(|answer| answer.get("replayed").is_none()).count();
        assert_eq!(firsts, 1, "{answers:?}");
        answers.iter_mut().for_each(|answer| drop(answer.as_object_mut().unwrap().remove("replayed")));
        assert!(answers.iter().all(|answer| *answer == answers[0] && answer["sequence"] == 1), "{answers:?}");
    });
}

#[test]
fn a_nonce_belongs_to_one_command() {
    each(&[1, 3], |setup| {
        let mut server = strict(setup);
        let first = with_once(register("a.example"));
        change(&mut server.client(), &first);
        let others = [
            json!({"command": "REGISTER", "entity": "b.example"}),
            json!({"command": "REMOVE", "entity": "a.example"}),
            json!({"command": "REGISTER", "entity": "a.example", "attributes": {"n": 1}}),
        ];
        let all_refused = |server: &Server| {
            let mut client = server.client();
            for other in &others {
                let mut command = other.clone();
                (command["ts"], command["nonce"]) = (first["ts"].clone(), first["nonce"].clone());
                assert_eq!(outcome(&client.ask(&command)), (409, "nonce_reused"), "{command}");
            }
        };
        all_refused(&server);
        server.kill();
        server.start_again();
        all_refused(&server);
        assert_eq!(server.client().ask(json!({"command": "VERIFY", "entity": "b.example"}))["status"], 404);
    });
}

#[test]
fn the_same_command_in_other_words_is_a_retry() {
    each(&[1], |setup| {
        let server = strict(setup);
        let mut client = server.client();
        let mut first =
            with_once(json!({"command": "REGISTER", "entity": "a.example", "attributes": {"n": 1, "m": 2}}));
        let answer = change(&mut client, &first);
        first["entity"] = json!("A.Example.");
        first["attributes"] = json!({"m": 2.0, "n": 1});
        first["unknown"] = json!("member");
        repeat(&mut client, &first, &answer);
    });
}

#[test]
fn a_time_outside_of_the_window_is_refused() {
    each(&[1], |setup| {
        let server = strict(setup);
        let mut client = server.client();
        for (ts, status) in [
            (now_s() - 400, 401),
            (now_s() + 400, 401),
            (0, 401),
            (9_007_199_254_740_991, 401),
            (now_s() - 200, 200),
            (now_s() + 200, 200),
        ] {
            let command =
                json!({"command": "REGISTER", "entity": format!("t{ts}.example"), "ts": ts, "nonce": nonce()});
            let answer = client.ask(command);
            assert_eq!(answer["status"], status, "{ts}: {answer}");
            if status == 401 {
                assert_eq!(answer["error"], "stale_timestamp");
            }
        }
    });
}

#[test]
fn the_pair_is_demanded_outside_of_development_only() {
    each(&[1], |setup| {
        let server = strict(setup);
        let mut client = server.client();
        for command in [register("a.example"), json!({"command": "REMOVE", "entity": "a.example"})] {
            assert_eq!(outcome(&client.ask(&command)), (400, "missing_member"), "{command}");
            let mut half = command.clone();
            half["ts"] = json!(now_s());
            assert_eq!(outcome(&client.ask(&half)), (400, "missing_member"), "{half}");
            half = command;
            half["nonce"] = json!(nonce());
            assert_eq!(outcome(&client.ask(&half)), (400, "missing_member"), "{half}");
        }
        for command in
            [json!({"command": "VERIFY", "entity": "a.example"}), json!({"command": "AUDIT", "entity": "a.example"})]
        {
            assert_eq!(client.ask(command)["status"], 404, "questions need no nonce");
        }
        change(&mut client, &with_once(register("a.example")));
        // In development the pair is optional, and holds where it is given.
        let server = setup.start();
        let mut client = server.client();
        change(&mut client, &register("a.example"));
        let command = with_once(register("b.example"));
        let first = change(&mut client, &command);
        repeat(&mut client, &command, &first);
    });
}

#[test]
fn a_refused_command_leaves_its_nonce_free() {
    each(&[1, 3], |setup| {
        let server = strict(setup);
        let mut client = server.client();
        let mut command = with_once(json!({"command": "REMOVE", "entity": "a.example"}));
        assert_eq!(outcome(&client.ask(&command)), (404, "unknown_entity"));
        assert_eq!(outcome(&client.ask(&command)), (404, "unknown_entity"));
        command["command"] = json!("REGISTER");
        command["entity"] = json!("bad..name");
        assert_eq!(outcome(&client.ask(&command)), (400, "invalid_entity"));
        command["entity"] = json!("a.example");
        change(&mut client, &command);
    });
}

#[test]
fn many_nonces_are_all_remembered() {
    const NONCES: usize = 3000;
    each(&[1, 3], |setup| {
        // A snapshot is taken in between, so that some come back from it and some from the tail behind it.
        let mut server = strict(&setup.clone().config("[log]\nsnapshot_events = 1000\n"));
        let commands: Vec<Value> = (0..NONCES).map(|at| with_once(register(&format!("h{at}.example")))).collect();
        let mut first = server.client().ask_all(&commands[..NONCES / 2]);
        server.await_snapshot();
        first.extend(server.client().ask_all(&commands[NONCES / 2..]));
        let expected: Vec<Value> = first
            .into_iter()
            .map(|mut answer| {
                answer["replayed"] = json!(true);
                answer
            })
            .collect();
        assert_eq!(server.client().ask_all(&commands), expected);
        server.kill();
        server.start_again();
        assert_eq!(server.client().ask_all(&commands), expected);
    });
}
