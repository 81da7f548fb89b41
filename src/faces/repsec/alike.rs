//! Messages that are like one before: the same members in the same order, with other values. A program writes its
//! commands all alike, so nearly all messages of a connection are.
//!
//! What is understood here means what [`message`](super::message) says; a test holds it to that. What differs in more
//! than strings and small integers is left to it: `None` is no verdict.

use std::ops::Range;

use crate::domain::Changes;
use crate::types::{Entity, EntityHash, Kind, Nonce, OnceRef, Principal, Timestamp};
use crate::wire::flat::{self, Flat};
use crate::wire::json::{Number, Value};
use crate::wire::shape::{Found, Shape, Spelled, VALUES_MAX};

use super::id::Id;
use super::members::{Member, Members};
use super::message::{self, CommandKind, Message, Rejected};
use super::settings::Settings;

/// How many kinds of messages are known at once: those that change, and some that read.
const KINDS_MAX: usize = 4;

/// The kinds of messages that a peer sends.
#[derive(Debug, Default)]
pub(super) struct Known {
    kinds: Vec<Alike>,
    /// Which one to forget for another.
    oldest: usize,
    /// Whether one of them asks for a change.
    changes: bool,
    /// Messages in a row that were like none of them.
    strange: u32,
}

impl Known {
    /// Reads the message of `principal` that begins with the first byte and ends within the first `len`, if it is of a
    /// kind that is known. Gives its length too.
    #[inline(always)]
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        len: usize,
        principal: &Principal,
        settings: &Settings,
    ) -> Option<(usize, Result<Message, Rejected>)> {
        let read = self.kinds.iter().find_map(|kind| kind.read(bytes, len, principal, settings))?;
        self.strange = 0;
        Some(read)
    }

    /// Whether [`read_change`](Known::read_change) may read something.
    #[inline]
    pub(super) fn changes(&self) -> bool {
        self.changes
    }

    /// Reads the message that begins with the first byte and ends within the first `len`, if it is of a kind that is known
    /// and asks for a change, and adds that to `changes`, to be answered at `place`. `None` where it must be
    /// [`read`](Known::read): then nothing is added.
    #[inline(always)]
    pub(super) fn read_change(
        &mut self,
        bytes: &[u8],
        len: usize,
        settings: &Settings,
        place: u32,
        changes: &mut Changes,
    ) -> Option<Change> {
        let change = self.kinds.iter().find_map(|kind| kind.read_change(bytes, len, settings, place, changes))?;
        self.strange = 0;
        Some(change)
    }

    /// Learns what a message is like that was of no kind that is known. The more of them there are in a row, the less
    /// often, since learning costs about as much as reading, and in vain where no message is like another.
    pub(super) fn learn(&mut self, message: &[u8]) {
        self.strange = self.strange.saturating_add(1);
        if !self.strange.is_power_of_two() {
            return;
        }
        let Some(kind) = Alike::of(message) else { return };
        match self.kinds.get_mut(self.oldest) {
            Some(oldest) => *oldest = kind,
            None => self.kinds.push(kind),
        }
        self.oldest = (self.oldest + 1) % KINDS_MAX;
        self.changes = self.kinds.iter().any(|kind| kind.change.is_some());
    }
}

/// What is known of a message that asks for a change.
#[derive(Debug)]
pub(super) struct Change {
    /// How many bytes it has.
    pub(super) length: usize,
    /// How the peer will recognize the answer.
    pub(super) id: Option<Id>,
    /// REGISTER or REMOVE.
    pub(super) command: CommandKind,
    /// The front of the hash of the entity.
    pub(super) entity: u64,
}

/// What messages that are like one have in common.
#[derive(Debug)]
struct Alike {
    shape: Shape,
    /// The command, as it is spelled. It is part of the shape.
    command: Box<str>,
    /// What each of the shape's values is.
    meanings: Box<[Meaning]>,
    /// Which change is asked for, if one is, by no other members than a change uses.
    change: Option<CommandKind>,
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    /// That of a member.
    Member(Member),
    /// One within the attributes, which are canonical whatever it is.
    Attribute {
        /// Of the first: how many bytes the attributes begin before it.
        first: Option<usize>,
        /// Of the last: how many bytes the attributes end behind it.
        last: Option<usize>,
    },
}

