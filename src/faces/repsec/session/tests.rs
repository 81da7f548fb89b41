//! Tests of `session`.

use proptest::prelude::*;

use super::*;
use crate::domain::{ChangeRef, Named, Refusal, Unavailable, Verified};
use crate::faces::repsec::Limits;
use crate::types::limits::{BULK_MESSAGE_BYTES_MAX, MALFORMED_IN_A_ROW_MAX, OUTSTANDING_COMMANDS_MAX};
use crate::types::{HashKey, Kind, Sequence};

mod hostile;

const NOW: Timestamp = Timestamp::from_unix_s(1_756_807_200);
const PING: &[u8] = b"{\"command\":\"PING\"}\n";

fn session_with(limits: Limits) -> Session {
    let settings = Settings::new(limits, false, HashKey::new([7; 16]), &[1]);
    let parser = Rc::new(RefCell::new(Parser::new(limits.depth_max)));
    Session::new(Arc::new(settings), Principal::Anonymous, parser)
}

fn session() -> Session {
    session_with(Limits::default())
}

/// What a store says of a command: a function of the command alone, so that answers can be compared.
fn outcomes(asked: &Asked) -> Vec<Outcome> {
    let request = match asked {
        Asked::One(request) => request,
        // Three shards, each with its part of the names.
        Asked::Many(lookups) => {
            return looked_up(lookups, |name| name.len() % 3 > 0).map(Outcome::VerifiedMany).collect();
        }
        Asked::Each(lookups) => return looked_up(lookups, |_| true).map(Outcome::VerifiedEach).collect(),
        Asked::Changes(changes) => {
            return decided(changes).into_iter().map(|part| Outcome::Changed(Box::new(part))).collect();
        }
    };
    let Named { entity, .. } = request.command.subject();
    vec![match &request.command {
        Command::Register { .. } | Command::Remove { .. } => match changed(&request.change().unwrap()) {
            Changed::Happened { sequence, time, replayed } => {
                Outcome::Registered { entity: entity.clone(), sequence, time, replayed }
            }
            Changed::Refused(refusal) => Outcome::Refused(refusal),
            other => panic!("{other:?}"),
        },
        Command::Verify { .. } => Outcome::Verified(Verified { verified: true, kind: Kind::Domain, last_updated: NOW }),
        Command::Audit { .. } => Outcome::Unavailable(Unavailable::Overloaded),
    }]
}

fn changed(asked: &ChangeRef<'_>) -> Changed {
    let sequence = Sequence::new(u64::try_from(asked.entity.len()).unwrap());
    match asked.attributes {
        Some(_) => Changed::Happened { sequence, time: NOW, replayed: asked.once.is_some() },
        None => Changed::Refused(Refusal::NotRegistrant),
    }
}

/// Changes that came together, by the two shards that own them in turns.
fn decided(changes: &Changes) -> Vec<Changes> {
    let (mut rest, mut parts) = (changes.clone(), Vec::new());
    while let Some(owner) = rest.each().first().map(|change| change.hash.shard(2)) {
        let mut part = rest.take_front_while(|change| change.hash.shard(2) == owner);
        part.each_mut().for_each(|(asked, noted)| *noted = changed(&asked));
        parts.push(part);
    }
    parts
}

fn looked_up(lookups: &Lookups, is_registered: fn(&[u8]) -> bool) -> impl Iterator<Item = Box<Lookups>> {
    (0..3).map(move |shard| {
        let mut part = lookups.part(|lookup| lookup.hash.shard(3) == shard);
        let (names, each) = part.each_mut();
        for lookup in each {
            if is_registered(lookup.name_in(names)) {
                lookup.found = Found::Registered { kind: KindCode::new(1), last_updated: NOW };
            }
        }
        Box::new(part)
    })
}

