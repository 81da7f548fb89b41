//! The life of an entity as a peer sees it: registered, verified, removed, and what AUDIT tells of it afterwards
//! (`repsec:O7` to `O10`, and the profile's bulk, digest and as-of lookups).

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::harness::{Client, each, outcome};

/// Asks, and gives what matters of the answer.
fn told(client: &mut Client, command: &str, entity: &str) -> (u64, String) {
    let answer = client.ask(json!({"command": command, "entity": entity}));
    let (status, error) = outcome(&answer);
    (status, error.to_owned())
}

fn refused(status: u64, error: &str) -> (u64, String) {
    (status, error.to_owned())
}

#[test]
fn an_entity_may_live_more_than_once() {
    each(&[1, 3], |setup| {
        let server = setup.start();
        let client = &mut server.client();
        assert_eq!(told(client, "VERIFY", "a.example"), refused(404, "not_registered"));
        assert_eq!(told(client, "REMOVE", "a.example"), refused(404, "unknown_entity"));
        assert_eq!(told(client, "AUDIT", "a.example"), refused(404, "unknown_entity"));
        for life in 1..=2 {
            assert_eq!(told(client, "REGISTER", "a.example").0, 200, "life {life}");
            assert_eq!(told(client, "REGISTER", "a.example"), refused(409, "already_registered"));
            assert_eq!(told(client, "VERIFY", "a.example").0, 200);
            assert_eq!(told(client, "REMOVE", "a.example").0, 200);
            assert_eq!(told(client, "REMOVE", "a.example"), refused(404, "not_registered"));
            assert_eq!(told(client, "VERIFY", "a.example"), refused(404, "not_registered"));
        }
        let answer = client.ask(json!({"command": "AUDIT", "entity": "a.example"}));
        let events = answer["events"].as_array().unwrap();
        let told: Vec<(u64, &str)> = events
            .iter()
            .map(|event| (event["sequence"].as_u64().unwrap(), event["event"].as_str().unwrap()))
            .collect();
        assert_eq!(told, [(1, "registered"), (2, "removed"), (3, "registered"), (4, "removed")]);
    });
}

#[test]
fn all_spellings_of_a_name_are_one_entity() {
    let families: [&[&str]; 9] = [
        &["example.com", "EXAMPLE.com", "Example.Com.", "example.com."],
        &["xn--bcher-kva.example", "b\u{fc}cher.example", "bu\u{308}cher.example", "B\u{dc}CHER.EXAMPLE."],
        &["192.0.2.1", "::ffff:192.0.2.1", "::FFFF:c000:201"],
        &["2001:db8::1", "2001:0DB8:0:0:0:0:0:1"],
        &["192.0.2.0/24", "::ffff:192.0.2.0/120"],
        &["AS64500", "as64500", "As00064500"],
        &["postmaster@example.com", "postmaster@EXAMPLE.com", "postmaster@example.com."],
        &["https://example.com/", "HTTPS://EXAMPLE.com:443/", "https://example.com/a/.."],
        &["Am\u{e9}lie", "Ame\u{301}lie"],
    ];
    each(&[1, 3], |setup| {
        let server = setup.start();
        let client = &mut server.client();
        for family in &families {
            for spelling in *family {
                // Registered in one spelling, and met in each of the others.
                let registered = client.ask(json!({"command": "REGISTER", "entity": spelling}));
                assert_eq!(
                    (registered["status"].as_u64(), registered["entity"].as_str()),
                    (Some(200), Some(family[0]))
                );
                for other in *family {
                    assert_eq!(told(client, "VERIFY", other).0, 200, "{spelling} {other}");
                    assert_eq!(told(client, "REGISTER", other), refused(409, "already_registered"));
                    let answer = client.ask(json!({"command": "AUDIT", "entity": other}));
                    assert_eq!(answer["entity"], family[0]);
                }
                assert_eq!(told(client, "REMOVE", family[0]).0, 200);
            }
        }
    });
}