impl Alike {
    /// What messages like this one have in common. `None` where the message is not flat, has members that no command
    /// uses, or many values.
    fn of(message: &[u8]) -> Option<Alike> {
        let (mut values, mut meanings, mut command) = (Vec::new(), Vec::new(), None);
        let mut members = Vec::new();
        let length = flat::read(message, message.len(), |name, value| {
            let Some(member) = Member::named(name).filter(|member| !members.contains(member)) else { return false };
            members.push(member);
            match value {
                Flat::Text(text) if member == Member::Command => {
                    command = std::str::from_utf8(text).ok();
                    return command.is_some();
                }
                Flat::Text(text) => values.push(Spelled::Text(text)),
                Flat::Number(_, digits) => values.push(Spelled::Number(digits)),
                Flat::Object(text) => {
                    return member == Member::Attributes && attributes(text, &mut values, &mut meanings);
                }
            }
            meanings.push(Meaning::Member(member));
            true
        })?;
        let shape = Shape::of(message, &values).filter(|_| length == message.len())?;
        let command = command?;
        Some(Alike {
            change: change(command, &meanings, &values),
            shape,
            command: command.into(),
            meanings: meanings.into(),
        })
    }

    /// As [`Known::read_change`].
    #[inline(always)]
    fn read_change(
        &self,
        bytes: &[u8],
        len: usize,
        settings: &Settings,
        place: u32,
        changes: &mut Changes,
    ) -> Option<Change> {
        let command = self.change?;
        let mut parts = Parts::default();
        let length = self.shape.read(bytes, len.min(settings.limits.message_bytes_max), |number, found| {
            if let Some(meaning) = self.meanings.get(number) {
                parts.take(meaning, found);
            }
        })?;
        let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
        let once = match (parts.ts, parts.nonce) {
            (Some(ts), Some(place)) => {
                let nonce = text.get(place)?;
                Nonce::check(nonce).ok()?;
                Some(OnceRef { made: Timestamp::from_unix_s(ts), nonce })
            }
            (None, None) if !settings.once_required => None,
            _ => return None,
        };
        let id = match parts.id {
            None => None,
            Some(Found { number: Some(number), .. }) => Some(Id::Number(Number::Unsigned(number))),
            Some(Found { place, .. }) => Some(Id::read(Value::Text(text.get(place)?))?),
        };
        let attributes = text.get(parts.attributes)?;
        if attributes.len() > settings.limits.attributes_bytes_max {
            return None;
        }
        let attributes = (command == CommandKind::Register).then_some(attributes);
        let kind = match parts.kind {
            None => None,
            Some(place) => Some(text.get(place)?),
        };
        let mut entity = 0;
        subject(text.get(parts.entity?)?, kind, settings, |subject| {
            entity = subject.0.front();
            changes.push(place, subject, attributes, once);
        })?;
        Some(Change { length, id, command, entity })
    }

    /// As [`Known::read`].
    #[inline(always)]
    fn read(
        &self,
        bytes: &[u8],
        len: usize,
        principal: &Principal,
        settings: &Settings,
    ) -> Option<(usize, Result<Message, Rejected>)> {
        let mut values = [const { Found { place: 0..0, number: None } }; VALUES_MAX];
        let end = self.shape.read(bytes, len, |number, found| {
            if let Some(value) = values.get_mut(number) {
                *value = found;
            }
        })?;
        // Of all at once: for each text of a few bytes it would take as long.
        let text = std::str::from_utf8(bytes.get(..end)?).ok()?;
        let mut members = Members::default();
        members.set(Member::Command, Value::Text(&self.command));
        let mut attributes = 0..0;
        for (Found { place, number }, meaning) in values.iter().zip(&self.meanings) {
            match (meaning, number) {
                (Meaning::Member(member), Some(number)) => {
                    members.set(*member, Value::Number(Number::Unsigned(*number)));
                }
                (Meaning::Member(member), None) => members.set(*member, Value::Text(text.get(place.clone())?)),
                (Meaning::Attribute { first, last }, _) => {
                    if let Some(before) = first {
                        attributes.start = place.start - before;
                    }
                    if let Some(behind) = last {
                        attributes.end = place.end + behind;
                    }
                }
            }
        }
        if !attributes.is_empty() {
            members.set_canonical_attributes(text.get(attributes)?);
        }
        Some((end, message::understand(&members, end, principal, settings)))
    }
}

