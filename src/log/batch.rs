//! One stored batch: the events of one commit, or a part of them, behind a header and before a checksum.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `RSLB` |
//! | 4 | 2 | format version, 1 |
//! | 6 | 2 | zero |
//! | 8 | 16 | id of the log |
//! | 24 | 4 | count of events, n: 1 to 10,000 |
//! | 28 | 8 | sequence of the first event |
//! | 36 | 8 | time of the commit in ms |
//! | 44 | 32 | digest of the batch before; zeros before the first |
//! | 76 | 4 | length of all that follows but the digest, 4n + m |
//! | 80 | 4n | where each event ends, counted from the first event's begin |
//! | 80 + 4n | m | the events (`schema`) |
//! | 80 + 4n + m | 32 | BLAKE3 of everything before it: checksum, and what the next batch names |
//!
//! Integers are little-endian. Since each batch names the digest of the one before, no batch can be changed, removed
//! or moved without every later one telling (P5).
//!
//! Reading checks the checksum first, then the structure once, and then gives out events one by one. It never panics.

use crate::domain::Event;
use crate::types::{Sequence, Timestamp};

use super::encoded::Part;
use super::fields::{Fields, Malformed, SEAL_BYTES, seal, unseal};
use super::identity::LogId;
use super::schema::{StoredEvent, read_event};

const MAGIC: [u8; 4] = *b"RSLB";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 80;
/// Events in one batch at the most: the index stores places in a batch as 16 bits, and reading one event checks all.
pub const BATCH_EVENTS_LIMIT: usize = 10_000;

/// The digest by which a batch is known to its successor.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BatchDigest(pub [u8; SEAL_BYTES]);

impl BatchDigest {
    /// What the first batch names as its predecessor.
    pub const NONE: BatchDigest = BatchDigest([0; SEAL_BYTES]);
}

/// Lower-case hex.
impl std::fmt::Display for BatchDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a batch says besides its events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHead {
    /// The log that it belongs to.
    pub log_id: LogId,
    /// The place of its first event.
    pub first: Sequence,
    /// When it was committed; not before its last event.
    pub committed: Timestamp,
    /// The batch before it.
    pub previous: BatchDigest,
}

/// Appends the stored form of a batch to `into` and returns its digest.
///
/// # Errors
/// When there are no events or more than [`BATCH_EVENTS_LIMIT`], when their sequences are not dense from
/// `head.first`, or when they fill 4 GiB.
pub fn encode_batch(head: &BatchHead, events: Part<'_>, into: &mut Vec<u8>) -> Result<BatchDigest, Malformed> {
    let count = events.each.len();
    if count == 0 || count > BATCH_EVENTS_LIMIT {
        return Err(Malformed("a batch has no events or too many"));
    }
    let dense =
        events.each.iter().zip(head.first.value()..).all(|(placed, expected)| placed.sequence.value() == expected);
    if !dense {
        return Err(Malformed("a batch's events are not dense"));
    }
    let start = into.len();
    into.extend_from_slice(&MAGIC);
    into.extend_from_slice(&VERSION.to_le_bytes());
    into.extend_from_slice(&[0; 2]);
    into.extend_from_slice(&head.log_id.0);
    into.extend_from_slice(&narrow(count)?.to_le_bytes());
    into.extend_from_slice(&head.first.value().to_le_bytes());
    into.extend_from_slice(&head.committed.unix_ms().to_le_bytes());
    into.extend_from_slice(&head.previous.0);
    into.extend_from_slice(&narrow(4 * count + events.bytes.len())?.to_le_bytes());
    for end in events.ends() {
        into.extend_from_slice(&narrow(end)?.to_le_bytes());
    }
    into.extend_from_slice(events.bytes);
    Ok(BatchDigest(seal(into, start)))
}

fn narrow(length: usize) -> Result<u32, Malformed> {
    u32::try_from(length).map_err(|_| Malformed("a batch is too long"))
}

/// A stored batch whose checksum and structure hold.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    head: BatchHead,
    digest: BatchDigest,
    count: u32,
    ends: &'a [u8],
    events: &'a [u8],
}

