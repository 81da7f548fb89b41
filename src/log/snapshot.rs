//! Snapshots of what the shards hold in memory, so that a start need not replay all of history.
//!
//! A snapshot is fuzzy: the shards copy their tables chunk by chunk while events go on. That is sound because the
//! standing after an event is a function of the event alone: recovery loads the copies and applies every event since
//! the copying began, and it does not matter that some of them had taken effect in the copy already.
//!
//! A chunk on disk: version 2, zero byte, shard (u16), number within the shard (u32), snapshot (u64), count of records
//! (u32), records, BLAKE3 of everything before. A record begins with its tag: 1 is an entity, 2 a nonce. Which
//! snapshot is complete says the marker in the meta area, which is written last.

use crate::domain::Standing;
use crate::types::{EntityHash, Fingerprint, Kind, Sequence, Timestamp};

use super::fields::{Fields, Malformed, put_text, put_varint, seal, unseal};
use super::writes::{Area, Writes};

const CHUNK_VERSION: u8 = 2;
const MARKER_VERSION: u8 = 1;
const HEADER_BYTES: usize = 20;
const ENTITY: u8 = 1;
const NONCE: u8 = 2;
const REGISTERED: u8 = 1;
const HAS_ATTRIBUTES: u8 = 2;
const NONCE_NAME_BYTES: usize = 12;
const MARKER: &[u8] = b"snapshot";

/// What a shard holds about one entity that has ever been registered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotEntry<'a> {
    /// Its hash.
    pub hash: EntityHash,
    /// The kind it was last registered as.
    pub kind: Kind,
    /// Its canonical text.
    pub text: &'a str,
    /// Whether it is registered.
    pub registered: bool,
    /// The place of the last event about it.
    pub sequence: Sequence,
    /// The time of that event.
    pub time: Timestamp,
    /// The name of who registered it.
    pub registrant: &'a str,
    /// What stands for its attributes; `None` where it has none.
    pub attributes: Option<Fingerprint>,
}

impl<'a> SnapshotEntry<'a> {
    /// The entry for an entity with this hash, canonical text and standing.
    pub fn of(hash: EntityHash, text: &'a str, standing: &Standing<'a>) -> SnapshotEntry<'a> {
        let Standing { kind, registered, sequence, updated, registrant, attributes } = standing.clone();
        SnapshotEntry { hash, kind, text, registered, sequence, time: updated, registrant, attributes }
    }

    /// What is true of the entity.
    pub fn standing(&self) -> Standing<'a> {
        Standing {
            kind: self.kind.clone(),
            registered: self.registered,
            sequence: self.sequence,
            updated: self.time,
            registrant: self.registrant,
            attributes: self.attributes,
        }
    }
}

/// A nonce that must be remembered (P8), by the names under which the engine remembers it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotNonce {
    /// What stands for principal and nonce: 96 bits.
    pub nonce: u128,
    /// What stands for the command.
    pub fingerprint: u64,
    /// The place of the event that answered it.
    pub sequence: Sequence,
    /// The time of that event.
    pub time: Timestamp,
}

/// A part of a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record<'a> {
    /// An entity.
    Entry(SnapshotEntry<'a>),
    /// A nonce.
    Nonce(SnapshotNonce),
}

/// Some records of one shard, sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotChunk {
    /// Which snapshot.
    pub snapshot: u64,
    /// Whose.
    pub shard: u16,
    /// The stored form.
    pub bytes: Vec<u8>,
}

/// All chunks of a shard were sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotEnd {
    /// Which snapshot.
    pub snapshot: u64,
    /// Whose.
    pub shard: u16,
    /// How many shards take part.
    pub shards: u16,
    /// The last event that had taken effect in this shard, or is durable, when it began to copy: the tail begins
    /// behind it.
    pub start: Sequence,
    /// The youngest event that is in a copy; the snapshot counts once that one is durable.
    pub highest: Sequence,
    /// How many chunks the shard sent.
    pub chunks: u32,
    /// How many records they hold.
    pub records: u64,
}

/// Makes the chunks of one shard.
pub struct SnapshotWriter {
    chunk: SnapshotChunk,
    in_chunk: u32,
    /// What the chunk before took, which the next one will take too.
    usual_bytes: usize,
    chunks: u32,
    records: u64,
    highest: Sequence,
}

