//! Version 1 of events.
//!
//! What names a person stands in one part, [`SubjectV1`]. Its bytes are the front of the event's; what remains, the
//! root, has a fixed size and stands at the end. So a later version can encrypt the front under a key of the subject,
//! and erase by forgetting the key.

use rkyv::rancor::Failure;
use rkyv::with::{AsBox, InlineAsBox};
use rkyv::{Archive, Serialize};

use crate::domain::{Change, Event};
use crate::types::{Attributes, Entity, Kind, Nonce, Once, Principal, Sequence, Timestamp};

use super::super::fields::Malformed;

/// The code of [`Change::Registered`].
const REGISTERED: u8 = 1;
/// The code of [`Change::Removed`].
const REMOVED: u8 = 2;

/// An event. Numbers in place of enums, because an enum's unused bytes would not be determined.
#[derive(Archive, Serialize)]
struct EventV1<'a> {
    sequence: u64,
    time_ms: u64,
    change: u8,
    kind: u8,
    #[rkyv(with = AsBox)]
    subject: SubjectV1<'a>,
}

/// All that may name a person.
#[derive(Archive, Serialize)]
struct SubjectV1<'a> {
    #[rkyv(with = InlineAsBox)]
    entity: &'a str,
    /// The kind's name where `kind` says that it is an extension, else empty.
    #[rkyv(with = InlineAsBox)]
    extension: &'a str,
    /// Empty for the anonymous principal.
    #[rkyv(with = InlineAsBox)]
    actor: &'a str,
    /// Canonical text; empty for none.
    #[rkyv(with = InlineAsBox)]
    attributes: &'a str,
    /// Empty where the command carried none; then `made_ms` is 0.
    #[rkyv(with = InlineAsBox)]
    nonce: &'a str,
    made_ms: u64,
}

/// The bytes of an event beside its texts.
const FIXED_BYTES: usize = size_of::<ArchivedEventV1<'static>>() + size_of::<ArchivedSubjectV1<'static>>();
// The layout is frozen: a feature of rkyv that changes it does not compile.
const _: () = assert!(size_of::<ArchivedEventV1<'static>>() == 22 && size_of::<ArchivedSubjectV1<'static>>() == 48);
const _: () = assert!(align_of::<ArchivedEventV1<'static>>() == 1);

pub(super) fn encode(event: &Event, into: &mut Vec<u8>) -> Result<(), Malformed> {
    let (change, attributes) = match &event.change {
        Change::Registered { attributes } => (REGISTERED, attributes.as_str()),
        Change::Removed => (REMOVED, ""),
    };
    let kind = event.entity.kind();
    let stored = EventV1 {
        sequence: event.sequence.value(),
        time_ms: event.time.unix_ms(),
        change,
        kind: kind.code(),
        subject: SubjectV1 {
            entity: event.entity.as_str(),
            extension: if let Kind::Extension(name) = kind { name } else { "" },
            actor: event.principal.name(),
            attributes,
            nonce: event.once.as_ref().map_or("", |once| once.nonce.as_str()),
            made_ms: event.once.as_ref().map_or(0, |once| once.made.unix_ms()),
        },
    };
    // The serializer wants to own its writer, so the buffer is lent to it and taken back.
    let buffer = std::mem::take(into);
    *into = rkyv::api::high::to_bytes_in::<_, Failure>(&stored, buffer)
        .map_err(|_| Malformed("an event could not be encoded"))?;
    Ok(())
}

pub(super) fn decode(bytes: &[u8]) -> Result<Event, Malformed> {
    let stored = rkyv::access::<ArchivedEventV1<'_>, Failure>(bytes)
        .map_err(|_| Malformed("an event's structure is invalid"))?;
    let subject = &*stored.subject;
    let texts = subject.entity.len()
        + subject.extension.len()
        + subject.actor.len()
        + subject.attributes.len()
        + subject.nonce.len();
    // rkyv reads from the end and does not mind what else there is; we do.
    if texts + FIXED_BYTES != bytes.len() {
        return Err(Malformed("an event has bytes that mean nothing"));
    }
    Ok(Event {
        sequence: Sequence::new(stored.sequence.to_native()),
        time: Timestamp::from_unix_ms(stored.time_ms.to_native()),
        principal: Principal::from_name(&subject.actor),
        once: once(&subject.nonce, subject.made_ms.to_native())?,
        entity: Entity::from_canonical(kind(stored.kind, &subject.extension)?, &*subject.entity),
        change: change(stored.change, &subject.attributes)?,
    })
}

fn once(nonce: &str, made_ms: u64) -> Result<Option<Once>, Malformed> {
    match (nonce, made_ms) {
        ("", 0) => Ok(None),
        ("", _) => Err(Malformed("an event has the time of a nonce and no nonce")),
        _ => {
            let nonce = Nonce::parse(nonce).map_err(|_| Malformed("an event's nonce is invalid"))?;
            Ok(Some(Once { made: Timestamp::from_unix_ms(made_ms), nonce }))
        }
    }
}

fn kind(code: u8, extension: &str) -> Result<Kind, Malformed> {
    match (Kind::from_code(code), extension) {
        (Some(kind), "") => Ok(kind),
        (None, name) if code == u8::MAX && !name.is_empty() => Ok(Kind::Extension(name.into())),
        _ => Err(Malformed("an event's kind of entity is unknown")),
    }
}

fn change(code: u8, attributes: &str) -> Result<Change, Malformed> {
    match (code, attributes) {
        (REGISTERED, text) => Ok(Change::Registered { attributes: Attributes::from_canonical(text) }),
        (REMOVED, "") => Ok(Change::Removed),
        _ => Err(Malformed("an event's change is unknown")),
    }
}