/// Which change a command with these values asks for; `None` where it is none, or one of the values is of no use to it, or
/// of the wrong sort.
fn change(command: &str, meanings: &[Meaning], values: &[Spelled<'_>]) -> Option<CommandKind> {
    let is = |name| command.eq_ignore_ascii_case(name);
    let kind = [("REGISTER", CommandKind::Register), ("REMOVE", CommandKind::Remove)]
        .into_iter()
        .find_map(|(name, kind)| is(name).then_some(kind))?;
    let used = |(meaning, value): (&Meaning, &Spelled<'_>)| match (meaning, value) {
        (Meaning::Member(Member::Id), _)
        | (Meaning::Member(Member::Entity | Member::Kind | Member::Nonce), Spelled::Text(_))
        | (Meaning::Member(Member::Ts), Spelled::Number(_)) => true,
        (Meaning::Member(_), _) => false,
        (Meaning::Attribute { .. }, _) => kind == CommandKind::Register,
    };
    meanings.iter().zip(values).all(used).then_some(kind)
}

/// The values of a message that asks for a change, and where they stand.
#[derive(Default)]
struct Parts {
    entity: Option<Range<usize>>,
    kind: Option<Range<usize>>,
    nonce: Option<Range<usize>>,
    ts: Option<u64>,
    id: Option<Found>,
    attributes: Range<usize>,
}

impl Parts {
    /// Takes note of a value.
    #[inline(always)]
    fn take(&mut self, meaning: &Meaning, found: Found) {
        match meaning {
            Meaning::Attribute { first, last } => {
                if let Some(before) = first {
                    self.attributes.start = found.place.start - before;
                }
                if let Some(behind) = last {
                    self.attributes.end = found.place.end + behind;
                }
            }
            Meaning::Member(Member::Entity) => self.entity = Some(found.place),
            Meaning::Member(Member::Kind) => self.kind = Some(found.place),
            Meaning::Member(Member::Nonce) => self.nonce = Some(found.place),
            Meaning::Member(Member::Ts) => self.ts = found.number,
            Meaning::Member(Member::Id) => self.id = Some(found),
            Meaning::Member(_) => {}
        }
    }
}

/// Gives `found` the canonical name of the entity that is to be changed, with its hash and its kind, which is none but a
/// closed one. `None` for what is no name, or not of the kind that it is said to be.
#[inline(always)]
fn subject(
    text: &str,
    kind: Option<&str>,
    settings: &Settings,
    found: impl FnOnce((EntityHash, &'static Kind, &str)),
) -> Option<()> {
    let plain = Entity::plain_kind(text.as_bytes()).filter(|plain| kind.is_none_or(|kind| kind == plain.name()));
    if text.len() > settings.limits.entity_bytes_max {
        return None;
    }
    let Some(plain) = plain else {
        let (kind, entity) = thoroughly(text, kind)?;
        found((settings.hash_key.hash(entity.as_str()), kind, entity.as_str()));
        return Some(());
    };
    found((settings.hash_key.hash(text), plain, text));
    Some(())
}

#[cold]
fn thoroughly(text: &str, kind: Option<&str>) -> Option<(&'static Kind, Entity)> {
    let entity = match kind {
        None => Entity::parse(text).ok()?,
        Some(kind) => Entity::parse_as(text, Kind::parse(kind)?).ok()?,
    };
    Some((entity.kind().to_static()?, entity))
}

/// Adds the values within attributes, which are a flat object themselves. Whether that was so.
fn attributes<'a>(text: &'a [u8], values: &mut Vec<Spelled<'a>>, meanings: &mut Vec<Meaning>) -> bool {
    let (begin, first) = (text.as_ptr().addr(), meanings.len());
    let mut rest = 0;
    let length = flat::read(text, text.len(), |_, value| {
        let (part, value) = match value {
            Flat::Text(part) => (part, Spelled::Text(part)),
            Flat::Number(_, part) => (part, Spelled::Number(part)),
            Flat::Object(_) => return false,
        };
        let before = part.as_ptr().addr() - begin;
        rest = text.len() - (before + part.len());
        let first = Some(before).filter(|_| meanings.len() == first);
        meanings.push(Meaning::Attribute { first, last: None });
        values.push(value);
        true
    });
    if let Some(Meaning::Attribute { last, .. }) = meanings.last_mut() {
        *last = Some(rest);
    }
    length == Some(text.len())
}

#[cfg(test)]
mod tests;
