//! Tests of `message`.

use proptest::prelude::*;

use super::*;
use crate::domain::Claim;
use crate::faces::repsec::Limits;
use crate::faces::repsec::bulk::NameResult;
use crate::types::HashKey;
use crate::wire::json::Number;

const DIGEST: &str = "00ff10AA0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";

fn settings(once_required: bool) -> Settings {
    Settings::new(Limits::default(), once_required, HashKey::new([7; 16]), &[1, 2])
}

fn read_with(settings: &Settings, text: &str) -> Result<Message, Rejected> {
    let mut bytes = text.as_bytes().to_vec();
    super::read(&mut Parser::new(16), &mut bytes, text.len(), &Principal::Anonymous, settings)
}

fn read(text: &str) -> Result<Message, Rejected> {
    read_with(&settings(false), text)
}

fn fault(text: &str) -> Fault {
    read(text).unwrap_err().fault
}

/// The command of `{"command": COMMAND, "entity": "Example.COM.", ...}`.
fn one(command: &str, members: &str) -> (Command, Option<Once>) {
    let text = format!("{{\"command\":\"{command}\",\"entity\":\"Example.COM.\"{members}}}");
    match read(&text).unwrap().meaning {
        Meaning::One(_, request) => (request.command, request.once),
        other => panic!("{text}: {other:?}"),
    }
}

fn named(text: &str) -> Named {
    Named { hash: HashKey::new([7; 16]).hash(text), entity: Entity::parse(text).unwrap() }
}

