//! Lookups that are understood at a glance, as nearly all messages are: VERIFY of one entity, or of many, with no more
//! than an id beside it.
//!
//! What is anything else (a claim, a type, a name that is no entity) is left to [`message`](super::message): `None` is no
//! verdict. What is accepted here means the same there; a test holds it to that.

use crate::domain::Lookups;
use crate::types::{Entity, EntityHash};
use crate::wire::flat::{self, Flat};
use crate::wire::json::{Number, Value};
use crate::wire::shape::{Shape, Spelled};

use super::bulk::{BadName, Gathering};
use super::id::Id;
use super::settings::Settings;

/// What a name takes in a line of many, with its quotes and its comma, where names are short.
const NAME_BYTES: usize = 16;

/// The members of a lookup.
#[derive(Default)]
struct Members<'a> {
    verify: bool,
    id: Option<Flat<'a>>,
    entity: Option<&'a [u8]>,
}

impl<'a> Members<'a> {
    /// Takes a member, if a lookup may have it and has not got it yet.
    #[inline(always)]
    fn take(&mut self, name: &[u8], value: Flat<'a>) -> bool {
        match (name, value) {
            (b"command", Flat::Text(text)) if !self.verify => {
                self.verify = text.eq_ignore_ascii_case(b"VERIFY");
                self.verify
            }
            (b"entity", Flat::Text(text)) if self.entity.is_none() => {
                self.entity = Some(text);
                true
            }
            (b"id", value) if self.id.is_none() => {
                self.id = Some(value);
                true
            }
            _ => false,
        }
    }

    /// The id, if it is well or there is none.
    #[inline(always)]
    fn id(&self) -> Option<Option<Id>> {
        Some(match self.id {
            None => None,
            Some(Flat::Number(number, _)) => Some(Id::Number(number)),
            Some(Flat::Object(_)) => return None,
            Some(Flat::Text(text)) => Some(Id::read(Value::Text(std::str::from_utf8(text).ok()?))?),
        })
    }
}

/// The shape of a VERIFY of one entity with at most an id beside it, by which the next one is known at a glance. `None`
/// for any other message, and for one whose id is a string, which may be another one each time.
pub fn shape_of(message: &[u8]) -> Option<Shape> {
    let mut members = Members::default();
    let end = flat::read(message, message.len(), |name, value| members.take(name, value))?;
    let entity = Spelled::Text(members.entity.filter(|_| members.verify && end == message.len())?);
    match members.id {
        None => Shape::of(message, &[entity]),
        Some(Flat::Number(_, digits)) => {
            let id = Spelled::Number(digits);
            Shape::of(message, &[entity, id]).or_else(|| Shape::of(message, &[id, entity]))
        }
        Some(_) => None,
    }
}

/// Reads the message that begins with the first byte and ends within the first `len`, if it is a VERIFY of one entity of
/// the shape of one before. Gives `found` the entity's canonical name and its hash, and returns the length of the message
/// and its id.
#[inline]
pub fn read_one(
    shape: &Shape,
    bytes: &[u8],
    len: usize,
    settings: &Settings,
    found: impl FnOnce(EntityHash, &[u8]),
) -> Option<(usize, Option<Id>)> {
    let (mut entity, mut id) = (0..0, None);
    let length = shape.read(bytes, len.min(settings.limits.message_bytes_max), |_, value| match value.number {
        None => entity = value.place,
        number => id = number,
    })?;
    name(bytes.get(entity)?, settings, found)?.ok()?;
    Some((length, id.map(|id| Id::Number(Number::Unsigned(id)))))
}

/// Reads a line that is a VERIFY of many entities, and adds them to `lookups`, of which there are none yet. Where it is
/// none, some may have been added.
pub fn read_many(line: &[u8], lookups: &mut Lookups, settings: &Settings) -> Option<(Option<Id>, Gathering)> {
    let mut members = Members::default();
    let (mut names, mut bad) = (0, Vec::new());
    let element = |member: &[u8], text: &[u8], first: bool| {
        if member != b"entities" || first != (names == 0) || names >= settings.limits.bulk_entities_max {
            return false;
        }
        if first {
            lookups.reserve((line.len() / NAME_BYTES).min(settings.limits.bulk_entities_max), line.len());
        }
        let place = u32::try_from(names).unwrap_or(u32::MAX);
        let read = name(text, settings, |hash, name| lookups.push(place, hash, name));
        if let Some(Err(why)) = read {
            bad.push((names, why));
        }
        names += 1;
        read.is_some()
    };
    let end = flat::read_with_lists(line, line.len(), |name, value| members.take(name, value), element)?;
    if !members.verify || members.entity.is_some() || names == 0 || end != line.len() {
        return None;
    }
    Some((members.id()?, Gathering::new(names, bad)))
}

/// Brings a name into its canonical form. `None` for what is not even a text.
#[inline(always)]
fn name(text: &[u8], settings: &Settings, found: impl FnOnce(EntityHash, &[u8])) -> Option<Result<(), BadName>> {
    let bytes_max = settings.limits.entity_bytes_max;
    if text.len() <= bytes_max && Entity::plain_kind(text).is_some() {
        found(settings.hash_key.hash_bytes(text), text);
        return Some(Ok(()));
    }
    thoroughly(text, bytes_max).map(|read| {
        read.map(|entity| {
            let name = entity.as_str().as_bytes();
            found(settings.hash_key.hash_bytes(name), name);
        })
    })
}

#[cold]
fn thoroughly(text: &[u8], bytes_max: usize) -> Option<Result<Entity, BadName>> {
    let text = std::str::from_utf8(text).ok()?;
    if text.len() > bytes_max {
        return Some(Err(BadName::TooLong(bytes_max)));
    }
    Some(Entity::parse(text).map_err(BadName::Refused))
}

#[cfg(test)]
mod tests;
