//! Tests of `answer`.

use proptest::prelude::*;

use super::*;
use crate::domain::{Changes, Unavailable, Verified};
use crate::faces::repsec::Limits;
use crate::faces::repsec::bulk::BadName;
use crate::types::{Attributes, Entity, EntityError, HashKey, Principal};
use crate::wire::json::Number;

const NOON: Timestamp = Timestamp::from_unix_ms(1_756_807_200_120);

fn settings() -> Settings {
    Settings::new(Limits::default(), false, HashKey::new([7; 16]), &[0xab, 0x01])
}

fn written_for(asked: &Asked, answer: &Answer) -> String {
    line_of(|out| write(out, asked, answer, &settings()))
}

fn told(asked: &Asked, outcome: &Outcome) -> String {
    line_of(|out| write_outcome(out, asked, outcome))
}

/// The line that is written, which is checked for what all lines have in common.
fn line_of(write: impl Fn(&mut Vec<u8>) -> Status) -> String {
    let mut out = b"before".to_vec();
    let status = write(&mut out);
    let line = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["status"], u64::from(status.code()));
    assert!(value["message"].is_string());
    assert_eq!(line.find('\n'), Some(line.len() - 1));
    line.trim_end().to_owned()
}

fn asked(command: CommandKind) -> Asked {
    Asked { id: None, command, order: Order::Ascending }
}

fn written(command: CommandKind, outcome: &Outcome) -> String {
    told(&asked(command), outcome)
}

fn entity() -> Entity {
    Entity::parse("example.com").unwrap()
}

#[test]
fn changes_tell_their_sequence() {
    let (sequence, time) = (Sequence::new(12), NOON);
    assert_eq!(
        written(CommandKind::Register, &Outcome::Registered { entity: entity(), sequence, time, replayed: false }),
        r#"{"status":200,"message":"Entity registered successfully","entity":"example.com","type":"domain","sequence":12}"#
    );
    assert_eq!(
        written(CommandKind::Remove, &Outcome::Removed { entity: entity(), sequence, time, replayed: true }),
        r#"{"status":200,"message":"Entity removed successfully","entity":"example.com","sequence":12,"replayed":true}"#
    );
}

#[test]
fn verify_tells_whether_and_since_when() {
    let verified = |verified| Outcome::Verified(Verified { verified, kind: Kind::Domain, last_updated: NOON });
    assert_eq!(
        written(CommandKind::Verify, &verified(true)),
        concat!(
            r#"{"status":200,"message":"Entity is registered","verified":true,"type":"domain","#,
            r#""last_updated":"2025-09-02T10:00:00Z"}"#
        )
    );
    assert_eq!(
        written(CommandKind::Verify, &verified(false)),
        concat!(
            r#"{"status":200,"message":"Entity is registered, but not as claimed","verified":false,"type":"domain","#,
            r#""last_updated":"2025-09-02T10:00:00Z"}"#
        )
    );
    let absent = r#"{"status":404,"message":"The entity is not registered","error":"not_registered""#;
    assert_eq!(
        written(CommandKind::Verify, &Outcome::Refused(Refusal::NotRegistered)),
        format!("{absent},\"verified\":false}}")
    );
    assert_eq!(written(CommandKind::Remove, &Outcome::Refused(Refusal::NotRegistered)), format!("{absent}}}"));
}

proptest! {
    /// The quick way of the most frequent answer writes what the other writes.
    #[test]
    fn what_was_found_is_told_in_the_same_words(code in 1..9_u8, ms in 0..4_000_000_000_000_u64, id in prop_oneof![
        Just(None), any::<u64>().prop_map(|id| Some(Id::Number(Number::Unsigned(id)))),
        any::<String>().prop_map(|id| Some(Id::Text(id.into()))),
    ]) {
        let last_updated = Timestamp::from_unix_ms(ms);
        let kind = Kind::from_code(code).unwrap();
        let registered = Found::Registered { kind: crate::types::KindCode::new(code), last_updated };
        for (found, outcome) in [
            (registered, Outcome::Verified(Verified { verified: true, kind, last_updated })),
            (Found::Nothing, Outcome::Refused(Refusal::NotRegistered)),
            (Found::Unavailable(Unavailable::Failed), Outcome::Unavailable(Unavailable::Failed)),
        ] {
            let (mut quick, mut plain, mut day) = (Vec::new(), Vec::new(), Day::EPOCH);
            let asked = Asked { id: id.clone(), command: CommandKind::Verify, order: Order::Ascending };
            let status = write_found(&mut quick, id.as_ref(), found, &mut day);
            prop_assert_eq!(write_outcome(&mut plain, &asked, &outcome), status);
            prop_assert_eq!(quick, plain);
        }
    }
}