#[test]
fn a_type_may_be_left_out_but_not_contradict() {
    each(&[1], |setup| {
        let server = setup.start();
        let client = &mut server.client();
        let register = |client: &mut Client, entity: &str, kind: &str| {
            client.ask(json!({"command": "REGISTER", "entity": entity, "type": kind}))
        };
        for (entity, kind, inferred) in [
            ("a.example", "domain", "domain"),
            ("192.0.2.7", "IP", "ip"),
            ("192.0.2.0/24", "network", "network"),
            ("AS64500", "asn", "asn"),
            ("a@b.example", "email", "email"),
            ("https://c.example/x", "url", "url"),
            ("someone", "userID", "userid"),
            ("Example Ltd", "organization", "organization"),
            ("campaign-7", "x-campaign", "x-campaign"),
        ] {
            assert_eq!(register(client, entity, kind)["status"], 200, "{entity}");
            assert_eq!(client.ask(json!({"command": "VERIFY", "entity": entity}))["type"], inferred);
        }
        for (entity, kind, error) in [
            ("b.example", "ip", "type_mismatch"),
            ("192.0.2.8", "domain", "type_mismatch"),
            ("someone-else", "email", "type_mismatch"),
            ("b.example", "planet", "unknown_type"),
        ] {
            assert_eq!(outcome(&register(client, entity, kind)), (400, error), "{entity} {kind}");
        }
    });
}

#[test]
fn attributes_are_compared_member_by_member_or_by_digest() {
    let attributes = json!({"reason": "spam", "weight": 1.50, "seen": ["a", "b"], "\u{e9}": null});
    // RFC 8785: members sorted, no white space, the shortest spelling of a number.
    let canonical = "{\"reason\":\"spam\",\"seen\":[\"a\",\"b\"],\"weight\":1.5,\"\u{e9}\":null}";
    let digest = hex(canonical);
    each(&[1, 3], |setup| {
        let server = setup.start();
        let client = &mut server.client();
        client.ask(json!({"command": "REGISTER", "entity": "a.example", "attributes": attributes}));
        client.ask(json!({"command": "REGISTER", "entity": "bare.example"}));
        for (entity, member, value, verified) in [
            ("a.example", "attributes", json!({}), true),
            ("a.example", "attributes", json!({"reason": "spam"}), true),
            ("a.example", "attributes", json!({"seen": ["a", "b"], "weight": 15e-1}), true),
            ("a.example", "attributes", attributes.clone(), true),
            ("a.example", "attributes", json!({"reason": "ham"}), false),
            ("a.example", "attributes", json!({"seen": ["b", "a"]}), false),
            ("a.example", "attributes", json!({"weight": "1.5"}), false),
            ("a.example", "attributes", json!({"reason": "spam", "other": 1}), false),
            ("a.example", "digest", json!(digest), true),
            ("a.example", "digest", json!(digest.to_uppercase()), true),
            ("a.example", "digest", json!(hex("{}")), false),
            ("bare.example", "digest", json!(hex("{}")), true),
            ("bare.example", "attributes", json!({}), true),
            ("bare.example", "attributes", json!({"reason": "spam"}), false),
        ] {
            let answer = client.ask(json!({"command": "VERIFY", "entity": entity, member: value}));
            assert_eq!(
                (answer["status"].as_u64(), &answer["verified"]),
                (Some(200), &json!(verified)),
                "{member} {value}"
            );
        }
        let history = client.ask(json!({"command": "AUDIT", "entity": "a.example"}));
        assert_eq!(history["events"][0]["detail"]["attributes"], attributes);
    });
}