/// Lookups at these places, of which nothing was found.
fn nothing_at(places: &[u32]) -> Box<Lookups> {
    let mut lookups = Lookups::new(Principal::Anonymous);
    places.iter().for_each(|place| lookups.push(*place, HashKey::new([7; 16]).hash(""), b""));
    Box::new(lookups)
}

/// What a conversation leaves behind.
#[derive(PartialEq, Debug)]
struct Heard {
    answers: Vec<serde_json::Value>,
    records: Vec<(u8, u16, bool)>,
    finished: bool,
}

/// Holds a conversation: the stream in pieces of these lengths, and each pending answer completed when its number in
/// `patience` (repeated) has counted down, so that answers come in any order. A session that takes it in pieces is lent
/// memory in which another one has left the same messages.
fn converse(mut session: Session, stream: &[u8], pieces: &[usize], patience: &[usize]) -> Heard {
    let (mut out, mut records) = (Vec::new(), Vec::new());
    let mut pending: Vec<(usize, u64, Outcome)> = Vec::new();
    let mut patience = patience.iter().cycle();
    let left_bytes = if pieces == [usize::MAX] { 0 } else { 5_000 };
    let left: Vec<u8> = stream.iter().copied().cycle().take(left_bytes).collect();
    let mut pieces = pieces.iter().cycle();
    let mut rest = stream;
    loop {
        let mut progress = false;
        let mut lent = left.clone();
        session.borrow_memory(&mut lent);
        if session.wants_input() && !rest.is_empty() {
            let (now, later) = rest.split_at((*pieces.next().unwrap()).clamp(1, rest.len()));
            session.receive(now);
            rest = later;
            progress = true;
        }
        while let Some(Step { slot, asked }) = session.next(NOW) {
            assert!(session.outstanding() <= OUTSTANDING_COMMANDS_MAX);
            pending.extend(outcomes(&asked).into_iter().map(|outcome| (*patience.next().unwrap(), slot, outcome)));
        }
        session.return_memory(&mut lent);
        progress |= !pending.is_empty();
        for (left, ..) in &mut pending {
            *left = left.saturating_sub(1);
        }
        for (_, slot, outcome) in pending.extract_if(.., |(left, ..)| *left == 0) {
            session.complete(slot, outcome);
        }
        while session.output_ready() {
            session.take_output(&mut out);
            progress = true;
        }
        session.take_records(&mut |record| {
            records.push((record.command, record.status, record.entity != 0));
        });
        if !progress {
            break;
        }
    }
    assert_eq!(session.outstanding(), 0);
    let answers =
        out.split_inclusive(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!(session.unsent_bytes(), 0);
    Heard { answers, records, finished: session.finished() }
}

/// The conversation in one piece, with every answer at once.
fn plainly(stream: &[u8]) -> Heard {
    converse(session(), stream, &[usize::MAX], &[0])
}

fn statuses(heard: &Heard) -> Vec<u64> {
    heard.answers.iter().map(|answer| answer["status"].as_u64().unwrap()).collect()
}

/// Members of a message behind its id, with the status it will be answered with.
fn message() -> impl Strategy<Value = (String, u64)> {
    let entity = prop_oneof!["[a-z]{1,8}\\.example", "[A-Z]{1,8}\\.Example\\.", "[a-z]{1,12}"];
    (entity, 0..16).prop_map(|(entity, shape)| match shape {
        0 => (r#""command":"PING""#.to_owned(), 200),
        1 => (format!(r#""command":"REGISTER","entity":"{entity}","attributes":{{"b":"\n","a":[1]}}"#), 200),
        2 => (format!(r#""command":"REMOVE","entity":"{entity}""#), 403),
        3 | 4 => (format!(r#""command":"verify","entity":"{entity}""#), 200),
        5 => (format!(r#""command":"AUDIT","entity":"{entity}""#), 429),
        6 => (format!(r#""command":"VERIFY","entities":["{entity}",7,"b.example","{entity}","c.example"]"#), 200),
        7 => (format!(r#""command":"CAPABILITIES","entity":"{entity}""#), 200),
        8 => (r#""command":"VERIFY""#.to_owned(), 400),
        11 | 12 => (format!(r#""command":"REGISTER","entity":"{entity}","attributes":{{"a":"{entity}","b":7}}"#), 200),
        13 => {
            let nonce = format!("{entity:x>30}").replace('.', "-");
            (format!(r#""command":"REGISTER","entity":"{entity}","ts":1756807200,"nonce":"{nonce}""#), 200)
        }
        14 => {
            let status = if entity.contains('.') { 200 } else { 400 };
            (format!(r#""command":"REGISTER","entity":"{entity}","type":"domain""#), status)
        }
        15 => (format!(r#""command":"REMOVE","entity":"{entity}","nonce":"{entity}""#), 400),
        9 => (format!(r#""command":"{entity}""#), 400),
        _ => (r#""command":"VERIFY","entities":["",null]"#.to_owned(), 200),
    })
}

/// Streams of well-formed messages and of lines that are none.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        6 => (message(), "\r?\n").prop_map(|((members, _), end)| format!("{{{members}}}{end}").into_bytes()),
        1 => message().prop_map(|(members, _)| format!("{{{members}}}").into_bytes()),
        1 => message().prop_map(|(members, _)| format!("{{\n  {}\n}}", members.replace(",\"", ",\n  \"")).into_bytes()),
        1 => (message(), crate::wire::samples::edits()).prop_map(|((members, _), edits)| {
            [crate::wire::samples::edited(&format!("{{{members}}}"), &edits), b"\n".to_vec()].concat()
        }),
    ];
    proptest::collection::vec(line, 1..24).prop_map(|lines| lines.concat())
}

proptest! {
    #[test]
    fn neither_the_cutting_of_the_stream_nor_the_order_of_the_store_is_heard(
        stream in stream(),
        pieces in proptest::collection::vec(1..300_usize, 1..8),
        patience in proptest::collection::vec(0..5_usize, 1..8),
    ) {
        let expected = plainly(&stream);
        prop_assert_eq!(&converse(session(), &stream, &pieces, &patience), &expected);
        prop_assert_eq!(&converse(session(), &stream, &[1], &patience), &expected);
        // Two messages at a time: back-pressure is not heard either.
        let narrow = session_with(Limits { outstanding_commands_max: 2, ..Limits::default() });
        let narrow = converse(narrow, &stream, &pieces, &patience);
        prop_assert_eq!(narrow.records, expected.records);
        prop_assert_eq!(narrow.finished, expected.finished);
    }

    #[test]
    fn every_message_has_its_answer_in_its_turn(
        messages in proptest::collection::vec(message(), 1..40),
        separator in prop_oneof![Just(""), Just("\n"), Just("\r\n"), Just("\n\n  \r\n")],
        piece in 1..5000_usize,
        patience in proptest::collection::vec(0..9_usize, 1..5),
    ) {
        let texts: Vec<_> =
            messages.iter().enumerate().map(|(id, (members, _))| format!("{{\"id\":{id},{members}}}")).collect();
        let heard = converse(session(), texts.join(separator).as_bytes(), &[piece], &patience);
        let ids: Vec<_> = heard.answers.iter().map(|answer| answer["id"].as_u64().unwrap()).collect();
        prop_assert_eq!(ids, (0..).take(messages.len()).collect::<Vec<u64>>());
        prop_assert_eq!(statuses(&heard), messages.iter().map(|(_, status)| *status).collect::<Vec<_>>());
        let recorded: Vec<_> = heard.records.iter().map(|record| u64::from(record.1)).collect();
        prop_assert_eq!(recorded, statuses(&heard));
    }

    /// What is asked, together or alone, is what the messages say, in their order.
    #[test]
    fn commands_are_asked_in_their_order(
        messages in proptest::collection::vec((0..5_usize, "[a-z]{1,9}\\.(example|\u{e4})"), 1..400),
        piece in 1..30_000_usize,
    ) {
        const COMMANDS: [&str; 5] = ["REGISTER", "REMOVE", "VERIFY", "PING", "AUDIT"];
        let line = |(command, name): &(usize, String)| {
            format!("{{\"command\":\"{}\",\"entity\":\"{name}\",\"id\":1}}\n", COMMANDS[*command])
        };
        let canonical = |name: &str| crate::types::Entity::parse(name).unwrap().as_str().to_owned();
        let stream: String = messages.iter().map(line).collect();
        let expected = (0..).zip(&messages).filter(|(_, (command, _))| *command != 3);
        let expected: Vec<(u64, &str, String)> =
            expected.map(|(slot, (command, name))| (slot, COMMANDS[*command], canonical(name))).collect();
        let (mut session, mut asked) = (session(), Vec::new());
        for piece in stream.as_bytes().chunks(piece) {
            session.receive(piece);
            while let Some(step) = session.next(NOW) {
                each_asked(&step, |slot, command, name| asked.push((slot, command, name.to_owned())));
            }
        }
        prop_assert_eq!(asked, expected);
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(converse(session(), &bytes, &[7], &[1]), plainly(&bytes));
    }
}

/// Each command of a step, with its slot, its name and its entity.
fn each_asked(step: &Step, mut visit: impl FnMut(u64, &'static str, &str)) {
    let change = |change: &ChangeRef<'_>| if change.attributes.is_some() { "REGISTER" } else { "REMOVE" };
    match &step.asked {
        Asked::One(request) => match (request.change(), &request.command) {
            (Some(asked), _) => visit(step.slot, change(&asked), asked.entity),
            (None, Command::Audit { subject, .. }) => visit(step.slot, "AUDIT", subject.entity.as_str()),
            (None, other) => visit(step.slot, "VERIFY", other.subject().entity.as_str()),
        },
        Asked::Many(_) => panic!("nobody asked for many"),
        Asked::Each(lookups) => {
            for lookup in lookups.each() {
                let name = std::str::from_utf8(lookups.name(lookup)).unwrap();
                visit(step.slot + u64::from(lookup.place), "VERIFY", name);
            }
        }
        Asked::Changes(changes) => {
            for asked in changes.each() {
                let (place, asked) = (asked.place, changes.asked(asked));
                visit(step.slot + u64::from(place), change(&asked), asked.entity);
            }
        }
    }
}

#[test]
fn a_thousand_commands_in_one_buffer() {
    let stream: String =
        (0..1000).map(|i| format!("{{\"command\":\"VERIFY\",\"entity\":\"h{i}.example\",\"id\":{i}}}\n")).collect();
    let heard = plainly(stream.as_bytes());
    let ids: Vec<_> = heard.answers.iter().map(|answer| answer["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (0..1000).collect::<Vec<_>>());
}

#[test]
fn back_pressure_holds_at_the_bound_and_lets_go() {
    let mut session = session();
    session.receive(&PING.repeat(OUTSTANDING_COMMANDS_MAX + 1));
    assert_eq!(session.next(NOW), None);
    assert_eq!(session.outstanding(), OUTSTANDING_COMMANDS_MAX);
    assert!(!session.wants_input());
    // The last message, and the line end before it.
    assert_eq!(session.pending_bytes(), PING.len() + 1);
    let mut out = Vec::new();
    session.take_output(&mut out);
    assert!(session.wants_input());
    assert_eq!(session.next(NOW), None);
    while session.output_ready() {
        session.take_output(&mut out);
    }
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), OUTSTANDING_COMMANDS_MAX + 1);
}

#[test]
fn an_answer_waits_for_the_one_before() {
    let mut session = session();
    session.receive(b"{\"command\":\"VERIFY\",\"entity\":\"a.example\"}");
    session.receive(PING);
    let step = session.next(NOW).unwrap();
    assert_eq!((step.slot, session.next(NOW)), (0, None));
    assert!(session.unsent_bytes() > 0);
    let mut out = Vec::new();
    session.take_output(&mut out);
    assert!(out.is_empty() && !session.output_ready());
    session.complete(step.slot, Outcome::Refused(Refusal::NotRegistered));
    assert!(session.output_ready());
    session.take_output(&mut out);
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 2);
}

#[test]
fn what_comes_twice_or_for_nobody_is_ignored() {
    let mut session = session();
    session.receive(b"{\"command\":\"VERIFY\",\"entities\":[\"a.example\",\"b.example\"]}");
    let slot = session.next(NOW).unwrap().slot;
    session.complete(7, Outcome::Unavailable(Unavailable::Failed));
    session.complete(slot, Outcome::VerifiedMany(nothing_at(&[0])));
    assert!(!session.output_ready());
    // A part that fails ends the whole; the part that comes after it is late.
    session.complete(slot, Outcome::Unavailable(Unavailable::Overloaded));
    session.complete(slot, Outcome::VerifiedMany(nothing_at(&[1])));
    let mut out = Vec::new();
    session.take_output(&mut out);
    let answer: serde_json::Value = serde_json::from_slice(&out).unwrap();
    assert_eq!(answer["error"], "overloaded");
    session.complete(slot, Outcome::VerifiedMany(nothing_at(&[1])));
    assert!(!session.output_ready() && session.outstanding() == 0);
    assert_eq!(session.unsent_bytes(), 0);
}

/// Whether the store answers all names of a bulk lookup at once or in parts, the answer is the same, and weighs as much while
/// it waits to be sent.
#[test]
fn parts_make_the_answer_of_the_whole() {
    let told = |parts: &[&[u32]]| {
        let mut session = session();
        session.receive(b"{\"command\":\"VERIFY\",\"entities\":[\"a.example\",\"b.example\",\"c.example\"]}");
        let slot = session.next(NOW).unwrap().slot;
        for part in parts {
            assert!(!session.output_ready());
            let mut part = nothing_at(part);
            for lookup in part.each_mut().1.iter_mut().filter(|lookup| lookup.place > 0) {
                lookup.found = Found::Registered { kind: KindCode::new(1), last_updated: NOW };
            }
            session.complete(slot, Outcome::VerifiedMany(part));
        }
        let (weight_bytes, mut out) = (session.unsent_bytes(), Vec::new());
        session.take_output(&mut out);
        assert!(weight_bytes >= out.len() && session.unsent_bytes() == 0);
        (weight_bytes, String::from_utf8(out).unwrap())
    };
    let whole = told(&[&[0, 1, 2]]);
    let parts: [&[&[u32]]; 3] = [&[&[0], &[1, 2]], &[&[2], &[0, 1]], &[&[1, 0, 2]]];
    for parts in parts {
        assert_eq!(told(parts), whole, "{parts:?}");
    }
}

#[test]
fn a_cut_message_is_never_executed() {
    let mut session = session();
    session.receive(b"{\"command\":\"REMOVE\",\"entity\":\"a.example\"");
    assert_eq!(session.next(NOW), None);
    assert!(session.message_started() && session.outstanding() == 0);
    session.receive(b"}");
    assert!(session.next(NOW).is_some());
    assert!(!session.message_started());
}

#[test]
fn white_space_and_rubbish_begin_no_message() {
    let mut session = session();
    for bytes in [" \r\n", "rubbish", " and more"] {
        session.receive(bytes.as_bytes());
        assert_eq!(session.next(NOW), None);
        assert!(!session.message_started(), "{bytes}");
        assert_eq!(session.pending_bytes(), 0, "{bytes}");
    }
    assert_eq!(session.outstanding(), 1);
}

#[test]
fn the_last_malformed_message_is_answered_before_the_end() {
    let lines = |count: u32| "x\n".repeat(usize::try_from(count).unwrap());
    let heard = plainly([lines(MALFORMED_IN_A_ROW_MAX).as_bytes(), PING].concat().as_slice());
    assert!(heard.finished);
    assert_eq!(statuses(&heard), vec![400; usize::try_from(MALFORMED_IN_A_ROW_MAX).unwrap()]);
    // One good message begins the count anew.
    let few = lines(MALFORMED_IN_A_ROW_MAX - 1);
    let heard = plainly([few.as_bytes(), b"{}", few.as_bytes(), PING].concat().as_slice());
    assert!(!heard.finished);
    assert_eq!(heard.answers.last().unwrap()["status"], 200);
}

#[test]
fn a_message_without_end_ends_the_connection_and_not_what_was_asked_before() {
    let mut session = session();
    session.receive(b"{\"command\":\"VERIFY\",\"entity\":\"a.example\"}{\"x\":\"");
    session.receive(&vec![b'x'; BULK_MESSAGE_BYTES_MAX]);
    let slot = session.next(NOW).unwrap().slot;
    assert_eq!(session.next(NOW), None);
    assert!(!session.wants_input() && !session.finished());
    assert_eq!(session.pending_bytes(), 0);
    session.complete(slot, Outcome::Refused(Refusal::NotRegistered));
    let mut out = Vec::new();
    session.take_output(&mut out);
    assert!(session.finished());
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 2);
    // Nothing is kept of what still comes.
    session.receive(PING);
    assert_eq!((session.next(NOW), session.pending_bytes()), (None, 0));
}

#[test]
fn output_is_taken_in_portions() {
    let mut session = session();
    let entities = format!("[{}\"a.example\"]", "\"a.example\",".repeat(4999));
    for _ in 0..3 {
        session.receive(format!("{{\"command\":\"VERIFY\",\"entities\":{entities}}}").as_bytes());
        let Step { slot, asked } = session.next(NOW).unwrap();
        outcomes(&asked).into_iter().for_each(|outcome| session.complete(slot, outcome));
    }
    assert!(session.unsent_bytes() > 3 * 5000 * 32);
    let mut out = Vec::new();
    for left in [2, 1, 0] {
        session.take_output(&mut out);
        assert_eq!(session.outstanding(), left);
    }
    assert_eq!(session.unsent_bytes(), 0);
}

#[test]
fn an_idle_session_gives_its_memory_back() {
    let mut session = session();
    session.receive(&PING.repeat(1000));
    assert_eq!(session.next(NOW), None);
    while session.output_ready() {
        session.take_output(&mut Vec::new());
    }
    session.take_records(&mut |_| {});
    session.receive(b"{\"comm");
    assert_eq!(session.next(NOW), None);
    session.release_memory();
    session.receive(b"and\":\"PING\"}");
    assert_eq!(session.next(NOW), None);
    assert!(session.output_ready());
}

#[test]
fn records_name_command_status_and_entity() {
    let stream = concat!(
        r#"{"command":"REGISTER","entity":"a.example"}{"command":"VERIFY","entity":"a.example"}"#,
        r#"{"command":"REMOVE","entity":"a.example"}{"command":"AUDIT","entity":"a.example"}{"command":"PING"}"#,
        r#"{"command":"CAPABILITIES"}{"command":"VERIFY","entities":["a.example"]}{"command":"DROP"}"#,
        r#"{"command":"AUDIT"}x"#
    );
    assert_eq!(
        plainly(stream.as_bytes()).records,
        [
            (1, 200, true),
            (2, 200, true),
            (3, 403, true),
            (4, 429, true),
            (5, 200, false),
            (6, 200, false),
            (7, 200, false),
            (0, 400, false),
            (4, 400, false),
            (0, 400, false),
        ]
    );
}