#[test]
fn a_bulk_lookup_has_one_result_for_each_name() {
    let registered = |verified| NameResult::Registered { verified, last_updated: NOON };
    let results = vec![
        registered(true),
        NameResult::NotRegistered,
        NameResult::Bad(BadName::Refused(EntityError::Empty)),
        registered(false),
    ];
    assert_eq!(
        written_for(&asked(CommandKind::VerifyMany), &Answer::Names(results)),
        concat!(
            r#"{"status":200,"message":"Entities looked up","results":["#,
            r#"{"status":200,"verified":true,"last_updated":"2025-09-02T10:00:00Z"},"#,
            r#"{"status":404,"verified":false},"#,
            r#"{"status":400,"error":"invalid_entity","detail":"entity: must not be empty"},"#,
            r#"{"status":200,"verified":false,"last_updated":"2025-09-02T10:00:00Z"}]}"#
        )
    );
    assert_eq!(
        written_for(&asked(CommandKind::VerifyMany), &Answer::Names(Vec::new())),
        r#"{"status":200,"message":"Entities looked up","results":[]}"#
    );
}

#[test]
fn history_tells_what_who_and_when() {
    let event = |sequence, principal: &str, change| Event {
        sequence: Sequence::new(sequence),
        time: NOON,
        principal: Principal::from_name(principal),
        once: None,
        entity: entity(),
        change,
    };
    let attributes = Attributes::from_canonical(r#"{"a":"\n"}"#);
    let events = vec![
        event(3, "", Change::Registered { attributes }),
        event(7, "mail \"team\"", Change::Removed),
        event(9, "", Change::Registered { attributes: Attributes::none() }),
    ];
    let page = HistoryPage { entity: entity(), events, next: Some(Sequence::new(9)) };
    let asked = Asked { order: Order::Descending, ..asked(CommandKind::Audit) };
    let line = told(&asked, &Outcome::Audited(Box::new(page)));
    let (before, next) = line.split_once(r#","next":"#).unwrap();
    assert_eq!(
        before,
        concat!(
            r#"{"status":200,"message":"History of the entity","entity":"example.com","events":["#,
            r#"{"sequence":3,"time":"2025-09-02T10:00:00.120Z","event":"registered","actor":"anonymous","#,
            r#""detail":{"type":"domain","attributes":{"a":"\n"}}},"#,
            r#"{"sequence":7,"time":"2025-09-02T10:00:00.120Z","event":"removed","actor":"mail \"team\""},"#,
            r#"{"sequence":9,"time":"2025-09-02T10:00:00.120Z","event":"registered","actor":"anonymous","#,
            r#""detail":{"type":"domain","attributes":{}}}]"#
        )
    );
    let cursor = next.trim_matches(|c| c == '"' || c == '}');
    assert_eq!(cursor::decode(cursor, "example.com"), Some((Order::Descending, Sequence::new(9))));

    let last = HistoryPage { entity: entity(), events: Vec::new(), next: None };
    assert_eq!(
        written(CommandKind::Audit, &Outcome::Audited(Box::new(last))),
        r#"{"status":200,"message":"History of the entity","entity":"example.com","events":[]}"#
    );
}

proptest! {
    /// Of changes that were decided together each is told in the words of one that was decided alone.
    #[test]
    fn what_came_of_a_change_is_told_in_the_same_words(
        registers: bool, replayed: bool, name in "[a-z]{1,8}( \"?[a-z]{1,8})?", number in any::<u64>(), came in 0..4,
    ) {
        let (sequence, time) = (Sequence::new(number), NOON);
        let entity = Entity::parse(&name).unwrap();
        let (changed, outcome) = match came {
            0 => (Changed::Refused(Refusal::NonceReused), Outcome::Refused(Refusal::NonceReused)),
            1 => (Changed::Unavailable(Unavailable::Failed), Outcome::Unavailable(Unavailable::Failed)),
            _ => {
                let outcome = if registers {
                    Outcome::Registered { entity: entity.clone(), sequence, time, replayed }
                } else {
                    Outcome::Removed { entity: entity.clone(), sequence, time, replayed }
                };
                (Changed::Happened { sequence, time, replayed }, outcome)
            }
        };
        let mut changes = Changes::new(Principal::Anonymous);
        let subject = (HashKey::new([7; 16]).hash(entity.as_str()), entity.kind().to_static().unwrap(), entity.as_str());
        changes.push(0, subject, registers.then_some("{\"a\":1}"), None);
        let command = if registers { CommandKind::Register } else { CommandKind::Remove };
        let asked = Asked { id: Some(Id::Number(Number::Unsigned(number))), ..asked(command) };
        let alone = told(&asked, &outcome);
        changes.each_mut().for_each(|(_, noted)| *noted = changed);
        prop_assert_eq!(line_of(|out| write_changed(out, &asked, &changes, &changes.each()[0])), alone.as_str());
        prop_assert_eq!(told(&asked, &Outcome::Changed(Box::new(changes))), alone);
    }
}

#[test]
fn every_refusal_and_failure_has_its_status() {
    for (outcome, expected) in [
        (
            Outcome::Refused(Refusal::StaleTimestamp { now: NOON }),
            r#"401,"message":"The timestamp is too old or too new","error":"stale_timestamp","detail":"ts: the server's time is 1756807200"}"#,
        ),
        (
            Outcome::Refused(Refusal::NonceReused),
            r#"409,"message":"The nonce belongs to another command","error":"nonce_reused"}"#,
        ),
        (
            Outcome::Refused(Refusal::TooManyNonces),
            r#"429,"message":"Too many commands in a short time","error":"too_many_nonces","retry_after":1}"#,
        ),
        (
            Outcome::Refused(Refusal::AlreadyRegistered),
            r#"409,"message":"The entity is already registered","error":"already_registered"}"#,
        ),
        (
            Outcome::Refused(Refusal::UnknownEntity),
            r#"404,"message":"The entity was never registered","error":"unknown_entity"}"#,
        ),
        (
            Outcome::Refused(Refusal::NotRegistrant),
            r#"403,"message":"Only the registrant may do this","error":"not_registrant"}"#,
        ),
        (
            Outcome::Refused(Refusal::AtInFuture),
            r#"400,"message":"The moment asked about has not come","error":"at_in_future","detail":"at: must not lie in the future"}"#,
        ),
        (
            Outcome::Unavailable(Unavailable::Overloaded),
            r#"429,"message":"The server has too much to do","error":"overloaded","retry_after":1}"#,
        ),
        (Outcome::Unavailable(Unavailable::Stopping), r#"500,"message":"The server is stopping","error":"stopping"}"#),
        (
            Outcome::Unavailable(Unavailable::Failed),
            r#"500,"message":"The server cannot use its storage","error":"storage_failed"}"#,
        ),
    ] {
        assert_eq!(written(CommandKind::Remove, &outcome), format!("{{\"status\":{expected}"));
    }
}

#[test]
fn the_answers_that_need_no_store() {
    assert_eq!(
        written_for(&asked(CommandKind::Ping), &Answer::Pong(NOON)),
        r#"{"status":200,"message":"pong","time":"2025-09-02T10:00:00Z"}"#
    );
    let line = written_for(&asked(CommandKind::Capabilities), &Answer::Capabilities);
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["commands"], serde_json::json!(["REGISTER", "VERIFY", "REMOVE", "AUDIT", "PING", "CAPABILITIES"]));
    assert_eq!(value["limits"]["message_bytes_max"], 65_536);
    assert_eq!(value["limits"]["bulk_message_bytes_max"], 1_048_576);
    assert_eq!(value["limits"]["idle_timeout_s"], 300);
    assert_eq!(value["limits"].as_object().unwrap().len(), 13);
    assert_eq!(value["auth"], serde_json::json!([]));
    assert_eq!(value["log"]["id"], "ab01");
    assert!(value["extensions"].as_array().unwrap().iter().all(|urn| urn.as_str().unwrap().starts_with("urn:repsec:")));
}

proptest! {
    /// The id stands first and comes back as it was.
    #[test]
    fn ids_come_back(text in any::<String>(), unsigned in any::<u64>(), signed in i64::MIN..0, double in any::<f64>()) {
        let pong = Answer::Pong(NOON);
        let with = |id| Asked { id: Some(id), ..asked(CommandKind::Ping) };
        let line = written_for(&with(Id::Text(text.clone().into())), &pong);
        prop_assert!(line.starts_with("{\"id\":\""), "{}", line);
        prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&line).unwrap()["id"], &serde_json::json!(text));
        let line = written_for(&with(Id::Number(Number::Unsigned(unsigned))), &pong);
        prop_assert!(line.starts_with(&format!("{{\"id\":{unsigned},")), "{}", line);
        let line = written_for(&with(Id::Number(Number::Negative(signed))), &pong);
        prop_assert!(line.starts_with(&format!("{{\"id\":{signed},")), "{}", line);
        if double.is_finite() {
            let line = written_for(&with(Id::Number(Number::Double(double))), &pong);
            let id = line.strip_prefix("{\"id\":").unwrap().split(',').next().unwrap();
            prop_assert_eq!(id.parse::<f64>().unwrap(), double);
        }
    }
}
