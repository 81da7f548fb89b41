//! Tests of `importer`.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::model::Model;
use super::*;
use crate::cli::import::Lines;
use crate::cli::import::formats::Format;

/// A file in letters: `a0` registers the first entity with attribute 0, `a-` removes it.
type Commands = Vec<(u8, Option<u8>)>;

fn file_of(commands: &Commands) -> String {
    let line = |(entity, attribute): &(u8, Option<u8>)| {
        // Two spellings of each entity.
        let name = if attribute == &Some(0) { format!("H{entity}.example.") } else { format!("h{entity}.example") };
        match attribute {
            Some(at) => json!({ "command": "REGISTER", "entity": name, "type": "domain", "at": at }),
            None => json!({ "command": "REMOVE", "entity": name, "at": "x" }),
        }
        .to_string()
    };
    commands.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The import of a text, with small windows.
fn import(text: &str, format: Option<Format>, server: &mut Model) -> (Result<(), Stopped>, Tally) {
    let survey = Survey::of(Path::new("x"), format, &mut text.as_bytes()).unwrap();
    let mut lines = Lines { file: text.as_bytes(), format: survey.format, is_guess: format.is_none(), number: 0 };
    let mut tally = Tally::default();
    let end = Importer::new(server, &survey).and_then(|mut importer| {
        loop {
            let window = lines.window(None, 5, &mut tally).unwrap();
            if window.is_empty() {
                assert!(importer.followed.is_empty());
                return Ok(());
            }
            importer.window(window, &mut tally)?;
        }
    });
    (end, tally)
}

/// What carrying out the commands one by one gives.
fn plainly(commands: &Commands, server: &mut Model) {
    for (entity, attribute) in commands {
        let name = format!("h{entity}.example");
        let request = match attribute {
            Some(at) => Request::new("REGISTER").with("entity", name).with("attributes", json!({ "at": at })),
            None => Request::new("REMOVE").with("entity", name),
        };
        server.nonces.clear();
        server.answer(&request);
    }
}

fn commands() -> impl Strategy<Value = Commands> {
    prop::collection::vec((0_u8..4, prop::option::weighted(0.6, 0_u8..3)), 0..40)
}

fn with(at: u8) -> Map<String, Value> {
    Map::from_iter([("at".to_owned(), json!(at))])
}

proptest! {
    /// On an empty server, however often and wherever the connection breaks, whether or not the server remembers the
    /// nonces, and however it asks to wait: in the end the server has the state that carrying out the file gives, and
    /// one more run sends no change.
    #[test]
    fn an_import_ends_with_the_right_state(
        commands in commands(),
        breaks in prop::collection::vec((1_usize..30, 0_usize..5), 0..5),
        nonces_are_forgotten: bool,
        overloaded_every in prop::option::of(2_usize..9),
    ) {
        let text = file_of(&commands);
        let mut expected = Model::default();
        plainly(&commands, &mut expected);
        let mut server = Model { overloaded_every, ..Model::default() };
        for (after, lost) in breaks {
            server.breaks_at = Some((server.received + after, lost));
            let _ = import(&text, None, &mut server);
            if nonces_are_forgotten {
                server.nonces.clear();
            }
        }
        server.breaks_at = None;
        let (end, tally) = import(&text, None, &mut server);
        prop_assert!(end.is_ok(), "{end:?}");
        prop_assert_eq!((tally.lines(), tally.exit().code()), (commands.len() as u64, 0));
        prop_assert_eq!(&server.events, &expected.events);

        let before = server.changes_received;
        let (end, _) = import(&text, None, &mut server);
        prop_assert!(end.is_ok());
        prop_assert_eq!(server.changes_received, before);
    }

    /// Where somebody had registered entities before: the same set in the end, and one more run changes nothing.
    #[test]
    fn what_was_there_before_does_not_confuse_an_import(
        commands in commands(),
        before in commands(),
        broken in prop::option::of((1_usize..30, 0_usize..5)),
    ) {
        let text = file_of(&commands);
        let (mut server, mut expected) = (Model::default(), Model::default());
        plainly(&before, &mut server);
        plainly(&before, &mut expected);
        plainly(&commands, &mut expected);
        if let Some((after, lost)) = broken {
            server.breaks_at = Some((after, lost));
            let _ = import(&text, None, &mut server);
            server.breaks_at = None;
        }
        prop_assert!(import(&text, None, &mut server).0.is_ok());
        let state = |model: &Model| {
            let mut registered: Vec<String> = model.events.iter().filter(|(_, events)| matches!(events.last(), Some(Some(_)))).map(|(name, _)| name.clone()).collect();
            registered.sort();
            registered
        };
        prop_assert_eq!(state(&server), state(&expected));
        let sent = server.changes_received;
        let events = server.events.clone();
        prop_assert!(import(&text, None, &mut server).0.is_ok());
        prop_assert_eq!(&server.events, &events);
        prop_assert_eq!(server.changes_received, sent);
    }
}

#[test]
fn counts_what_was_new_known_and_refused() {
    let mut server = Model::default();
    server.register_behind_the_back("a.example", Map::new());
    let text = "a.example\nb.example\n# comment\nbad..example\nc.example\nB.example\n";
    let (end, tally) = import(text, Some(Format::Lines), &mut server);
    assert!(end.is_ok());
    assert_eq!(tally.refusals(), ["line 4: bad..example: 400 bad_entity: no such name"]);
    let counts = "\"known\":2,\"lines\":5,\"new\":2,\"per_second\":5,\"refused\":1";
    let json = tally.json(Duration::from_secs(1));
    assert!(json.contains(counts), "{json}");
    // b.example, c.example, and b.example in its other spelling, which the server answers with 409.
    assert_eq!(server.changes_received, 3);
}

#[test]
fn a_text_that_nobody_calls_names_is_not_taken_for_names() {
    let text = "a.example\nsome words\nword\nb@c.example\n";
    let mut server = Model::default();
    let (end, tally) = import(text, None, &mut server);
    assert!(end.is_ok());
    let refused = [
        "line 2: reads as an organization; say --type organization if it is meant",
        "line 3: reads as a user id; say --type userid if it is meant",
    ];
    assert_eq!((tally.refusals(), tally.exit().code()), (refused.map(str::to_owned).to_vec(), 3));
    assert_eq!(server.changes_received, 2);
    let (_, tally) = import(text, Some(Format::Lines), &mut Model::default());
    assert_eq!((tally.lines(), tally.exit().code()), (4, 0));
}

#[test]
fn an_answer_that_was_lost_is_not_a_second_effect() {
    let mut server = Model::default();
    let commands = vec![(0, Some(1)), (0, None), (0, Some(2)), (0, None)];
    let text = file_of(&commands);
    // CAPABILITIES, AUDIT, REGISTER and REMOVE arrive; the answer to REMOVE is lost.
    server.breaks_at = Some((4, 1));
    let (end, tally) = import(&text, None, &mut server);
    assert!(matches!(end, Err(Stopped::Connection(_))));
    assert_eq!(tally.lines(), 1);
    server.breaks_at = None;
    assert!(import(&text, None, &mut server).0.is_ok());
    assert_eq!(server.events["h0.example"], [Some(with(1)), None, Some(with(2)), None]);
}

#[test]
fn an_overloaded_server_is_waited_for_and_at_last_given_up() {
    let mut server = Model { overloaded_every: Some(3), ..Model::default() };
    assert!(import("a.example\nb.example\nc.example\n", Some(Format::Lines), &mut server).0.is_ok());
    assert!(server.pauses > 0);
    let mut server = Model { overloaded_every: Some(1), ..Model::default() };
    let (end, _) = import("a.example\n", Some(Format::Lines), &mut server);
    assert!(matches!(end, Err(Stopped::Refused(_))));
}