#[test]
fn the_commands_of_the_draft_are_understood() {
    let subject = named("example.com");
    let register = |attributes: &str| Command::Register {
        subject: subject.clone(),
        attributes: Attributes::from_canonical(attributes),
    };
    assert_eq!(one("REGISTER", r#","type":"domain""#), (register(""), None));
    assert_eq!(one("register", r#","attributes":{ "b":1.0,"a":"x" }"#), (register(r#"{"a":"x","b":1}"#), None));
    assert_eq!(one("Remove", ""), (Command::Remove { subject: subject.clone() }, None));
    let verify = |claim, at| Command::Verify { subject: subject.clone(), claim, at };
    assert_eq!(one("VERIFY", ""), (verify(Claim::Registered, None), None));
    assert_eq!(one("VERIFY", r#","attributes":{}"#), (verify(Claim::Attributes(Attributes::none()), None), None));
    let mut digest = [0x0f; 32];
    digest[..4].copy_from_slice(&[0x00, 0xff, 0x10, 0xaa]);
    assert_eq!(
        one("VERIFY", &format!(",\"digest\":\"{DIGEST}\",\"at\":0")),
        (verify(Claim::Digest(Box::new(Digest(digest))), Some(At::Sequence(Sequence::ZERO))), None)
    );
    assert_eq!(
        one("VERIFY", r#","at":"2025-09-02T12:00:00+02:00""#),
        (verify(Claim::Registered, Some(At::Time(Timestamp::from_unix_s(1_756_807_200)))), None)
    );
    assert!(matches!(read(r#"{"command":"PING"}"#).unwrap().meaning, Meaning::Ping));
    assert!(matches!(read(r#"{"command":"Capabilities"}"#).unwrap().meaning, Meaning::Capabilities));
}

#[test]
fn audit_knows_its_pages() {
    let page = |members: &str| match one("AUDIT", members).0 {
        Command::Audit { page, .. } => *page,
        other => panic!("{other:?}"),
    };
    let first = Page { limit: 100, order: Order::Ascending, after: None, since: None, until: None };
    assert_eq!(page(""), first);
    assert_eq!(
        page(r#","limit":1000,"order":"desc","since":"1970-01-01T00:00:01Z","until":"1970-01-01T00:00:02.5Z""#),
        Page {
            limit: 1000,
            order: Order::Descending,
            after: None,
            since: Some(Timestamp::from_unix_s(1)),
            until: Some(Timestamp::from_unix_ms(2500)),
        }
    );
    let cursor = cursor::encode("example.com", Order::Descending, Sequence::new(9));
    let next = Page { order: Order::Descending, after: Some(Sequence::new(9)), ..first };
    assert_eq!(page(&format!(",\"cursor\":\"{cursor}\"")), next);
    assert_eq!(page(&format!(",\"cursor\":\"{cursor}\",\"order\":\"desc\"")), next);
    for members in [r#""entity":"example.com","order":"asc""#, r#""entity":"other.example""#] {
        let text = format!("{{\"command\":\"AUDIT\",\"cursor\":\"{cursor}\",{members}}}");
        assert_eq!(fault(&text).code, ErrorCode::InvalidCursor, "{text}");
    }
}

#[test]
fn what_makes_a_repetition_recognizable_is_demanded_of_changes_only() {
    let nonce = "abcdefghijklmnopqrstuv";
    let both = format!(",\"ts\":1756807200,\"nonce\":\"{nonce}\"");
    let once = Once { made: Timestamp::from_unix_s(1_756_807_200), nonce: Nonce::parse(nonce).unwrap() };
    assert_eq!(one("REGISTER", &both).1, Some(once.clone()));
    assert_eq!(one("REMOVE", &both).1, Some(once));
    for command in ["VERIFY", "AUDIT"] {
        assert_eq!(one(command, &both).1, None);
        assert_eq!(one(command, ",\"ts\":\"never\"").1, None);
    }
    let strict = settings(true);
    for (command, accepted) in
        [("REGISTER", false), ("REMOVE", false), ("VERIFY", true), ("AUDIT", true), ("PING", true)]
    {
        let bare = format!("{{\"command\":\"{command}\",\"entity\":\"example.com\"}}");
        let outcome = read_with(&strict, &bare);
        assert_eq!(outcome.is_ok(), accepted, "{command}");
        assert!(accepted || outcome.unwrap_err().fault.code == ErrorCode::MissingMember);
        let full = format!("{{\"command\":\"{command}\",\"entity\":\"example.com\"{both}}}");
        assert!(read_with(&strict, &full).is_ok(), "{command}");
    }
}

#[test]
fn the_id_outlives_a_later_mistake() {
    let text = |text: &str| Some(Id::Text(text.into()));
    for (message, id) in [
        (r#"{"command":"DROP","id":"a"}"#, text("a")),
        (r#"{"id":"a"}"#, text("a")),
        (r#"{"id":7,"command":"VERIFY"}"#, Some(Id::Number(Number::Unsigned(7)))),
        (r#"{"id":-7,"command":"VERIFY","entity":1}"#, Some(Id::Number(Number::Negative(-7)))),
        (r#"{"id":"a","command":"PING","command":"PING"}"#, text("a")),
        (r#"{"id":"a","command":"PING","id":"a"}"#, None),
        (r#"{"id":null,"command":"PING"}"#, None),
        (r#"{"id":"a","command":tru}"#, None),
    ] {
        assert_eq!(read(message).unwrap_err().id, id, "{message}");
    }
    let longest = format!("{{\"id\":\"{}\",\"command\":\"PING\"}}", "\\u0069".repeat(ID_BYTES_MAX));
    assert_eq!(read(&longest).unwrap().id, text(&"i".repeat(ID_BYTES_MAX)));
}

fn bad_places(gathering: Gathering) -> Vec<usize> {
    let results = gathering.into_results().into_iter().enumerate();
    results.filter(|(_, result)| matches!(result, NameResult::Bad(_))).map(|(place, _)| place).collect()
}

#[test]
fn one_bad_name_does_not_fail_the_others() {
    let message = read(r#"{"command":"VERIFY","entities":["B.example",1,"a.example","a..b","a.example"]}"#).unwrap();
    let Meaning::Many(lookups, gathering) = message.meaning else { panic!("no bulk lookup") };
    let asked: Vec<_> = lookups.each().iter().map(|each| (each.place, each.hash, lookups.name(each))).collect();
    let at = |place, name: &'static str| (place, named(name).hash, name.as_bytes());
    assert_eq!(asked, [at(0, "b.example"), at(2, "a.example"), at(4, "a.example")]);
    assert_eq!(bad_places(gathering), [1, 3]);

    let typed = read(r#"{"command":"VERIFY","type":"ip","entities":["192.0.2.1","a.example"]}"#).unwrap();
    let Meaning::Many(lookups, gathering) = typed.meaning else { panic!("no bulk lookup") };
    assert_eq!(lookups.len(), 1);
    let [_, NameResult::Bad(why)] = gathering.into_results()[..] else { panic!("accepted") };
    assert_eq!(why.code(), ErrorCode::TypeMismatch);
}

#[test]
fn only_a_bulk_lookup_may_be_long() {
    let limit = Limits::default().message_bytes_max;
    let ping = |length: usize| format!("{{\"command\":\"PING\",\"x\":\"{}\"}}", "x".repeat(length - 25));
    assert_eq!(ping(limit).len(), limit);
    assert!(read(&ping(limit)).is_ok());
    assert_eq!(fault(&ping(limit + 1)).code, ErrorCode::MessageTooLarge);
    let bulk = format!("{{\"command\":\"VERIFY\",\"entities\":[{}\"a.example\"]}}", "\"a.example\",".repeat(9999));
    assert!(bulk.len() > limit);
    assert!(matches!(read(&bulk).unwrap().meaning, Meaning::Many(lookups, _) if lookups.len() == 10_000));
}

#[test]
fn a_lower_bound_of_the_operator_holds() {
    let limits = Limits {
        entity_bytes_max: 11,
        attributes_bytes_max: 7,
        bulk_entities_max: 1,
        audit_page_events: 3,
        audit_page_events_max: 5,
        ..Limits::default()
    };
    let settings = Settings::new(limits, false, HashKey::new([7; 16]), &[]);
    for (members, accepted) in [
        (r#""command":"VERIFY","entity":"example.com""#, true),
        (r#""command":"VERIFY","entity":"examples.com""#, false),
        (r#""command":"VERIFY","entity":"example.com","attributes":{"a":1}"#, true),
        (r#""command":"VERIFY","entity":"example.com","attributes":{"a":12}"#, false),
        (r#""command":"VERIFY","entities":["a"]"#, true),
        (r#""command":"VERIFY","entities":["a","b"]"#, false),
        (r#""command":"AUDIT","entity":"example.com","limit":5"#, true),
        (r#""command":"AUDIT","entity":"example.com","limit":6"#, false),
    ] {
        assert_eq!(read_with(&settings, &format!("{{{members}}}")).is_ok(), accepted, "{members}");
    }
}

proptest! {
    /// Nothing that a peer sends comes back in an explanation (`repsec:R17`).
    #[test]
    fn details_do_not_repeat_the_peer(secret in "[b-z]{12}", member in prop_oneof![
        Just("command"), Just("entity"), Just("id"), Just("type"), Just("attributes"), Just("entities"), Just("digest"),
        Just("at"), Just("ts"), Just("nonce"), Just("limit"), Just("cursor"), Just("since"), Just("until"), Just("order"),
    ], command in prop_oneof![Just("REGISTER"), Just("VERIFY"), Just("AUDIT")], shape in 0..3) {
        let value = match shape {
            0 => format!("\"{secret}..\""),
            1 => format!("[\"{secret}\"]"),
            _ => format!("{{\"{secret}\":9007199254740993}}"),
        };
        let mut members = vec![format!("\"{member}\":{value}")];
        for (name, good) in [("command", format!("\"{command}\"")), ("entity", "\"example.com\"".to_owned())] {
            if name != member {
                members.push(format!("\"{name}\":{good}"));
            }
        }
        if let Err(rejected) = read(&format!("{{{}}}", members.join(","))) {
            prop_assert!(!rejected.fault.detail.contains(&secret), "{}", rejected.fault.detail);
            prop_assert!(rejected.fault.detail.contains(member), "{member}: {}", rejected.fault.detail);
        }
    }

    /// Members that a command does not use change nothing, whatever they hold.
    #[test]
    fn unknown_members_are_ignored(value in crate::wire::samples::value(3), name in "x[a-z]{1,8}") {
        let with = format!("{{\"{name}\":{value},\"command\":\"VERIFY\",\"entity\":\"example.com\"}}");
        match read(&with) {
            Ok(Message { id: None, meaning: Meaning::One(CommandKind::Verify, request) }) => {
                prop_assert_eq!(request.command, one("VERIFY", "").0);
            }
            Err(rejected) => prop_assert!(
                matches!(rejected.fault.code, ErrorCode::Malformed | ErrorCode::DuplicateMember)
            ),
            other => prop_assert!(false, "{other:?}"),
        }
    }
}
