//! One outcome to one answer: a line of JSON (`repsec:R11`, `repsec:O11`).
//!
//! Every answer has `id` if the message had one, then `status` and `message`, then what belongs to its command. It is
//! written straight into the bytes that will be sent, and no line end stands inside.

use std::borrow::Cow;

use crate::domain::{
    AskedChange, Change, Changed, Changes, Event, Found, HistoryPage, Order, Outcome, Refusal, Unavailable,
};
use crate::types::attributes::object_text;
use crate::types::{Day, Kind, KindCode, RFC3339_BYTES_MAX, Sequence, Timestamp};
use crate::wire::text::{push_string, push_unsigned};

use super::bulk::{NameResult, RESULT_BYTES};
use super::cursor;
use super::id::Id;
use super::message::{CommandKind, Fault};
use super::settings::Settings;
use super::status::{ErrorCode, Status};

/// What must be known of a message to phrase its answer.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    /// How the peer will recognize the answer.
    pub id: Option<Id>,
    /// The command.
    pub command: CommandKind,
    /// Which way an AUDIT reads.
    pub order: Order,
}

/// What the face answers by itself, or has gathered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// What came of a bulk lookup.
    Names(Vec<NameResult>),
    /// The answer to PING, with the server's time.
    Pong(Timestamp),
    /// The answer to CAPABILITIES.
    Capabilities,
    /// The message was not well.
    Rejected(Fault),
}

/// Writes the answer and its line end, and says which status it has.
pub fn write(out: &mut Vec<u8>, asked: &Asked, answer: &Answer, settings: &Settings) -> Status {
    let mut line = Line::begin(out, asked.id.as_ref());
    let status = match answer {
        Answer::Pong(time) => {
            line.status(Status::Ok, "pong");
            line.time_s("time", *time);
            Status::Ok
        }
        Answer::Capabilities => {
            line.status(Status::Ok, "What this server can do");
            line.out.extend_from_slice(settings.capabilities());
            Status::Ok
        }
        Answer::Rejected(fault) => line.error(fault.code, Some(&fault.detail)),
        Answer::Names(results) => line.names(results.iter().copied()),
    };
    line.end();
    status
}

/// Writes the answer that tells what came of a command, and its line end, and says which status it has.
pub fn write_outcome(out: &mut Vec<u8>, asked: &Asked, outcome: &Outcome) -> Status {
    let mut line = Line::begin(out, asked.id.as_ref());
    let status = line.outcome(asked, outcome);
    line.end();
    status
}

/// Writes the answer to a VERIFY of an entity whose kind is no extension: the same line as [`write()`] gives for it. `day` is
/// that of the answer before, or any.
pub fn write_found(out: &mut Vec<u8>, id: Option<&Id>, found: Found, day: &mut Day) -> Status {
    // Room for the longest id that is a number; a longer one finds its own.
    out.reserve(FOUND_BYTES_MAX);
    let mut line = Line::begin(out, id);
    let status = match found {
        Found::Registered { kind, last_updated } => {
            line.out.extend_from_slice(registered_line(kind));
            line.fill_time(TIME_FROM_END, last_updated, day);
            Status::Ok
        }
        Found::Nothing => {
            line.out.extend_from_slice(NOT_REGISTERED);
            Status::NotFound
        }
        Found::Unavailable(why) => line.error(ErrorCode::from(why), None),
    };
    line.end();
    status
}

/// Writes the answer that tells what came of a change, the same line as [`write_outcome()`] gives for it.
pub fn write_changed(out: &mut Vec<u8>, asked: &Asked, changes: &Changes, change: &AskedChange) -> Status {
    let mut line = Line::begin(out, asked.id.as_ref());
    let status = line.change(asked.command, changes, change);
    line.end();
    status
}

/// Roughly how many bytes a short answer has.
pub const SHORT: usize = 160;

/// Roughly how many bytes the answer will have, for bounding what waits.
pub fn estimated_bytes(answer: &Answer) -> usize {
    match answer {
        Answer::Names(results) => SHORT + results.len() * RESULT_BYTES,
        Answer::Capabilities => 8 * SHORT,
        Answer::Pong(_) | Answer::Rejected(_) => SHORT,
    }
}