impl SnapshotWriter {
    /// Begins a shard's part of a snapshot. Its number MUST be higher than that of any before
    /// ([`Recovery::next_snapshot`](super::Recovery::next_snapshot)), and the same for all shards.
    pub fn new(snapshot: u64, shard: u16) -> SnapshotWriter {
        let chunk = SnapshotChunk { snapshot, shard, bytes: Vec::new() };
        SnapshotWriter { chunk, in_chunk: 0, usual_bytes: 0, chunks: 0, records: 0, highest: Sequence::ZERO }
    }

    /// Adds an entity.
    pub fn entry(&mut self, entry: &SnapshotEntry<'_>) {
        self.begin_record(ENTITY, entry.sequence);
        let bytes = &mut self.chunk.bytes;
        bytes.extend_from_slice(&entry.hash.to_be_bytes());
        bytes.push(entry.kind.code());
        bytes.push(u8::from(entry.registered) | if entry.attributes.is_some() { HAS_ATTRIBUTES } else { 0 });
        put_varint(bytes, entry.sequence.value());
        put_varint(bytes, entry.time.unix_ms());
        put_text(bytes, entry.text);
        put_text(bytes, entry.registrant);
        if let Some(print) = entry.attributes {
            bytes.extend_from_slice(&print.to_le_bytes());
        }
        if let Kind::Extension(name) = &entry.kind {
            put_text(bytes, name);
        }
    }

    /// Adds a nonce.
    pub fn nonce(&mut self, nonce: &SnapshotNonce) {
        self.begin_record(NONCE, nonce.sequence);
        let bytes = &mut self.chunk.bytes;
        bytes.extend_from_slice(&nonce.nonce.to_le_bytes()[..NONCE_NAME_BYTES]);
        bytes.extend_from_slice(&nonce.fingerprint.to_le_bytes());
        put_varint(bytes, nonce.sequence.value());
        put_varint(bytes, nonce.time.unix_ms());
    }

    fn begin_record(&mut self, tag: u8, sequence: Sequence) {
        if self.chunk.bytes.is_empty() {
            self.chunk.bytes.reserve(self.usual_bytes);
            self.chunk.bytes.resize(HEADER_BYTES, 0);
        }
        self.chunk.bytes.push(tag);
        self.in_chunk += 1;
        self.highest = self.highest.max(sequence);
    }

    /// Length of the chunk that is being made, by which the shard sees when to send it.
    pub fn len_bytes(&self) -> usize {
        self.chunk.bytes.len()
    }

    /// Takes the chunk that is being made, if it has records, and begins another.
    pub fn take_chunk(&mut self) -> Option<SnapshotChunk> {
        if self.in_chunk == 0 {
            return None;
        }
        let mut taken = SnapshotChunk { bytes: std::mem::take(&mut self.chunk.bytes), ..self.chunk };
        let mut header = vec![CHUNK_VERSION, 0];
        header.extend_from_slice(&taken.shard.to_le_bytes());
        header.extend_from_slice(&self.chunks.to_le_bytes());
        header.extend_from_slice(&taken.snapshot.to_le_bytes());
        header.extend_from_slice(&self.in_chunk.to_le_bytes());
        taken.bytes.splice(..HEADER_BYTES, header);
        seal(&mut taken.bytes, 0);
        self.usual_bytes = taken.bytes.len();
        self.chunks += 1;
        self.records += u64::from(self.in_chunk);
        self.in_chunk = 0;
        Some(taken)
    }

    /// What to send behind the last chunk; see [`SnapshotEnd::start`].
    pub fn end(&self, shards: u16, start: Sequence) -> SnapshotEnd {
        SnapshotEnd {
            snapshot: self.chunk.snapshot,
            shard: self.chunk.shard,
            shards,
            start,
            highest: self.highest,
            chunks: self.chunks,
            records: self.records,
        }
    }
}

