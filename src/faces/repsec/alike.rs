//! Messages that are like one before: the same members in the same order, with other values. A program writes its
//! commands all alike, so nearly all messages of a connection are.
//!
//! What is understood here means what [`message`](super::message) says; a test holds it to that. What differs in more
//! than strings and small integers is left to it: `None` is no verdict.

use crate::types::Principal;
use crate::wire::flat::{self, Flat};
use crate::wire::json::{Number, Value};
use crate::wire::shape::{Found, Shape, Spelled, VALUES_MAX};

use super::members::{Member, Members};
use super::message::{self, Message, Rejected};
use super::settings::Settings;

/// How many kinds of messages are known at once: those that change, and some that read.
const KINDS_MAX: usize = 4;

/// The kinds of messages that a peer sends.
#[derive(Debug, Default)]
pub(super) struct Known {
    kinds: Vec<Alike>,
    /// Which one to forget for another.
    oldest: usize,
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
    }
}

/// What messages that are like one have in common.
#[derive(Debug)]
struct Alike {
    shape: Shape,
    /// The command, as it is spelled. It is part of the shape.
    command: Box<str>,
    /// What each of the shape's values is.
    meanings: Box<[Meaning]>,
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
        Some(Alike { shape, command: command?.into(), meanings: meanings.into() })
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
