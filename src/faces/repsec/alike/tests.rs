//! Tests of `alike`: what is understood by likeness means what the thorough way says.

use proptest::prelude::*;

use super::*;
use crate::faces::repsec::Limits;
use crate::types::HashKey;
use crate::wire::json::Parser;
use crate::wire::samples;

fn settings() -> Settings {
    let limits = Limits { entity_bytes_max: 40, message_bytes_max: 300, attributes_bytes_max: 60, ..Limits::default() };
    Settings::new(limits, false, HashKey::new([7; 16]), &[])
}

fn alike(known: &mut Known, text: &[u8]) -> Option<(usize, Result<Message, Rejected>)> {
    known.read(text, text.len(), &Principal::Anonymous, &settings())
}

/// Reads a change after another one, which it must leave alone.
fn change(known: &mut Known, text: &[u8], len: usize) -> Option<(Change, Changes)> {
    let mut changes = Changes::new(Principal::Anonymous);
    changes.push(0, (settings().hash_key.hash("first"), &Kind::Userid, "first"), None, None);
    let before = changes.clone();
    let read = known.read_change(text, len, &settings(), 7, &mut changes);
    let first = changes.take_front_while(|change| change.place == 0);
    assert_eq!(first, before);
    assert_eq!(changes.len(), usize::from(read.is_some()));
    read.map(|read| (read, changes))
}

/// Holds a change that was understood at a glance to what the thorough way says.
fn is_the_same((change, changes): &(Change, Changes), text: &[u8]) -> Result<(), TestCaseError> {
    let read = thoroughly(&text[..change.length]).unwrap();
    let message::Meaning::One(command, request) = &read.meaning else {
        return Err(TestCaseError::fail("it is no change"));
    };
    prop_assert_eq!((&change.id, change.command), (&read.id, *command));
    let asked = &changes.each()[0];
    prop_assert_eq!((asked.place, Some(changes.asked(asked))), (7, request.change()));
    prop_assert_eq!(change.entity, asked.hash.front());
    Ok(())
}

fn thoroughly(text: &[u8]) -> Result<Message, Rejected> {
    let mut bytes = text.to_vec();
    message::read(&mut Parser::new(16), &mut bytes, text.len(), &Principal::Anonymous, &settings())
}

/// A string as JSON, nearly always one without escapes.
fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "\"[a-z]{1,8}\\.[a-z]{2,4}\"",
        3 => "\"[a-zA-Z0-9_-]{20,26}\"",
        1 => "\"(asc|desc|domain|email|x-a)\"",
        1 => "\"[^\"\\\\\u{0}-\u{1f}]{0,50}\"",
        1 => "\"2026-0[1-9]-01T00:00:00Z\"",
        1 => samples::string(),
    ]
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9]{1,2}", "[1-9][0-9]{5,15}", samples::number()]
}

/// Two values for the same place: most of one kind, so that messages with them are alike.
fn pair() -> impl Strategy<Value = (String, String)> {
    prop_oneof![
        6 => (string(), string()),
        4 => (number(), number()),
        1 => (string(), number()),
        3 => attributes(),
        1 => (samples::value(1), samples::value(1)),
    ]
}

fn attributes() -> impl Strategy<Value = (String, String)> {
    let each = prop_oneof![3 => (string(), string()), 1 => (number(), number())];
    prop::collection::btree_map("[a-c]{1,2}", each, 0..4).prop_map(|members| {
        let with = |spelled: fn(&(String, String)) -> &String| {
            let each: Vec<_> = members.iter().map(|(name, pair)| format!("\"{name}\":{}", spelled(pair))).collect();
            format!("{{{}}}", each.join(","))
        };
        (with(|pair| &pair.0), with(|pair| &pair.1))
    })
}

