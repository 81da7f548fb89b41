//! One message to one command: which members there are, and what they must be (`repsec:O3`, `O5`, `O8`, `O10`).
//!
//! Members that a command does not use are ignored, whatever they hold. What is wrong is said in terms of members and
//! expectations; nothing of what the peer sent is repeated (`repsec:R17`).

use std::borrow::Cow;

use crate::domain::{At, Claim, Command, Lookups, Named, Order, Page, Request};
use crate::types::limits::{ID_BYTES_MAX, INTEGER_MAX};
use crate::types::{Attributes, Digest, Entity, Kind, Nonce, Once, Principal, Sequence, Timestamp};
use crate::wire::canonical;
use crate::wire::flat;
use crate::wire::json::{Array, Parser, Value};

use super::bulk::{BadName, Gathering};
use super::cursor;
use super::id::Id;
use super::members::{Member, Members};
use super::settings::{COMMANDS, Settings};
use super::status::ErrorCode;

/// Which command a message names. The numbers are those of the access journal and never change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CommandKind {
    /// None that is known.
    Unknown = 0,
    /// REGISTER
    Register = 1,
    /// VERIFY of one entity
    Verify = 2,
    /// REMOVE
    Remove = 3,
    /// AUDIT
    Audit = 4,
    /// PING
    Ping = 5,
    /// CAPABILITIES
    Capabilities = 6,
    /// VERIFY of many entities
    VerifyMany = 7,
}

impl CommandKind {
    /// The command of this name, in whatever case (`repsec:O3`).
    fn named(name: &str) -> Option<CommandKind> {
        // Nearly all write it as the draft does.
        Some(match name {
            "VERIFY" => CommandKind::Verify,
            "REGISTER" => CommandKind::Register,
            "REMOVE" => CommandKind::Remove,
            "AUDIT" => CommandKind::Audit,
            "PING" => CommandKind::Ping,
            "CAPABILITIES" => CommandKind::Capabilities,
            _ if name.len() <= "CAPABILITIES".len() && name.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                return CommandKind::named(&name.to_ascii_uppercase());
            }
            _ => return None,
        })
    }

    /// The name of the command with this number, as the access journal keeps it, for people.
    pub fn name_of(number: u8) -> &'static str {
        match number {
            1 => "REGISTER",
            2 => "VERIFY",
            3 => "REMOVE",
            4 => "AUDIT",
            5 => "PING",
            6 => "CAPABILITIES",
            7 => "VERIFY (bulk)",
            _ => "unknown",
        }
    }
}

/// A message that is understood.
#[derive(Debug)]
pub struct Message {
    /// How the peer will recognize the answer.
    pub id: Option<Id>,
    /// What it means.
    pub meaning: Meaning,
}

/// What a message means.
#[derive(Debug)]
pub enum Meaning {
    /// PING
    Ping,
    /// CAPABILITIES
    Capabilities,
    /// A command on one entity.
    One(CommandKind, Box<Request>),
    /// A bulk lookup: the good names, and what is known of all.
    Many(Lookups, Gathering),
}

/// A message that is answered at once with an error.
#[derive(Clone, PartialEq, Debug)]
pub struct Rejected {
    /// How the peer will recognize the answer, if the message was well enough to say so.
    pub id: Option<Id>,
    /// The command that was meant.
    pub command: CommandKind,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The code for programs.
    pub code: ErrorCode,
    /// Which member, and what was expected, for people.
    pub detail: Cow<'static, str>,
}

impl Fault {
    /// A fault whose explanation is known beforehand.
    pub const fn new(code: ErrorCode, detail: &'static str) -> Fault {
        Fault { code, detail: Cow::Borrowed(detail) }
    }

    const fn invalid(detail: &'static str) -> Fault {
        Fault::new(ErrorCode::InvalidMember, detail)
    }

    const fn missing(detail: &'static str) -> Fault {
        Fault::new(ErrorCode::MissingMember, detail)
    }

    const fn conflicting(detail: &'static str) -> Fault {
        Fault::new(ErrorCode::ConflictingMembers, detail)
    }

    fn told(code: ErrorCode, detail: String) -> Fault {
        Fault { code, detail: Cow::Owned(detail) }
    }

    fn bad_name(member: &str, why: BadName) -> Fault {
        Fault::told(why.code(), format!("{member}: {why}"))
    }
}

/// Reads the message of `principal` that begins with the first byte and ends within the first `len`, if it is flat and
/// has only members that are known. Gives its length too. `None` where it must be [`read`] the thorough way.
#[inline(always)]
pub fn read_flat(
    bytes: &[u8],
    len: usize,
    principal: &Principal,
    settings: &Settings,
) -> Option<(usize, Result<Message, Rejected>)> {
    let mut members = Members::default();
    let end = flat::read(bytes, len, |name, value| members.take(name, value))?;
    Some((end, understand(&members, end, principal, settings)))
}