/// Shows the records of a stored chunk of this snapshot and returns how many there are.
pub(super) fn read_chunk(snapshot: u64, bytes: &[u8], visit: &mut dyn FnMut(Record<'_>)) -> Result<u64, Malformed> {
    let (covered, _) = unseal(bytes)?;
    let mut fields = Fields::of(covered);
    if fields.u8()? != CHUNK_VERSION || fields.u8()? != 0 {
        return Err(Malformed("its version is unknown"));
    }
    fields.u16()?;
    fields.u32()?;
    if fields.u64()? != snapshot {
        return Err(Malformed("it belongs to another snapshot"));
    }
    let count = fields.u32()?;
    for _ in 0..count {
        match fields.u8()? {
            ENTITY => visit(Record::Entry(read_entry(&mut fields)?)),
            NONCE => visit(Record::Nonce(read_nonce(&mut fields)?)),
            _ => return Err(Malformed("it has a record of an unknown sort")),
        }
    }
    fields.end()?;
    Ok(u64::from(count))
}

/// Whether this is a chunk as earlier versions wrote it, which is not read any more.
pub(super) fn is_old_chunk(bytes: &[u8]) -> bool {
    unseal(bytes).is_ok_and(|(covered, _)| covered.first().is_some_and(|version| (1..CHUNK_VERSION).contains(version)))
}

fn read_entry<'a>(fields: &mut Fields<'a>) -> Result<SnapshotEntry<'a>, Malformed> {
    let hash = EntityHash::from_be_bytes(fields.array()?);
    let code = fields.u8()?;
    let flags = fields.u8()?;
    if flags & !(REGISTERED | HAS_ATTRIBUTES) != 0 {
        return Err(Malformed("an entity has flags that are unknown"));
    }
    let sequence = Sequence::new(fields.varint()?);
    let time = Timestamp::from_unix_ms(fields.varint()?);
    let (text, registrant) = (fields.text()?, fields.text()?);
    let attributes = match flags & HAS_ATTRIBUTES {
        0 => None,
        _ => Some(Fingerprint::from_le_bytes(fields.array()?)),
    };
    let kind = match Kind::from_code(code) {
        Some(kind) => kind,
        None if code == u8::MAX => Kind::extension(fields.text()?),
        None => return Err(Malformed("an entity's kind is unknown")),
    };
    let registered = flags & REGISTERED != 0;
    Ok(SnapshotEntry { hash, kind, text, registered, sequence, time, registrant, attributes })
}

fn read_nonce(fields: &mut Fields<'_>) -> Result<SnapshotNonce, Malformed> {
    let mut name = [0; 16];
    name[..NONCE_NAME_BYTES].copy_from_slice(fields.bytes(NONCE_NAME_BYTES)?);
    let nonce = u128::from_le_bytes(name);
    let fingerprint = fields.u64()?;
    let sequence = Sequence::new(fields.varint()?);
    let time = Timestamp::from_unix_ms(fields.varint()?);
    Ok(SnapshotNonce { nonce, fingerprint, sequence, time })
}

/// Which snapshot is complete. Stored as version 1, snapshot, start, chunks (u32), records, seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Marker {
    pub(super) snapshot: u64,
    pub(super) start: Sequence,
    pub(super) chunks: u32,
    pub(super) records: u64,
}

impl Marker {
    pub(super) const KEY: &[u8] = MARKER;

    pub(super) fn put(&self, writes: &mut Writes) {
        let mut bytes = vec![MARKER_VERSION];
        bytes.extend_from_slice(&self.snapshot.to_le_bytes());
        bytes.extend_from_slice(&self.start.value().to_le_bytes());
        bytes.extend_from_slice(&self.chunks.to_le_bytes());
        bytes.extend_from_slice(&self.records.to_le_bytes());
        seal(&mut bytes, 0);
        writes.put(Area::Meta, MARKER, &bytes);
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Marker, Malformed> {
        let (covered, _) = unseal(bytes)?;
        let mut fields = Fields::of(covered);
        if fields.u8()? != MARKER_VERSION {
            return Err(Malformed("its version is unknown"));
        }
        let (snapshot, start) = (fields.u64()?, Sequence::new(fields.u64()?));
        let marker = Marker { snapshot, start, chunks: fields.u32()?, records: fields.u64()? };
        fields.end()?;
        Ok(marker)
    }
}

#[cfg(test)]
mod tests;