/// The same of the answer that tells what came of a command.
pub fn estimated_bytes_of(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Audited(page) => page_bytes(page),
        Outcome::VerifiedMany(part) => SHORT + part.len() * RESULT_BYTES,
        _ => SHORT,
    }
}

fn page_bytes(page: &HistoryPage) -> usize {
    SHORT + page.events.iter().map(|event| SHORT + stored_text(event).len()).sum::<usize>()
}

fn stored_text(event: &Event) -> &str {
    match &event.change {
        Change::Registered { attributes } => attributes.as_str(),
        Change::Removed => "",
    }
}

/// What stands behind the id in the answer about an entity of this kind, with room for the time.
macro_rules! registered_lines {
    ($($kind:literal)*) => {
        [$(concat!(
            r#""status":200,"message":"Entity is registered","verified":true,"type":""#,
            $kind,
            r#"","last_updated":"0000-00-00T00:00:00Z""#
        )),*]
    };
}
/// In the order of [`KindCode`].
static REGISTERED_LINES: [&str; 8] =
    registered_lines!["domain" "ip" "network" "asn" "email" "url" "userid" "organization"];
/// How far before the end of such a line its time begins.
const TIME_FROM_END: usize = 21;
/// What stands in the answer to a bulk lookup for one of its names, with room for the time.
const REGISTERED_NAME: &[u8; 69] = br#"{"status":200,"verified":true,"last_updated":"0000-00-00T00:00:00Z"},"#;
const UNVERIFIED_NAME: &[u8; 70] = br#"{"status":200,"verified":false,"last_updated":"0000-00-00T00:00:00Z"},"#;
const NOT_REGISTERED_NAME: &[u8; 32] = br#"{"status":404,"verified":false},"#;
/// How far before the end of these their time begins.
const NAME_TIME_FROM_END: usize = TIME_FROM_END + 2;

fn registered_line(kind: KindCode) -> &'static [u8] {
    let line = usize::from(kind.number()).checked_sub(1).and_then(|place| REGISTERED_LINES.get(place));
    line.copied().unwrap_or_default().as_bytes()
}

/// Bytes of an answer about an entity that was found, with an id that is a number.
const FOUND_BYTES_MAX: usize = 224;
const NOT_REGISTERED: &[u8] =
    br#""status":404,"message":"The entity is not registered","error":"not_registered","verified":false"#;
/// Bytes of an answer to a change behind its entity, whose name needs no escape.
const CHANGED_BYTES_MAX: usize = 112;
/// What stands before the entity in the answer to a change.
const REGISTERED_NOW: &[u8] = br#""status":200,"message":"Entity registered successfully","entity":"#;
const REMOVED_NOW: &[u8] = br#""status":200,"message":"Entity removed successfully","entity":"#;
const REGISTERED: &[u8] = br#""status":200,"message":"Entity is registered","verified":true,"type":""#;
const REGISTERED_OTHERWISE: &[u8] =
    br#""status":200,"message":"Entity is registered, but not as claimed","verified":false,"type":""#;