/// Reads the message of `principal` in the first `len` bytes of `buffer`, which are changed. Faster where
/// [`PADDING_BYTES`](crate::wire::json::PADDING_BYTES) more follow.
///
/// # Errors
/// When it is no command that can be asked of the store, or answered by the face.
// This and what it calls for a VERIFY are inlined, so that a command is built where it is used: it has 200 bytes, and
// moving it from function to function took a tenth of the time of a message.
#[inline(always)]
pub fn read(
    parser: &mut Parser,
    buffer: &mut [u8],
    len: usize,
    principal: &Principal,
    settings: &Settings,
) -> Result<Message, Rejected> {
    let unknown = |id, fault| Rejected { id, command: CommandKind::Unknown, fault };
    let document =
        parser.parse(buffer, len).map_err(|what| unknown(None, Fault::new(ErrorCode::Malformed, what.as_str())))?;
    let object = document.object().map_err(|repeated| {
        let fault = Fault::new(ErrorCode::DuplicateMember, "each member may stand once in its object");
        unknown(repeated.sole("id").and_then(Id::read), fault)
    })?;
    understand(&Members::of(object), len, principal, settings)
}

/// Makes a command of the members of a message of `len` bytes.
#[inline(always)]
pub(super) fn understand(
    members: &Members<'_>,
    len: usize,
    principal: &Principal,
    settings: &Settings,
) -> Result<Message, Rejected> {
    let reject = |id, command, fault| Rejected { id, command, fault };
    let id = match members.get(Member::Id) {
        None => None,
        Some(value) => match Id::read(value) {
            Some(id) => Some(id),
            None => {
                let detail = format!("id: must be a number, or a string of at most {ID_BYTES_MAX} bytes");
                return Err(reject(None, CommandKind::Unknown, Fault::told(ErrorCode::InvalidMember, detail)));
            }
        },
    };
    let command = match members.command_kind() {
        Ok(command) => command,
        Err(fault) => return Err(reject(id, CommandKind::Unknown, fault)),
    };
    let limits = &settings.limits;
    if command != CommandKind::VerifyMany && len > limits.message_bytes_max {
        return Err(reject(id, command, too_large(limits.message_bytes_max)));
    }
    match members.meaning(command, principal, settings) {
        Ok(meaning) => Ok(Message { id, meaning }),
        Err(fault) => Err(reject(id, command, fault)),
    }
}

/// The fault of a message with more bytes than this.
pub fn too_large(bytes_max: usize) -> Fault {
    Fault::told(ErrorCode::MessageTooLarge, format!("a message must not be longer than {bytes_max} bytes"))
}

/// The fault of a message that was begun and not ended within so many seconds.
pub fn too_slow(seconds: u64) -> Fault {
    Fault::told(ErrorCode::MessageTimeout, format!("a message that was begun must end within {seconds} s"))
}