fn hex(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_bulk_lookup_answers_each_name_in_its_place() {
    const NAMES: usize = 10_000;
    /// Every so many names there is one that is none.
    const BAD_EVERY: usize = 97;
    let names: Vec<Value> = (0..NAMES)
        .map(|at| match at {
            _ if at % BAD_EVERY == 0 => json!("bad..name"),
            _ if at % BAD_EVERY == 1 => json!(at),
            // Each registered name also comes in another spelling.
            _ if at % 2 == 0 => json!(format!("H{}.example.", at % 1000)),
            _ => json!(format!("h{at}.example")),
        })
        .collect();
    each(&[1, 3], |setup| {
        let server = setup.start();
        let mut client = server.client();
        let register = |at: usize| json!({"command": "REGISTER", "entity": format!("h{at}.example")});
        client.ask_all((0..1000).map(register));
        let answer = client.ask(json!({"command": "VERIFY", "entities": names, "id": "bulk"}));
        assert_eq!((answer["status"].as_u64(), &answer["id"]), (Some(200), &json!("bulk")));
        let results = answer["results"].as_array().unwrap();
        assert_eq!(results.len(), NAMES);
        for (at, result) in results.iter().enumerate() {
            let expected = match at {
                _ if at % BAD_EVERY == 0 => (400, "invalid_entity", None),
                _ if at % BAD_EVERY == 1 => (400, "invalid_member", None),
                _ if at % 2 == 0 || at < 1000 => (200, "", Some(true)),
                _ => (404, "", Some(false)),
            };
            let (status, error) = outcome(result);
            assert_eq!((status, error, result["verified"].as_bool()), expected, "{at}: {result}");
        }
        let none = client.ask(json!({"command": "VERIFY", "entities": []}));
        assert_eq!((none["status"].as_u64(), &none["results"]), (Some(200), &json!([])));
    });
}

#[test]
fn a_verify_may_ask_about_the_past() {
    each(&[1, 3], |setup| {
        let server = setup.start();
        let client = &mut server.client();
        let change = |client: &mut Client, command: &str, attributes: Value| {
            let answer = client.ask(json!({"command": command, "entity": "a.example", "attributes": attributes}));
            answer["sequence"].as_u64().unwrap()
        };
        let other = client.ask(json!({"command": "REGISTER", "entity": "other.example"}))["sequence"].as_u64().unwrap();
        let born = change(client, "REGISTER", json!({"n": 1}));
        let died = change(client, "REMOVE", json!({}));
        let again = change(client, "REGISTER", json!({"n": 2}));
        let history = client.ask(json!({"command": "AUDIT", "entity": "a.example"}));
        let time = |at: usize| history["events"][at]["time"].clone();
        for (at, attributes, expected) in [
            (json!(0), json!({}), (404, Some(false))),
            (json!(other), json!({}), (404, Some(false))),
            (json!(born), json!({"n": 1}), (200, Some(true))),
            (json!(born), json!({"n": 2}), (200, Some(false))),
            (json!(died), json!({}), (404, Some(false))),
            (json!(again), json!({"n": 2}), (200, Some(true))),
            (json!(again), json!({"n": 1}), (200, Some(false))),
            (json!("1970-01-01T00:00:01Z"), json!({}), (404, Some(false))),
            // Events of the same millisecond have happened, so the last event's time shows the last state.
            (time(2), json!({"n": 2}), (200, Some(true))),
        ] {
            let answer =
                client.ask(json!({"command": "VERIFY", "entity": "a.example", "at": at, "attributes": attributes}));
            let found = (answer["status"].as_u64().unwrap(), answer["verified"].as_bool());
            assert_eq!(found, expected, "{at} {attributes}: {answer}");
        }
        for future in [json!(again + 1), json!(9_007_199_254_740_991_u64), json!("9999-01-01T00:00:00+01:00")] {
            let answer = client.ask(json!({"command": "VERIFY", "entity": "a.example", "at": future}));
            assert_eq!(outcome(&answer), (400, "at_in_future"), "{future}");
        }
    });
}

#[test]
fn a_peer_can_ask_what_the_server_can_do() {
    each(&[1], |setup| {
        let config = "[limits]\nidle_timeout_s = 77\nbulk_entities_max = 3\n";
        let server = setup.clone().config(config).start();
        let mut client = server.client();
        let answer = client.ask(json!({"command": "CAPABILITIES"}));
        let commands = answer["commands"].as_array().unwrap();
        for command in ["REGISTER", "VERIFY", "REMOVE", "AUDIT", "PING", "CAPABILITIES"] {
            assert!(commands.contains(&json!(command)), "{answer}");
        }
        let extensions = answer["extensions"].as_array().unwrap();
        assert!(extensions.iter().all(|urn| urn.as_str().unwrap().starts_with("urn:")), "{answer}");
        assert!(answer["auth"].is_array() && answer["log"]["id"].is_string(), "{answer}");
        let limits = &answer["limits"];
        for (limit, value) in [
            ("message_bytes_max", 65_536),
            ("bulk_message_bytes_max", 1_048_576),
            ("depth_max", 16),
            ("entity_bytes_max", 1024),
            ("attributes_bytes_max", 4096),
            ("outstanding_commands_max", 1024),
            ("replay_window_s", 300),
            ("message_timeout_s", 30),
            ("idle_timeout_s", 77),
            ("bulk_entities_max", 3),
        ] {
            assert_eq!(limits[limit], value, "{limit}");
        }
        // What is advertised is what holds.
        let four = client.ask(json!({"command": "VERIFY", "entities": ["a", "b", "c", "d"]}));
        assert_eq!(outcome(&four), (400, "invalid_member"));
        assert_eq!(client.ask(json!({"command": "VERIFY", "entities": ["a", "b", "c"]}))["status"], 200);
    });
}
