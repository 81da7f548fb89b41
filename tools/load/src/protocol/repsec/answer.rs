//! Whether an answer is the one that was due.
//!
//! Each answer is first compared, byte for byte, with the form in which our server writes it. What differs from that is
//! parsed as JSON and judged by its members, so another spelling is right too, and only slower. A test holds the
//! first way to what the server writes.

use serde_json::Value;

use super::super::{Right, Told};
use super::write_number;
use crate::entities::{Entities, Name};
use crate::script::{BulkNames, Command};

const REGISTERED: &[u8] = br#""status":200,"message":"Entity is registered","verified":true,"type":""#;
const LAST_UPDATED: &[u8] = br#"","last_updated":""#;
const NOT_REGISTERED: &[u8] =
    br#""status":404,"message":"The entity is not registered","error":"not_registered","verified":false}"#;
const REGISTER_DONE: &[u8] = br#""status":200,"message":"Entity registered successfully","entity":""#;
const REMOVE_DONE: &[u8] = br#""status":200,"message":"Entity removed successfully","entity":""#;
const SEQUENCE: &[u8] = br#","sequence":"#;
const PONG: &[u8] = br#""status":200,"message":"pong","time":""#;
const NAMES: &[u8] = br#""status":200,"message":"Entities looked up","results":["#;
const NAME_REGISTERED: &[u8] = br#"{"status":200,"verified":true,"last_updated":""#;
const NAME_NOT_REGISTERED: &[u8] = br#"{"status":404,"verified":false}"#;
/// Bytes of a time in whole seconds, `2026-08-22T10:00:00Z`.
const TIME_BYTES: usize = 20;

/// Judges an answer, its line end included.
pub(crate) fn check(
    entities: &Entities,
    bulk: &BulkNames,
    command: Command,
    id: Option<u64>,
    answer: &[u8],
    scratch: &mut Vec<u8>,
) -> Result<Right, String> {
    let line = answer.strip_suffix(b"\n").unwrap_or(answer);
    match quickly(entities, bulk, command, id, line, scratch) {
        Some(right) => Ok(right),
        None => thoroughly(entities, bulk, command, id, line),
    }
}

