//! Version 1 of events.
//!
//! What names a person stands in one part, [`SubjectV1`]. Its bytes are the front of the event's; what remains, the
//! root, has a fixed size and stands at the end. So a later version can encrypt the front under a key of the subject,
//! and erase by forgetting the key.

use rkyv::Archive;
#[cfg(test)]
use rkyv::rancor::Failure;
use rkyv::with::{AsBox, InlineAsBox};

use crate::domain::EventRef;
use crate::types::{Kind, Sequence, Timestamp};

use super::super::fields::{Fields, Malformed};
use super::StoredEvent;

/// The code of a life that began ([`Change::Registered`](crate::domain::Change::Registered)).
const REGISTERED: u8 = 1;
/// The code of one that ended.
const REMOVED: u8 = 2;

/// An event. Numbers in place of enums, because an enum's unused bytes would not be determined.
#[cfg_attr(not(test), allow(dead_code, reason = "rkyv says by it where each part is; see `encode` and `read`"))]
#[derive(Archive)]
#[cfg_attr(test, derive(rkyv::Serialize))]
struct EventV1<'a> {
    sequence: u64,
    time_ms: u64,
    change: u8,
    kind: u8,
    #[rkyv(with = AsBox)]
    subject: SubjectV1<'a>,
}

/// All that may name a person.
#[derive(Archive)]
#[cfg_attr(test, derive(rkyv::Serialize))]
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

