//! Tests of `lookup`: what is accepted at a glance means what the thorough way says.

use proptest::prelude::*;

use super::*;
use crate::domain::{Claim, Command, Lookup};
use crate::faces::repsec::Limits;
use crate::faces::repsec::message::{self, CommandKind, Meaning};
use crate::types::HashKey;
use crate::types::Principal;
use crate::wire::json::Parser;
use crate::wire::samples;

fn settings() -> Settings {
    let limits = Limits { entity_bytes_max: 40, message_bytes_max: 200, bulk_entities_max: 20, ..Limits::default() };
    Settings::new(limits, false, HashKey::new([7; 16]), &[])
}

fn thoroughly(text: &[u8]) -> Option<message::Message> {
    let mut bytes = text.to_vec();
    message::read(&mut Parser::new(16), &mut bytes, text.len(), &Principal::Anonymous, &settings()).ok()
}

/// Names of all kinds, and what is none.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z]{1,8}\\.[a-z]{2,4}",
        2 => "[0-9]{1,3}(\\.[0-9]{1,3}){3}",
        2 => "[A-Z][a-z]{1,6}\\.(com|org)\\.?",
        1 => "[a-z@:/. 0-9-]{0,20}",
        1 => "\\PC{0,12}",
        1 => "[a-z]{30,60}\\.org",
    ]
}

fn member() -> impl Strategy<Value = String> {
    let spelled = |text: &String| serde_json::to_string(text).unwrap();
    prop_oneof![
        6 => Just("\"command\":\"VERIFY\"".to_owned()),
        1 => Just("\"command\":\"verify\"".to_owned()),
        1 => Just("\"command\":\"REMOVE\"".to_owned()),
        6 => name().prop_map(move |name| format!("\"entity\":{}", spelled(&name))),
        4 => proptest::collection::vec(name(), 0..24)
            .prop_map(|names| format!("\"entities\":{}", serde_json::to_string(&names).unwrap())),
        2 => (0..1000_u32).prop_map(|id| format!("\"id\": {id}")),
        2 => "[a-z]{0,300}".prop_map(|id| format!("\"id\":\"{id}\"")),
        1 => samples::value(1).prop_map(|value| format!("\"id\":{value}")),
        1 => Just("\"type\":\"domain\"".to_owned()),
        1 => samples::value(1).prop_map(|value| format!("\"x\":{value}")),
    ]
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    (proptest::collection::vec(member(), 1..5), samples::edits(), any::<bool>()).prop_map(|(members, edits, edited)| {
        let text = format!("{{{}}}", members.join(","));
        if edited { samples::edited(&text, &edits) } else { text.into_bytes() }
    })
}

fn many_mean_the_same(text: &[u8]) -> Result<(), TestCaseError> {
    let mut lookups = Lookups::new(Principal::Anonymous);
    if let Some((id, gathering)) = read_many(text, &mut lookups, &settings()) {
        let message = thoroughly(text).unwrap();
        prop_assert_eq!(message.id, id);
        let Meaning::Many(expected, known) = message.meaning else { panic!("{:?}", message.meaning) };
        let spelled = |lookups: &Lookups| -> Vec<(Lookup, Vec<u8>)> {
            lookups.each().iter().map(|each| (each.clone(), lookups.name(each).to_vec())).collect()
        };
        prop_assert_eq!(spelled(&lookups), spelled(&expected));
        prop_assert_eq!(gathering, known);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn what_is_accepted_means_what_the_thorough_way_says(before in text(), text in text(), alike: bool, name in name()) {
        // The message before gives the shape; another one of that shape differs in its entity at least.
        let Some(shape) = shape_of(&before) else { return many_mean_the_same(&text) };
        let text = if alike {
            let mut entity = 0..0;
            let read = shape.read(&before, before.len(), |_, value| {
                if value.number.is_none() {
                    entity = value.place;
                }
            });
            prop_assert_eq!(read, Some(before.len()));
            let (Ok(entity), Ok(before)) = (std::str::from_utf8(&before[entity]), std::str::from_utf8(&before)) else {
                return Ok(());
            };
            before.replace(&format!("\"{entity}\""), &format!("\"{name}\"")).into_bytes()
        } else {
            text
        };
        let mut one = None;
        let read = read_one(&shape, &text, text.len(), &settings(), |hash, name| one = Some((hash, name.to_vec())));
        if let Some((length, id)) = read {
            let (hash, name) = one.unwrap();
            let message = thoroughly(&text[..length]).unwrap();
            prop_assert_eq!(message.id, id);
            let Meaning::One(CommandKind::Verify, request) = message.meaning else { panic!("{:?}", message.meaning) };
            prop_assert_eq!(request.once, None);
            let Command::Verify { subject, claim: Claim::Registered, at: None } = request.command else {
                panic!("{:?}", request.command)
            };
            prop_assert_eq!((subject.hash, subject.entity.as_str().as_bytes()), (hash, &name[..]));
        }
        many_mean_the_same(&text)?;
    }

    #[test]
    fn plain_lookups_are_read_here(name in "[a-z]{1,8}\\.[a-z]{2,4}", id in prop_oneof![
        Just(String::new()), (0..9999_u32).prop_map(|id| format!(",\"id\":{id}"))
    ], count in 1..20_usize) {
        let text = format!("{{\"command\":\"VERIFY\",\"entity\":\"{name}\"{id}}}");
        let shape = shape_of(text.as_bytes()).unwrap();
        let next = text.replace(&name, "other.example");
        prop_assert!(read_one(&shape, next.as_bytes(), next.len(), &settings(), |_, _| ()).is_some());
        let names = vec![format!("\"{name}\""); count].join(",");
        let text = format!("{{\"command\":\"VERIFY\",\"entities\":[{names}]{id}}}");
        let mut lookups = Lookups::new(Principal::Anonymous);
        prop_assert!(read_many(text.as_bytes(), &mut lookups, &settings()).is_some());
        prop_assert_eq!(lookups.len(), count);
    }
}