impl<'a> Batch<'a> {
    /// Reads a batch from exactly its stored form.
    ///
    /// # Errors
    /// When the checksum or the structure does not hold, or bytes follow.
    pub fn read(bytes: &'a [u8]) -> Result<Batch<'a>, Malformed> {
        let (covered, digest) = unseal(bytes)?;
        let mut fields = Fields::of(covered);
        if fields.array()? != MAGIC {
            return Err(Malformed("it does not begin as a batch does"));
        }
        if fields.u16()? != VERSION || fields.u16()? != 0 {
            return Err(Malformed("its version is unknown"));
        }
        let log_id = LogId(fields.array()?);
        let count = fields.u32()?;
        let first = fields.u64()?;
        let committed = Timestamp::from_unix_ms(fields.u64()?);
        let previous = BatchDigest(fields.array()?);
        let payload_bytes = fields.u32()?;
        if covered.len() - HEADER_BYTES != widen(payload_bytes) {
            return Err(Malformed("its length does not match"));
        }
        if count == 0 || widen(count) > BATCH_EVENTS_LIMIT {
            return Err(Malformed("it has no events or too many"));
        }
        if first == 0 || first.checked_add(u64::from(count)).is_none() {
            return Err(Malformed("its first sequence is out of range"));
        }
        let ends = fields.bytes(4 * widen(count))?;
        let events = fields.rest();
        check_ends(ends, events.len())?;
        let head = BatchHead { log_id, first: Sequence::new(first), committed, previous };
        Ok(Batch { head, digest: BatchDigest(digest), count, ends, events })
    }

    /// What it says besides its events.
    pub fn head(&self) -> &BatchHead {
        &self.head
    }

    /// Its digest.
    pub fn digest(&self) -> BatchDigest {
        self.digest
    }

    /// How many events it has; at least 1.
    pub fn count(&self) -> u64 {
        u64::from(self.count)
    }

    /// The place of its last event.
    pub fn last(&self) -> Sequence {
        Sequence::new(self.head.first.value() + self.count() - 1)
    }

    /// The stored form of the event at `sequence`, if it is in this batch.
    pub fn event_bytes(&self, sequence: Sequence) -> Option<&'a [u8]> {
        let index = usize::try_from(sequence.value().checked_sub(self.head.first.value())?).ok()?;
        let begin = if index == 0 { 0 } else { end_of(self.ends, index - 1)? };
        self.events.get(begin..end_of(self.ends, index)?)
    }

    /// The event at `sequence`, without decoding any other.
    ///
    /// # Errors
    /// When it is not in this batch, or its bytes are no event, or one of another place.
    pub fn event(&self, sequence: Sequence) -> Result<Event, Malformed> {
        self.stored(sequence)?.into_event()
    }

    /// The same, without copying its texts.
    ///
    /// # Errors
    /// As [`Batch::event`], but for the nonce, which is not looked at.
    pub fn stored(&self, sequence: Sequence) -> Result<StoredEvent<'a>, Malformed> {
        let event = read_event(self.event_bytes(sequence).ok_or(Malformed("it lacks an event"))?)?;
        if event.sequence == sequence { Ok(event) } else { Err(Malformed("an event stands in a wrong place")) }
    }

    /// All its events in order.
    pub fn events(&self) -> impl Iterator<Item = Result<Event, Malformed>> + '_ {
        (self.head.first.value()..=self.last().value()).map(|sequence| self.event(Sequence::new(sequence)))
    }
}

/// The digest that a stored batch ends with, unchecked: for a batch that is not read but only preceded.
pub(super) fn digest_of(bytes: &[u8]) -> Result<BatchDigest, Malformed> {
    bytes.last_chunk().map(|digest| BatchDigest(*digest)).ok_or(Malformed("it is shorter than its checksum"))
}

#[allow(clippy::cast_possible_truncation, reason = "usize has at least 32 bits where this runs")]
const fn widen(value: u32) -> usize {
    value as usize
}

fn end_of(ends: &[u8], index: usize) -> Option<usize> {
    let bytes = ends.get(4 * index..)?.first_chunk()?;
    Some(widen(u32::from_le_bytes(*bytes)))
}

fn check_ends(ends: &[u8], events_bytes: usize) -> Result<(), Malformed> {
    let mut before = 0;
    let (each, _) = ends.as_chunks::<4>();
    for end in each {
        let end = widen(u32::from_le_bytes(*end));
        if end <= before {
            return Err(Malformed("its events overlap or are empty"));
        }
        before = end;
    }
    if before == events_bytes { Ok(()) } else { Err(Malformed("its events do not fill it")) }
}

#[cfg(test)]
mod tests;