/// The bytes of the subject beside its texts, and those of the root.
const SUBJECT_BYTES: usize = 48;
const ROOT_BYTES: usize = 22;
/// Both.
const FIXED_BYTES: usize = SUBJECT_BYTES + ROOT_BYTES;
/// Bytes of an event's texts at the most: offsets have 31 bits and a sign.
const TEXTS_BYTES_MAX: usize = 1 << 30;
/// The texts of an event.
const TEXTS: usize = 5;
// The layout is frozen, since `read` counts on it: a feature of rkyv that changes it does not compile.
const _: () = assert!(size_of::<ArchivedEventV1<'static>>() == ROOT_BYTES);
const _: () = assert!(size_of::<ArchivedSubjectV1<'static>>() == SUBJECT_BYTES);
const _: () = assert!(align_of::<ArchivedEventV1<'static>>() == 1);

/// Appends what rkyv would: the texts one behind the other, the subject, the root. Their bytes are written where they stay;
/// rkyv puts them together first, and reads them again in wider pieces than it has written them in, for which a processor
/// waits until all that was written before is in its cache.
#[inline]
pub(super) fn encode(event: &EventRef<'_>, into: &mut Vec<u8>) -> Result<(), Malformed> {
    let Parts { texts, sequence, time_ms, change, kind, made_ms } = Parts::of(event);
    let texts_bytes: usize = texts.iter().map(|text| text.len()).sum();
    let too_long = Malformed("an event is too long");
    if texts_bytes > TEXTS_BYTES_MAX {
        return Err(too_long);
    }
    into.reserve(texts_bytes + FIXED_BYTES);
    for text in texts {
        into.extend_from_slice(text.as_bytes());
    }
    let begin = into.len();
    into.resize(begin + FIXED_BYTES, 0);
    let fixed = into.last_chunk_mut::<FIXED_BYTES>().ok_or(too_long)?;
    let (places, rest) = fixed.split_at_mut(8 * TEXTS);
    let (mut at, mut place_at) = (0, texts_bytes);
    for (place, text) in places.as_chunks_mut().0.iter_mut().zip(texts) {
        let place_of_text = u64::from(offset_between(place_at, at)) | (text.len() as u64) << u32::BITS;
        *place = place_of_text.to_le_bytes();
        at += text.len();
        place_at += 8;
    }
    let (numbers, rest) = rest.split_at_mut(24);
    for (place, number) in numbers.as_chunks_mut().0.iter_mut().zip([made_ms, sequence, time_ms]) {
        *place = number.to_le_bytes();
    }
    if let Some(rest) = rest.first_chunk_mut() {
        let [s0, s1, s2, s3] = SUBJECT_FROM_ROOT.to_le_bytes();
        *rest = [change, kind, s0, s1, s2, s3];
    }
    Ok(())
}

/// What an event is made of, in the words of this version.
struct Parts<'a> {
    /// Entity, extension, actor, attributes, nonce.
    texts: [&'a str; TEXTS],
    sequence: u64,
    time_ms: u64,
    change: u8,
    kind: u8,
    made_ms: u64,
}

impl<'a> Parts<'a> {
    #[inline(always)]
    fn of(event: &EventRef<'a>) -> Parts<'a> {
        let extension = if let Kind::Extension(name) = event.kind { name } else { "" };
        let (attributes, nonce) = (event.attributes.unwrap_or_default(), event.once.map_or("", |once| once.nonce));
        Parts {
            texts: [event.entity, extension, event.principal, attributes, nonce],
            sequence: event.sequence.value(),
            time_ms: event.time.unix_ms(),
            change: if event.attributes.is_some() { REGISTERED } else { REMOVED },
            kind: event.kind.code(),
            made_ms: event.once.map_or(0, |once| once.made.unix_ms()),
        }
    }
}

/// Reads an event where it stands.
///
/// rkyv's own check follows every offset to wherever it leads. There is one place only where each part may be, so it is
/// enough, and half the work, to demand that place: the texts one behind the other, the subject, the root.
pub(super) fn read(bytes: &[u8]) -> Result<StoredEvent<'_>, Malformed> {
    let misplaced = Malformed("an event's structure is invalid");
    let (texts, fixed) = bytes.split_last_chunk::<FIXED_BYTES>().ok_or(misplaced)?;
    let text = std::str::from_utf8(texts).map_err(|_| Malformed("an event's text is not UTF-8"))?;
    let mut fields = Fields::of(fixed);
    let mut parts = [""; TEXTS];
    let (mut at, mut subject_at) = (0_usize, texts.len());
    for part in &mut parts {
        let (offset, length) = (fields.u32()?, widen(fields.u32()?));
        if offset != offset_between(subject_at, at) {
            return Err(misplaced);
        }
        *part = at.checked_add(length).and_then(|end| text.get(at..end)).ok_or(misplaced)?;
        at += length;
        subject_at += 8;
    }
    let [entity, extension, actor, attributes, nonce] = parts;
    let made = Timestamp::from_unix_ms(fields.u64()?);
    let (sequence, time) = (Sequence::new(fields.u64()?), Timestamp::from_unix_ms(fields.u64()?));
    let (change, code) = (fields.u8()?, fields.u8()?);
    if fields.u32()? != SUBJECT_FROM_ROOT {
        return Err(misplaced);
    }
    if at != texts.len() {
        return Err(Malformed("an event has bytes that mean nothing"));
    }
    if nonce.is_empty() && made != Timestamp::ZERO {
        return Err(Malformed("an event has the time of a nonce and no nonce"));
    }
    Ok(StoredEvent {
        sequence,
        time,
        actor,
        nonce,
        made,
        entity,
        kind: kind(code, extension)?,
        attributes: registered(change, attributes)?,
    })
}

/// The offset of the subject, from the place where the root names it.
const SUBJECT_FROM_ROOT: u32 = offset_between(FIXED_BYTES - 4, 0);

/// What an offset from one place to another is stored as.
#[allow(
    clippy::cast_possible_truncation,
    reason = "an event is shorter than 2 GiB, and what is not has another offset"
)]
const fn offset_between(from: usize, to: usize) -> u32 {
    (to as u32).wrapping_sub(from as u32)
}

#[allow(clippy::cast_possible_truncation, reason = "usize has at least 32 bits where this runs")]
const fn widen(value: u32) -> usize {
    value as usize
}

fn kind(code: u8, extension: &str) -> Result<Kind, Malformed> {
    match (Kind::from_code(code), extension) {
        (Some(kind), "") => Ok(kind),
        (None, name) if code == u8::MAX && !name.is_empty() => Ok(Kind::extension(name)),
        _ => Err(Malformed("an event's kind of entity is unknown")),
    }
}

/// The attributes, if the change began a life.
fn registered(code: u8, attributes: &str) -> Result<Option<&str>, Malformed> {
    match (code, attributes) {
        // No attributes are the empty text, and nothing else is.
        (REGISTERED, "{}") => Err(Malformed("an event's attributes are not in their stored form")),
        (REGISTERED, text) => Ok(Some(text)),
        (REMOVED, "") => Ok(None),
        _ => Err(Malformed("an event's change is unknown")),
    }
}

/// An event as rkyv writes it, for comparison.
#[cfg(test)]
pub(super) fn encode_by_rkyv(event: &EventRef<'_>) -> Vec<u8> {
    let Parts { texts: [entity, extension, actor, attributes, nonce], sequence, time_ms, change, kind, made_ms } =
        Parts::of(event);
    let subject = SubjectV1 { entity, extension, actor, attributes, nonce, made_ms };
    let stored = EventV1 { sequence, time_ms, change, kind, subject };
    let mut bytes = Vec::new();
    rkyv::api::serialize_using::<_, Failure>(&stored, &mut bytes).unwrap();
    bytes
}

/// rkyv's own reading of an event, for comparison.
#[cfg(test)]
pub(super) fn read_by_rkyv(bytes: &[u8]) -> Option<(u64, u64, u8, u8, [String; TEXTS], u64)> {
    let stored = rkyv::access::<ArchivedEventV1<'_>, Failure>(bytes).ok()?;
    let subject = &*stored.subject;
    let texts = [&subject.entity, &subject.extension, &subject.actor, &subject.attributes, &subject.nonce];
    Some((
        stored.sequence.to_native(),
        stored.time_ms.to_native(),
        stored.change,
        stored.kind,
        texts.map(|text| String::from(&**text)),
        subject.made_ms.to_native(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is stored has one spelling: another would be an event that nobody wrote.
    #[test]
    fn kinds_and_changes_have_one_spelling() {
        for code in 0..=u8::MAX {
            assert_eq!(kind(code, "").ok(), Kind::from_code(code), "{code}");
            let extension = (code == u8::MAX).then(|| Kind::extension("x-a"));
            assert_eq!(kind(code, "x-a").ok(), extension, "{code}");
            for text in ["", "{}", "{\"a\":1}"] {
                let began = match (code, text) {
                    (REGISTERED, "" | "{\"a\":1}") => Some(Some(text)),
                    (REMOVED, "") => Some(None),
                    _ => None,
                };
                assert_eq!(registered(code, text).ok(), began, "{code} {text}");
            }
        }
    }
}