/// An answer that is being written.
struct Line<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Line<'a> {
    fn begin(out: &'a mut Vec<u8>, id: Option<&Id>) -> Line<'a> {
        match id {
            None => out.push(b'{'),
            Some(id) => {
                out.extend_from_slice(b"{\"id\":");
                id.write(out);
                out.push(b',');
            }
        }
        Line { out }
    }

    fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    fn status(&mut self, status: Status, message: &str) {
        self.out.extend_from_slice(b"\"status\":");
        push_unsigned(self.out, u64::from(status.code()));
        self.text("message", message);
    }

    /// Begins a member behind another. `name` is a word of the protocol and needs no escape.
    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        push_string(self.out, value);
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        push_unsigned(self.out, value);
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// A time in whole seconds, as in the draft's examples.
    fn time_s(&mut self, name: &str, time: Timestamp) {
        self.name(name);
        self.out.push(b'"');
        self.out.extend_from_slice(&time.rfc3339_s());
        self.out.push(b'"');
    }

    fn error(&mut self, code: ErrorCode, detail: Option<&str>) -> Status {
        self.status(code.status(), code.message());
        self.text("error", code.as_str());
        if let Some(detail) = detail {
            self.text("detail", detail);
        }
        if let Some(seconds) = code.retry_after_s() {
            self.number("retry_after", seconds);
        }
        code.status()
    }

    fn outcome(&mut self, asked: &Asked, outcome: &Outcome) -> Status {
        match outcome {
            Outcome::Registered { entity, sequence, time: _, replayed } => {
                self.changed(REGISTERED_NOW, entity.as_str(), Some(entity.kind()), *sequence, *replayed)
            }
            Outcome::Removed { entity, sequence, time: _, replayed } => {
                self.changed(REMOVED_NOW, entity.as_str(), None, *sequence, *replayed)
            }
            Outcome::Verified(verified) => {
                self.verified(verified.verified, verified.kind.name(), verified.last_updated);
                Status::Ok
            }
            // Sessions take these apart; as the answer to one message it is the first of them.
            Outcome::Changed(changes) => match changes.each().first() {
                Some(change) => self.change(asked.command, changes, change),
                None => self.error(ErrorCode::from(Unavailable::Failed), None),
            },
            // And these are a list.
            Outcome::VerifiedMany(part) | Outcome::VerifiedEach(part) => {
                self.names(part.each().iter().map(|lookup| NameResult::from(lookup.found)))
            }
            Outcome::Audited(page) => self.audited(page, asked.order),
            Outcome::Refused(refusal) => self.refused(asked.command, *refusal),
            Outcome::Unavailable(why) => self.error(ErrorCode::from(*why), None),
        }
    }

    fn change(&mut self, command: CommandKind, changes: &Changes, change: &AskedChange) -> Status {
        match change.changed {
            Changed::Happened { sequence, time: _, replayed } => {
                let kind = change.begins().then_some(change.kind());
                let begin = if change.begins() { REGISTERED_NOW } else { REMOVED_NOW };
                self.changed(begin, changes.entity(change), kind, sequence, replayed)
            }
            Changed::Refused(refusal) => self.refused(command, refusal),
            Changed::Unavailable(why) => self.error(ErrorCode::from(why), None),
            // No answer is written before it is decided.
            Changed::Undecided => self.error(ErrorCode::from(Unavailable::Failed), None),
        }
    }

    /// `kind` is told of what was registered, since the registrant may have left it to be inferred.
    fn changed(
        &mut self,
        begin: &[u8],
        entity: &str,
        kind: Option<&Kind>,
        sequence: Sequence,
        replayed: bool,
    ) -> Status {
        self.out.reserve(begin.len() + entity.len() + CHANGED_BYTES_MAX);
        self.out.extend_from_slice(begin);
        match kind {
            // What has the syntax of a domain or an address needs no escape.
            Some(Kind::Domain | Kind::Ip) => {
                self.out.push(b'"');
                self.out.extend_from_slice(entity.as_bytes());
                self.out.push(b'"');
            }
            _ => push_string(self.out, entity),
        }
        if let Some(kind) = kind {
            // The names of kinds need no escape.
            self.out.extend_from_slice(b",\"type\":\"");
            self.out.extend_from_slice(kind.name().as_bytes());
            self.out.push(b'"');
        }
        self.out.extend_from_slice(b",\"sequence\":");
        push_unsigned(self.out, sequence.value());
        if replayed {
            self.flag("replayed", true);
        }
        Status::Ok
    }

    /// As [`write_found`] does for most of them; here a claim may fail, and the kind may be an extension.
    fn verified(&mut self, verified: bool, kind: &str, last_updated: Timestamp) {
        self.out.extend_from_slice(if verified { REGISTERED } else { REGISTERED_OTHERWISE });
        // The names of kinds need no escape.
        self.out.extend_from_slice(kind.as_bytes());
        self.out.extend_from_slice(b"\",\"last_updated\":\"");
        self.out.extend_from_slice(&last_updated.rfc3339_s());
        self.out.push(b'"');
    }

    fn refused(&mut self, command: CommandKind, refusal: Refusal) -> Status {
        let detail = match refusal {
            Refusal::StaleTimestamp { now } => Some(Cow::Owned(format!("ts: the server's time is {}", now.unix_s()))),
            Refusal::AtInFuture => Some(Cow::Borrowed("at: must not lie in the future")),
            Refusal::NonceReused
            | Refusal::TooManyNonces
            | Refusal::AlreadyRegistered
            | Refusal::UnknownEntity
            | Refusal::NotRegistered
            | Refusal::NotRegistrant => None,
        };
        let status = self.error(ErrorCode::from(refusal), detail.as_deref());
        if command == CommandKind::Verify && status == Status::NotFound {
            self.flag("verified", false);
        }
        status
    }

    fn names(&mut self, results: impl ExactSizeIterator<Item = NameResult>) -> Status {
        self.out.reserve(results.len() * RESULT_BYTES);
        let mut day = Day::EPOCH;
        self.status(Status::Ok, "Entities looked up");
        self.name("results");
        self.out.push(b'[');
        for result in results {
            self.name_result(result, &mut day);
        }
        // Behind each stands a comma.
        if self.out.last() == Some(&b',') {
            self.out.pop();
        }
        self.out.push(b']');
        Status::Ok
    }

    /// Writes what came of one name, and a comma.
    fn name_result(&mut self, result: NameResult, day: &mut Day) {
        match result {
            NameResult::Registered { verified: true, last_updated } => {
                self.out.extend_from_slice(REGISTERED_NAME);
                self.fill_time(NAME_TIME_FROM_END, last_updated, day);
            }
            NameResult::Registered { verified: false, last_updated } => {
                self.out.extend_from_slice(UNVERIFIED_NAME);
                self.fill_time(NAME_TIME_FROM_END, last_updated, day);
            }
            NameResult::NotRegistered => self.out.extend_from_slice(NOT_REGISTERED_NAME),
            NameResult::Bad(why) => {
                self.out.extend_from_slice(b"{\"status\":");
                push_unsigned(self.out, u64::from(why.code().status().code()));
                self.text("error", why.code().as_str());
                self.text("detail", &format!("entity: {why}"));
                self.out.extend_from_slice(b"},");
            }
            // No answer is written before every name has its result.
            NameResult::Missing => self.out.extend_from_slice(br#"{"status":500,"error":"storage_failed"},"#),
        }
    }

    /// Writes a time over the one that begins so many bytes before the end.
    fn fill_time(&mut self, from_end: usize, time: Timestamp, day: &mut Day) {
        let begin = self.out.len().saturating_sub(from_end);
        if let Some(place) = self.out.get_mut(begin..).and_then(|rest| rest.first_chunk_mut()) {
            day.write(time, place);
        }
    }

    fn audited(&mut self, page: &HistoryPage, order: Order) -> Status {
        self.out.reserve(page_bytes(page));
        self.status(Status::Ok, "History of the entity");
        self.text("entity", page.entity.as_str());
        self.name("events");
        self.out.push(b'[');
        for (at, event) in page.events.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.event(event);
        }
        self.out.push(b']');
        if let Some(after) = page.next {
            self.text("next", &cursor::encode(page.entity.as_str(), order, after));
        }
        Status::Ok
    }

    fn event(&mut self, event: &Event) {
        self.out.extend_from_slice(b"{\"sequence\":");
        push_unsigned(self.out, event.sequence.value());
        self.out.extend_from_slice(b",\"time\":\"");
        self.out.extend_from_slice(event.time.rfc3339(&mut [0; RFC3339_BYTES_MAX]));
        match &event.change {
            Change::Registered { attributes } => {
                self.out.extend_from_slice(br#"","event":"registered","actor":"#);
                push_string(self.out, event.principal.shown());
                // The names of kinds need no escape.
                self.out.extend_from_slice(br#","detail":{"type":""#);
                self.out.extend_from_slice(event.entity.kind().name().as_bytes());
                self.out.extend_from_slice(br#"","attributes":"#);
                // Canonical text is JSON without a line end.
                self.out.extend_from_slice(object_text(attributes.as_str()).as_bytes());
                self.out.extend_from_slice(b"}}");
            }
            Change::Removed => {
                self.out.extend_from_slice(br#"","event":"removed","actor":"#);
                push_string(self.out, event.principal.shown());
                self.out.push(b'}');
            }
        }
    }
}

#[cfg(test)]
mod tests;