impl Members<'_> {
    fn command_kind(&self) -> Result<CommandKind, Fault> {
        let name = match self.get(Member::Command) {
            None => return Err(Fault::missing("command: is missing")),
            Some(Value::Text(name)) => name,
            Some(_) => return Err(Fault::invalid("command: must be a string")),
        };
        match CommandKind::named(name) {
            Some(CommandKind::Verify) if self.get(Member::Entities).is_some() => Ok(CommandKind::VerifyMany),
            Some(kind) => Ok(kind),
            None => {
                let detail = format!("command: must be one of {}", COMMANDS.join(", "));
                Err(Fault::told(ErrorCode::UnknownCommand, detail))
            }
        }
    }

    #[inline(always)]
    fn meaning(&self, kind: CommandKind, principal: &Principal, settings: &Settings) -> Result<Meaning, Fault> {
        let (command, once) = match kind {
            CommandKind::Ping => return Ok(Meaning::Ping),
            CommandKind::Capabilities => return Ok(Meaning::Capabilities),
            CommandKind::VerifyMany => return self.verify_many(principal, settings),
            CommandKind::Verify => (self.verify(settings)?, None),
            CommandKind::Audit => (self.audit(settings)?, None),
            CommandKind::Remove => (Command::Remove { subject: self.subject(settings)? }, self.once(settings)?),
            CommandKind::Register => {
                let subject = self.subject(settings)?;
                let attributes = self.attributes(settings)?.unwrap_or_default();
                (Command::Register { subject, attributes }, self.once(settings)?)
            }
            CommandKind::Unknown => return Err(Fault::new(ErrorCode::UnknownCommand, "command: is not known")),
        };
        Ok(Meaning::One(kind, Box::new(Request { principal: principal.clone(), once, command })))
    }

    #[inline(always)]
    fn verify(&self, settings: &Settings) -> Result<Command, Fault> {
        let subject = self.subject(settings)?;
        let claim = match (self.attributes(settings)?, self.digest()?) {
            (None, None) => Claim::Registered,
            (Some(attributes), None) => Claim::Attributes(attributes),
            (None, Some(digest)) => Claim::Digest(Box::new(digest)),
            (Some(_), Some(_)) => {
                return Err(Fault::conflicting("digest: stands for attributes, so only one of the two may be given"));
            }
        };
        Ok(Command::Verify { subject, claim, at: self.at()? })
    }

    fn verify_many(&self, principal: &Principal, settings: &Settings) -> Result<Meaning, Fault> {
        let alone =
            [self.get(Member::Entity), self.get(Member::At), self.get(Member::Attributes), self.get(Member::Digest)]
                .iter()
                .all(Option::is_none)
                && self.canonical_attributes().is_none();
        if !alone {
            return Err(Fault::conflicting("entities: excludes entity, at, attributes and digest"));
        }
        let Some(Value::Array(names)) = self.get(Member::Entities) else {
            return Err(Fault::invalid("entities: must be an array of strings"));
        };
        let names_max = settings.limits.bulk_entities_max;
        if names.len() > names_max {
            let detail = format!("entities: must not have more than {names_max} elements");
            return Err(Fault::told(ErrorCode::InvalidMember, detail));
        }
        let (lookups, gathering) = many(names, self.kind()?.as_ref(), principal, settings);
        Ok(Meaning::Many(lookups, gathering))
    }

    fn audit(&self, settings: &Settings) -> Result<Command, Fault> {
        let subject = self.subject(settings)?;
        let limits = &settings.limits;
        let limit = match self.get(Member::Limit) {
            None => limits.audit_page_events,
            Some(value) => match unsigned(value).and_then(|limit| usize::try_from(limit).ok()) {
                Some(limit) if (1..=limits.audit_page_events_max).contains(&limit) => limit,
                _ => {
                    let detail = format!("limit: must be an integer from 1 to {}", limits.audit_page_events_max);
                    return Err(Fault::told(ErrorCode::InvalidMember, detail));
                }
            },
        };
        let order = match self.get(Member::Order) {
            None => None,
            Some(Value::Text("asc")) => Some(Order::Ascending),
            Some(Value::Text("desc")) => Some(Order::Descending),
            Some(_) => return Err(Fault::invalid("order: must be \"asc\" or \"desc\"")),
        };
        let (order, after) = match self.get(Member::Cursor) {
            None => (order.unwrap_or_default(), None),
            Some(Value::Text(text)) => match cursor::decode(text, subject.entity.as_str()) {
                Some((was, after)) if order.is_none_or(|order| order == was) => (was, Some(after)),
                _ => {
                    let detail = "cursor: must be the member `next` of a page of this entity in this order";
                    return Err(Fault::new(ErrorCode::InvalidCursor, detail));
                }
            },
            Some(_) => return Err(Fault::invalid("cursor: must be a string")),
        };
        let since = time(self.get(Member::Since), "since: must be an RFC 3339 time between the years 1970 and 9999")?;
        let until = time(self.get(Member::Until), "until: must be an RFC 3339 time between the years 1970 and 9999")?;
        Ok(Command::Audit { subject, page: Box::new(Page { limit, order, after, since, until }) })
    }

    /// The one entity that is meant.
    #[inline(always)]
    fn subject(&self, settings: &Settings) -> Result<Named, Fault> {
        match (self.get(Member::Entity), self.get(Member::Entities)) {
            (None, None) => Err(Fault::missing("entity: is missing")),
            (_, Some(_)) => Err(Fault::conflicting("entities: only VERIFY takes many")),
            (Some(value), None) => {
                named(value, self.kind()?.as_ref(), settings).map_err(|why| Fault::bad_name("entity", why))
            }
        }
    }

    fn kind(&self) -> Result<Option<Kind>, Fault> {
        match self.get(Member::Kind) {
            None => Ok(None),
            Some(Value::Text(name)) => match Kind::parse(name) {
                Some(kind) => Ok(Some(kind)),
                None => {
                    let detail = "type: must be domain, ip, network, asn, email, url, userid, organization or \
                                  an extension (x- and 1 to 30 of a-z, 0-9, -)";
                    Err(Fault::new(ErrorCode::UnknownType, detail))
                }
            },
            Some(_) => Err(Fault::invalid("type: must be a string")),
        }
    }

    fn attributes(&self, settings: &Settings) -> Result<Option<Attributes>, Fault> {
        let bytes_max = settings.limits.attributes_bytes_max;
        let attributes = match (self.get(Member::Attributes), self.canonical_attributes()) {
            (None, None) => return Ok(None),
            (Some(Value::Object(object)), _) => canonical::attributes(object, bytes_max),
            (Some(_), _) => return Err(Fault::invalid("attributes: must be an object")),
            (None, Some(text)) if text.len() > bytes_max => Err(canonical::Refused::TooLong(bytes_max)),
            (None, Some(text)) => Ok(Attributes::from_canonical(text)),
        };
        attributes.map(Some).map_err(|why| Fault::told(ErrorCode::InvalidMember, format!("attributes: {why}")))
    }

    fn digest(&self) -> Result<Option<Digest>, Fault> {
        match self.get(Member::Digest) {
            None => Ok(None),
            Some(value) => text(value)
                .and_then(sha256)
                .map(Some)
                .ok_or(Fault::invalid("digest: must be a SHA-256 in 64 hex digits")),
        }
    }

    fn at(&self) -> Result<Option<At>, Fault> {
        match self.get(Member::At) {
            None => Ok(None),
            Some(value) => unsigned(value)
                .map(|place| At::Sequence(Sequence::new(place)))
                .or_else(|| timestamp(value).map(At::Time))
                .map(Some)
                .ok_or(Fault::invalid("at: must be a sequence (an integer) or an RFC 3339 time")),
        }
    }

    /// What makes the command's repetition recognizable; demanded of commands that change state.
    fn once(&self, settings: &Settings) -> Result<Option<Once>, Fault> {
        match (self.get(Member::Ts), self.get(Member::Nonce)) {
            (None, None) if settings.once_required => {
                Err(Fault::missing("ts, nonce: are missing; a command that changes state must carry both"))
            }
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Fault::missing("ts: is missing; nonce does not stand without it")),
            (Some(_), None) => Err(Fault::missing("nonce: is missing; ts does not stand without it")),
            (Some(ts), Some(nonce)) => {
                let made = unsigned(ts).map(Timestamp::from_unix_s).ok_or_else(|| {
                    let detail = format!("ts: must be an integer from 0 to {INTEGER_MAX}, UNIX seconds");
                    Fault::told(ErrorCode::InvalidMember, detail)
                })?;
                let Value::Text(nonce) = nonce else { return Err(Fault::invalid("nonce: must be a string")) };
                let nonce = Nonce::parse(nonce)
                    .map_err(|why| Fault::told(ErrorCode::InvalidMember, format!("nonce: {why}")))?;
                Ok(Some(Once { made, nonce }))
            }
        }
    }
}