/// Judges an answer in the form that our server writes; `None` for any other, right or wrong.
fn quickly(
    entities: &Entities,
    bulk: &BulkNames,
    command: Command,
    id: Option<u64>,
    line: &[u8],
    scratch: &mut Vec<u8>,
) -> Option<Right> {
    let mut rest = line.strip_prefix(b"{")?;
    if let Some(id) = id {
        scratch.clear();
        scratch.extend_from_slice(br#""id":"#);
        write_number(id, scratch);
        scratch.push(b',');
        rest = rest.strip_prefix(scratch.as_slice())?;
    }
    match command {
        Command::Verify(Name::Entity(number)) => {
            let rest = rest.strip_prefix(REGISTERED)?.strip_prefix(entities.kind(number).as_bytes())?;
            let rest = after_time(rest.strip_prefix(LAST_UPDATED)?)?;
            (rest == br#""}"#).then_some(Right::plain(Told::Ok))
        }
        Command::Verify(Name::Absent(_)) => (rest == NOT_REGISTERED).then_some(Right::plain(Told::NotFound)),
        Command::Register(number) => {
            let rest = after_name(entities, number, rest.strip_prefix(REGISTER_DONE)?, scratch)?;
            let rest = rest.strip_prefix(br#","type":""#)?.strip_prefix(entities.kind(number).as_bytes())?;
            changed(rest.strip_prefix(b"\"")?)
        }
        Command::Remove(number) => changed(after_name(entities, number, rest.strip_prefix(REMOVE_DONE)?, scratch)?),
        Command::Ping => (after_time(rest.strip_prefix(PONG)?)? == br#""}"#).then_some(Right::plain(Told::Ok)),
        Command::Bulk { seed } => {
            let mut rest = rest.strip_prefix(NAMES)?;
            for (at, hit) in bulk.hits(seed).enumerate() {
                if at > 0 {
                    rest = rest.strip_prefix(b",")?;
                }
                rest = if hit {
                    after_time(rest.strip_prefix(NAME_REGISTERED)?)?.strip_prefix(br#""}"#)?
                } else {
                    rest.strip_prefix(NAME_NOT_REGISTERED)?
                };
            }
            (rest == b"]}").then_some(Right::plain(Told::Ok))
        }
        // Rare, and too rich for this.
        Command::Audit(_) => None,
    }
}

/// What follows a time in whole seconds.
fn after_time(bytes: &[u8]) -> Option<&[u8]> {
    let (time, rest) = bytes.split_at_checked(TIME_BYTES)?;
    let shape = time.iter().zip(b"0000-00-00T00:00:00Z");
    let fits = shape.into_iter().all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form });
    fits.then_some(rest)
}

/// What follows the name of entity `number` and its quote.
fn after_name<'a>(entities: &Entities, number: u64, bytes: &'a [u8], scratch: &mut Vec<u8>) -> Option<&'a [u8]> {
    scratch.clear();
    entities.write(Name::Entity(number), scratch);
    bytes.strip_prefix(scratch.as_slice())?.strip_prefix(b"\"")
}

/// The sequence at the end of an answer to a change.
fn changed(rest: &[u8]) -> Option<Right> {
    let digits = rest.strip_prefix(SEQUENCE)?.strip_suffix(b"}")?;
    let sequence = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(Right { told: Told::Ok, sequence: Some(sequence) })
}

/// Judges any answer by its members.
fn thoroughly(
    entities: &Entities,
    bulk: &BulkNames,
    command: Command,
    id: Option<u64>,
    line: &[u8],
) -> Result<Right, String> {
    let answer: Value = serde_json::from_slice(line).map_err(|error| format!("not one JSON value: {error}"))?;
    if !answer.is_object() {
        return Err("not a JSON object".to_owned());
    }
    if let Some(id) = id {
        expect(&answer, "id", &Value::from(id))?;
    }
    let found = |told| Ok(Right::plain(told));
    match command {
        Command::Verify(Name::Entity(number)) => {
            expect(&answer, "status", &Value::from(200))?;
            expect(&answer, "verified", &Value::from(true))?;
            expect(&answer, "type", &Value::from(entities.kind(number)))?;
            found(Told::Ok)
        }
        Command::Verify(Name::Absent(_)) => {
            expect(&answer, "status", &Value::from(404))?;
            expect(&answer, "verified", &Value::from(false))?;
            found(Told::NotFound)
        }
        Command::Register(number) | Command::Remove(number) => {
            expect(&answer, "status", &Value::from(200))?;
            expect(&answer, "entity", &Value::from(entities.text(Name::Entity(number))))?;
            if answer.get("replayed").is_some_and(|replayed| replayed.as_bool() != Some(false)) {
                return Err("a command that was sent once must not be answered as a replay".to_owned());
            }
            let sequence = answer.get("sequence").and_then(Value::as_u64);
            let sequence = sequence.ok_or("an answer to a change must have a sequence")?;
            Ok(Right { told: Told::Ok, sequence: Some(sequence) })
        }
        Command::Ping => {
            expect(&answer, "status", &Value::from(200))?;
            found(Told::Ok)
        }
        Command::Bulk { seed } => {
            expect(&answer, "status", &Value::from(200))?;
            check_names(&answer, bulk.hits(seed))?;
            found(Told::Ok)
        }
        Command::Audit(number) => {
            expect(&answer, "status", &Value::from(200))?;
            expect(&answer, "entity", &Value::from(entities.text(Name::Entity(number))))?;
            check_events(&answer)?;
            found(Told::Ok)
        }
    }
}

/// Whether a member has its value.
fn expect(answer: &Value, member: &str, value: &Value) -> Result<(), String> {
    match answer.get(member) {
        Some(found) if found == value => Ok(()),
        Some(found) => Err(format!("{member} must be {value}, and is {found}")),
        None => Err(format!("{member} must be {value}, and is missing")),
    }
}

fn check_names(answer: &Value, hits: impl Iterator<Item = bool>) -> Result<(), String> {
    let results = answer.get("results").and_then(Value::as_array).ok_or("results must be an array")?;
    let mut count = 0;
    for (at, hit) in hits.enumerate() {
        let result = results.get(at).ok_or_else(|| format!("results ends before place {at}"))?;
        let in_place = |why| format!("results, place {at}: {why}");
        expect(result, "status", &Value::from(if hit { 200 } else { 404 })).map_err(in_place)?;
        expect(result, "verified", &Value::from(hit)).map_err(in_place)?;
        count = at + 1;
    }
    if results.len() == count { Ok(()) } else { Err(format!("results must have {count} elements")) }
}

/// Whether an entity's history begins with its registration and goes up from there.
fn check_events(answer: &Value) -> Result<(), String> {
    let events = answer.get("events").and_then(Value::as_array).ok_or("events must be an array")?;
    let first = events.first().ok_or("an entity that is registered must have events")?;
    expect(first, "event", &Value::from("registered"))?;
    let mut before = 0;
    for event in events {
        let sequence = event.get("sequence").and_then(Value::as_u64).ok_or("an event must have a sequence")?;
        if sequence <= before {
            return Err(format!("sequence {sequence} must not stand behind {before}"));
        }
        before = sequence;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