/// Two messages with the same members, and values of their own.
fn messages() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let command = prop_oneof![
        6 => "\"(REGISTER|VERIFY|REMOVE|AUDIT|PING|register)\"".prop_map(|command| (command.clone(), command)),
        1 => pair(),
    ];
    let named = |name: &'static str| pair().prop_map(move |pair| (name, pair));
    let member = prop_oneof![
        prop::sample::select(vec!["id", "type", "digest", "at", "limit", "cursor", "since", "until", "order", "x"])
            .prop_flat_map(named),
        prop::sample::select(vec!["ts", "nonce", "entities", "entity"]).prop_flat_map(named),
        attributes().prop_map(|pair| ("attributes", pair)),
    ];
    let entity = (string(), string()).prop_map(|pair| ("entity", pair));
    (
        command,
        prop::option::weighted(0.9, entity),
        prop::collection::vec(member, 0..6),
        0..7_usize,
        samples::edits(),
        0..4_u8,
    )
        .prop_map(|(command, entity, mut members, place, edits, edited)| {
            members.extend(entity);
            members.insert(place.min(members.len()), ("command", command));
            let with = |spelled: fn(&(String, String)) -> &String| {
                let each: Vec<_> = members.iter().map(|(name, pair)| format!("\"{name}\":{}", spelled(pair))).collect();
                format!("{{{}}}", each.join(","))
            };
            let (one, other) = (with(|pair| &pair.0), with(|pair| &pair.1));
            let other = if edited == 0 { samples::edited(&other, &edits) } else { other.into_bytes() };
            (one.into_bytes(), other)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_understood_means_what_the_thorough_way_says((before, text) in messages(), behind in "[ -~]{0,20}") {
        let mut known = Known::default();
        known.learn(&before);
        for text in [&text, &before] {
            let read = alike(&mut known, text);
            let padded = [text, behind.as_bytes()].concat();
            let also = known.read(&padded, text.len(), &Principal::Anonymous, &settings());
            prop_assert_eq!(format!("{:?}", read), format!("{:?}", also), "what stands behind a message matters");
            if let Some((length, read)) = read {
                prop_assert_eq!(format!("{:?}", read), format!("{:?}", thoroughly(&text[..length])));
            }
            let read = change(&mut known, text, text.len());
            let also = change(&mut known, &padded, text.len());
            prop_assert_eq!(format!("{:?}", read), format!("{:?}", also), "what stands behind a change matters");
            if let Some(read) = read {
                is_the_same(&read, text)?;
            }
        }
    }

    #[test]
    fn commands_of_one_program_are_alike(
        commands in prop::collection::vec(("[a-z]{1,8}\\.[a-z]{2,4}", "[a-z]{0,9}", 0..99_u32, 0..9_000_000_000_u64, "[a-zA-Z_-]{22,40}"), 2..6),
        form in 0..5,
    ) {
        let mut known = Known::default();
        for (number, (entity, word, count, ts, nonce)) in commands.iter().enumerate() {
            let text = match form {
                0 => format!("{{\"command\":\"REGISTER\",\"entity\":\"{entity}\",\"type\":\"domain\",\"attributes\":{{\"a\":\"{word}\",\"b\":{count}}},\"ts\":{ts},\"nonce\":\"{nonce}\",\"id\":{count}}}"),
                1 => format!("{{\"command\": \"REMOVE\", \"entity\": \"{entity}\", \"ts\": {ts}, \"nonce\": \"{nonce}\"}}"),
                2 => format!("{{\"id\":\"{word}\",\"command\":\"VERIFY\",\"entity\":\"{entity}\"}}"),
                3 => format!("{{\"command\":\"AUDIT\",\"entity\":\"{entity}\",\"limit\":{}}}", count + 1),
                _ => format!("{{\"command\":\"PING\",\"id\":{ts}}}"),
            };
            let read = alike(&mut known, text.as_bytes());
            prop_assert_eq!(read.is_some(), number > 0, "{}", text);
            if let Some((length, read)) = read {
                prop_assert_eq!(length, text.len());
                prop_assert!(read.is_ok(), "{:?}", read);
            }
            let read = change(&mut known, text.as_bytes(), text.len());
            prop_assert_eq!(read.is_some(), number > 0 && form < 2, "{}", text);
            if let Some(read) = read {
                is_the_same(&read, text.as_bytes())?;
            }
            known.learn(text.as_bytes());
        }
    }
}

/// Commands of several programs may come along one connection, and those that come are learnt.
#[test]
fn a_few_kinds_are_known_at_once() {
    let text =
        |kind: usize, value: u32| format!("{{\"command\":\"PING\",\"id\":{value}{}}}", " ".repeat(kind)).into_bytes();
    let mut known = Known::default();
    let mut ask = |kind: usize, value| {
        let text = text(kind, value);
        let read = alike(&mut known, &text).is_some();
        if !read {
            known.learn(&text);
        }
        read
    };
    for kind in 0..KINDS_MAX {
        assert!(!ask(kind, 1), "never seen");
        assert!(ask(kind, 2));
    }
    for kind in 0..KINDS_MAX {
        assert!(ask(kind, 3), "kind {kind} is still known");
    }
    assert!(!ask(KINDS_MAX, 1));
    assert!(ask(KINDS_MAX, 2), "what is new takes the place of the oldest");
    assert!(!ask(0, 4));
}

/// Where no message is like another, learning is given up by and by, and taken up again with the first that is.
#[test]
fn nothing_is_learnt_in_vain_for_long() {
    let mut known = Known::default();
    let mut learnt = Vec::new();
    for number in 0..100 {
        let text = format!("{{\"command\":\"PING\",\"id\":1{}}}", " ".repeat(number));
        known.learn(text.as_bytes());
        if alike(&mut Known { strange: 0, oldest: 0, changes: false, kinds: known.kinds.split_off(0) }, text.as_bytes())
            .is_some()
        {
            learnt.push(number + 1);
        }
    }
    assert_eq!(learnt, [1, 2, 4, 8, 16, 32, 64]);
}

#[test]
fn what_is_not_alike_is_left_to_others() {
    let mut known = Known::default();
    known.learn(b"{\"command\":\"PING\",\"id\":1}");
    for text in [
        "{\"command\":\"PING\",\"id\":\"1\"}",
        "{\"command\":\"ping\",\"id\":1}",
        "{\"command\":\"PING\",\"id\":1.0}",
        "{\"command\":\"PING\",\"id\":01}",
        "{\"command\":\"PING\",\"id\":1",
        "{\"command\":\"PING\",\"id\":1,\"id\":1}",
        "{\"command\":\"PING\"}",
        "",
    ] {
        assert!(alike(&mut known, text.as_bytes()).is_none(), "{text}");
    }
    assert!(alike(&mut known, b"{\"command\":\"PING\",\"id\":7}").is_some());
    let unlike = [
        "{\"id\":1}",
        "{\"command\":1}",
        "{\"command\":\"PING\",\"x\":1}",
        "{\"command\":\"PING\",\"id\":[1]}",
        "{\"command\":\"PING\",\"order\":{\"a\":1}}",
    ];
    for text in unlike {
        let mut known = Known::default();
        known.learn(text.as_bytes());
        assert!(alike(&mut known, text.as_bytes()).is_none(), "{text}");
    }
}