/// Separates good names from bad ones, so that one bad name does not fail the others.
fn many(names: Array<'_>, kind: Option<&Kind>, principal: &Principal, settings: &Settings) -> (Lookups, Gathering) {
    let mut lookups = Lookups::new(principal.clone());
    let mut bad = Vec::new();
    for ((place, position), value) in (0_u32..).zip(0..).zip(names.elements()) {
        match named(value, kind, settings) {
            Ok(subject) => lookups.push(place, subject.hash, subject.entity.as_str().as_bytes()),
            Err(why) => bad.push((position, why)),
        }
    }
    (lookups, Gathering::new(names.len(), bad))
}

#[inline(always)]
fn named(value: Value<'_>, kind: Option<&Kind>, settings: &Settings) -> Result<Named, BadName> {
    let Value::Text(text) = value else { return Err(BadName::NoText) };
    let bytes_max = settings.limits.entity_bytes_max;
    if text.len() > bytes_max {
        return Err(BadName::TooLong(bytes_max));
    }
    let entity = match kind {
        None => Entity::parse(text),
        Some(kind) => Entity::parse_as(text, kind.clone()),
    };
    let entity = entity.map_err(BadName::Refused)?;
    Ok(Named { hash: settings.hash_key.hash(entity.as_str()), entity })
}

fn unsigned(value: Value<'_>) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_unsigned(),
        _ => None,
    }
}

fn text(value: Value<'_>) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn timestamp(value: Value<'_>) -> Option<Timestamp> {
    text(value).and_then(Timestamp::parse_rfc3339)
}

fn time(value: Option<Value<'_>>, expected: &'static str) -> Result<Option<Timestamp>, Fault> {
    match value {
        None => Ok(None),
        Some(value) => timestamp(value).map(Some).ok_or(Fault::invalid(expected)),
    }
}

fn sha256(hex: &str) -> Option<Digest> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let mut bytes = [0; 32];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(Digest(bytes))
}

#[cfg(test)]
mod tests;
