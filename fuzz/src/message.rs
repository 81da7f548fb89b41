//! A whole conversation: every message has one answer, in order, and it does not matter how the bytes arrive.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use repsec::domain::{Asked, Changed, Command, Found, Lookups, Outcome, Refusal, Unavailable, Verified};
use repsec::faces::repsec::{Limits, Session, Settings};
use repsec::faces::{Face as _, Step};
use repsec::types::{HashKey, Kind, KindCode, Principal, Sequence, Timestamp};
use repsec::wire::json::Parser;

const NOW: Timestamp = Timestamp::from_unix_s(1_756_807_200);

/// The front says how the rest is cut, and in which order the store finishes.
pub fn run(data: &[u8]) {
    let (pieces, stream) = super::pieces(data);
    let whole = converse(stream, &[usize::MAX], false);
    assert_eq!(converse(stream, &pieces, true), whole, "cut as {pieces:?}");
    assert_eq!(converse(stream, &[1], false), whole, "byte by byte");
}

/// The answers, line by line, and whether the connection must end.
fn converse(stream: &[u8], pieces: &[usize], late: bool) -> (Vec<String>, bool) {
    // Small bounds, so that they are met.
    let limits =
        Limits { message_bytes_max: 4096, bulk_message_bytes_max: 8192, bulk_entities_max: 50, ..Limits::default() };
    let settings = Settings::new(limits, false, HashKey::new([7; 16]), &[1]);
    let parser = Rc::new(RefCell::new(Parser::new(limits.depth_max)));
    let mut session = Session::new(Arc::new(settings), Principal::Anonymous, parser);
    let (mut out, mut records, mut pending) = (Vec::new(), 0, Vec::new());
    let (mut rest, mut pieces) = (stream, pieces.iter().cycle());
    loop {
        let mut progress = false;
        if session.wants_input() && !rest.is_empty() {
            let piece = pieces.next().copied().unwrap_or(1);
            let (now, later) = rest.split_at(piece.min(rest.len()));
            session.receive(now);
            rest = later;
            progress = true;
        }
        while let Some(Step { slot, asked }) = session.next(NOW) {
            pending.extend(outcomes(&asked).into_iter().map(|outcome| (slot, outcome)));
        }
        // A late store finishes when nothing else can be done, last things first.
        if !late || !progress {
            progress |= !pending.is_empty();
            pending.drain(..).rev().for_each(|(slot, outcome)| session.complete(slot, outcome));
        }
        while session.output_ready() {
            session.take_output(&mut out);
            progress = true;
        }
        session.take_records(&mut |_| records += 1);
        if !progress {
            break;
        }
    }
    assert_eq!((session.outstanding(), session.waiting(), session.unsent_bytes()), (0, 0, 0));
    assert_eq!(session.messages(), records, "each message has one answer, and one record");
    let text = String::from_utf8(out).expect("answers are UTF-8");
    let lines: Vec<String> = text.split_terminator('\n').map(str::to_owned).collect();
    assert_eq!(lines.len() as u64, records, "each answer is one line");
    for line in &lines {
        let answer: serde_json::Value = serde_json::from_str(line).expect("an answer is JSON");
        assert!(answer["status"].is_u64() && answer["message"].is_string(), "{line}");
    }
    (lines, session.finished())
}

/// What a store says: a function of the command alone, so that conversations can be compared.
fn outcomes(asked: &Asked) -> Vec<Outcome> {
    let request = match asked {
        Asked::One(request) => request,
        Asked::Many(lookups) => return looked_up(lookups).map(Outcome::VerifiedMany).collect(),
        Asked::Each(lookups) => return looked_up(lookups).map(Outcome::VerifiedEach).collect(),
        Asked::Changes(changes) => {
            let mut changes = changes.clone();
            for (asked, noted) in changes.each_mut() {
                let sequence = Sequence::new(asked.entity.len() as u64);
                *noted = match asked.attributes {
                    Some(_) => Changed::Happened { sequence, time: NOW, replayed: asked.once.is_some() },
                    None => Changed::Refused(Refusal::NotRegistrant),
                };
            }
            return vec![Outcome::Changed(changes)];
        }
    };
    let entity = request.command.subject().entity.clone();
    let sequence = Sequence::new(entity.as_str().len() as u64);
    vec![match &request.command {
        Command::Register { .. } => {
            Outcome::Registered { entity, sequence, time: NOW, replayed: request.once.is_some() }
        }
        Command::Remove { .. } => Outcome::Refused(Refusal::NotRegistrant),
        Command::Verify { .. } => Outcome::Verified(Verified { verified: true, kind: Kind::Domain, last_updated: NOW }),
        Command::Audit { .. } => Outcome::Unavailable(Unavailable::Overloaded),
    }]
}

/// What two shards find, each of its part.
fn looked_up(lookups: &Lookups) -> impl Iterator<Item = Box<Lookups>> {
    (0..2).map(move |shard| {
        let mut part = lookups.part(|lookup| lookup.hash.shard(2) == shard);
        // Lookups that come together are registered, as single ones are above.
        for lookup in part.each_mut().1 {
            lookup.found = Found::Registered { kind: KindCode::new(1), last_updated: NOW };
        }
        Box::new(part)
    })
}
