//! The members of a message, by what they are, whoever read them.
//!
//! Never: what a member must be. That says [`message`](super::message).

use crate::wire::flat::Flat;
use crate::wire::json::{Object, Value};

/// A member that some command uses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Member {
    Command,
    Id,
    Entity,
    Entities,
    Kind,
    Attributes,
    Digest,
    At,
    Ts,
    Nonce,
    Limit,
    Cursor,
    Since,
    Until,
    Order,
}

/// How many they are.
const MEMBERS: usize = Member::Order as usize + 1;

impl Member {
    /// The member of this name; `None` for one that no command uses.
    #[inline(always)]
    pub(super) fn named(name: &[u8]) -> Option<Member> {
        Some(match name {
            b"command" => Member::Command,
            b"entity" => Member::Entity,
            b"id" => Member::Id,
            b"type" => Member::Kind,
            b"attributes" => Member::Attributes,
            b"ts" => Member::Ts,
            b"nonce" => Member::Nonce,
            b"entities" => Member::Entities,
            b"digest" => Member::Digest,
            b"at" => Member::At,
            b"limit" => Member::Limit,
            b"cursor" => Member::Cursor,
            b"since" => Member::Since,
            b"until" => Member::Until,
            b"order" => Member::Order,
            _ => return None,
        })
    }
}

/// What a message says.
#[derive(Default)]
pub(super) struct Members<'a> {
    values: [Option<Value<'a>>; MEMBERS],
    /// The attributes, where their text was found to be canonical.
    canonical_attributes: Option<&'a str>,
}

impl<'a> Members<'a> {
    pub(super) fn of(object: Object<'a>) -> Members<'a> {
        let mut members = Members::default();
        for (name, value) in object.members() {
            if let Some(member) = Member::named(name.as_bytes()) {
                members.set(member, value);
            }
        }
        members
    }

    /// What the message says of it.
    #[inline(always)]
    pub(super) fn get(&self, member: Member) -> Option<Value<'a>> {
        self.values[member as usize]
    }

    /// The attributes, where their text was found to be canonical; then they are no member besides.
    pub(super) fn canonical_attributes(&self) -> Option<&'a str> {
        self.canonical_attributes
    }

    #[inline(always)]
    pub(super) fn set(&mut self, member: Member, value: Value<'a>) {
        self.values[member as usize] = Some(value);
    }

    /// Notes attributes whose text is canonical.
    #[inline(always)]
    pub(super) fn set_canonical_attributes(&mut self, text: &'a str) {
        self.canonical_attributes = Some(text);
    }

    /// Takes a member of a flat message, if it is known and is not there already, and its text is UTF-8.
    #[inline(always)]
    pub(super) fn take(&mut self, name: &[u8], value: Flat<'a>) -> bool {
        let Some(member) = Member::named(name) else { return false };
        let is_there =
            self.get(member).is_some() || member == Member::Attributes && self.canonical_attributes.is_some();
        if is_there {
            return false;
        }
        let text = match value {
            Flat::Text(text) | Flat::Object(text) => std::str::from_utf8(text),
            Flat::Number(number, _) => {
                self.set(member, Value::Number(number));
                return true;
            }
        };
        match (text, value) {
            (Ok(text), Flat::Text(_)) => self.set(member, Value::Text(text)),
            (Ok(text), Flat::Object(_)) if member == Member::Attributes => self.set_canonical_attributes(text),
            _ => return false,
        }
        true
    }
}
