//! Memory for packed records: large chunks, so that growing copies nothing. A full chunk may move to a huge page; the
//! places of its records stay what they are.

use super::region::{REGION_BYTES, Region, Regions};

/// Bytes of a chunk. Large enough that the tail wasted at its end is small against it, and that the list of all chunks,
/// of which every lookup reads an entry, stays in the processor's nearest cache: 300 of them at ten million entities.
const CHUNK_BYTES: usize = REGION_BYTES;
type Chunk = [u8; CHUNK_BYTES];
/// log2 of [`CHUNK_BYTES`].
const CHUNK_BITS: u32 = CHUNK_BYTES.trailing_zeros();

/// Where a record begins: chunk number above, offset in the chunk below.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place(u64);

impl Place {
    /// The first place of all.
    pub(super) const START: Place = Place(0);

    fn new(chunk: usize, offset: usize) -> Place {
        // The end of a full chunk is the start of the next one.
        Place(((chunk as u64) << CHUNK_BITS) + offset as u64)
    }

    /// The place as a number below 2^40, for an index to store.
    pub(super) fn number(self) -> u64 {
        self.0
    }

    /// The place with this number.
    pub(super) fn from_number(number: u64) -> Place {
        Place(number)
    }

    #[allow(clippy::cast_possible_truncation, reason = "a place was made from two usize")]
    fn parts(self) -> (usize, usize) {
        ((self.0 >> CHUNK_BITS) as usize, (self.0 as usize) & (CHUNK_BYTES - 1))
    }
}

/// Records one behind the other. Nothing is ever freed: records are overwritten in place or abandoned.
#[derive(Default)]
pub(super) struct Arena {
    chunks: Regions,
    /// Bytes of records in each chunk.
    lens: Vec<usize>,
}

impl Arena {
    /// Appends a record of so many bytes, says where, and gives it to be written. Its bytes are zero.
    ///
    /// # Panics
    /// When the record is longer than a chunk; the limits of entities forbid it.
    pub(super) fn push(&mut self, bytes: usize) -> (Place, &mut [u8]) {
        assert!(bytes <= CHUNK_BYTES, "a record of {bytes} bytes");
        if self.lens.last().is_none_or(|len| len + bytes > CHUNK_BYTES) {
            self.chunks.grow();
            self.lens.push(0);
        }
        let last = self.lens.len() - 1;
        let begin = self.lens[last];
        self.lens[last] += bytes;
        let record = self.at_mut(Place::new(last, begin));
        (Place::new(last, begin), &mut record[..bytes])
    }

    /// The bytes from a place to the end of its chunk, zero behind the last record; none where no chunk is.
    #[inline]
    pub(super) fn at(&self, place: Place) -> &[u8] {
        let (chunk, offset) = place.parts();
        self.chunks.get(chunk).and_then(|chunk| chunk.content::<Chunk>().get(offset..)).unwrap_or_default()
    }

    /// Likewise, to write.
    pub(super) fn at_mut(&mut self, place: Place) -> &mut [u8] {
        let (chunk, offset) = place.parts();
        self.chunks.get_mut(chunk).and_then(|chunk| chunk.content_mut::<Chunk>().get_mut(offset..)).unwrap_or_default()
    }

    /// The place `bytes` behind `place`, or the start of the next chunk when this one ends there; `None` at the end.
    pub(super) fn next(&self, place: Place, bytes: usize) -> Option<Place> {
        let (chunk, offset) = place.parts();
        if offset + bytes < *self.lens.get(chunk)? {
            Some(Place::new(chunk, offset + bytes))
        } else {
            self.lens.get(chunk + 1).filter(|len| **len > 0).map(|_| Place::new(chunk + 1, 0))
        }
    }

    /// The place behind all records: whatever is pushed later begins here or further on.
    pub(super) fn end(&self) -> Place {
        self.lens.last().map_or(Place::START, |len| Place::new(self.lens.len() - 1, *len))
    }

    /// What was written into each chunk.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[u8]> {
        let records = |(chunk, len): (usize, &usize)| self.chunks.get(chunk)?.content::<Chunk>().get(..*len);
        self.lens.iter().enumerate().filter_map(records)
    }

    /// Bytes held from the system.
    pub(super) fn bytes(&self) -> usize {
        self.chunks.bytes()
    }

    /// Whether nobody has given the next chunk.
    pub(super) fn wants_next(&self) -> bool {
        self.chunks.wants_next()
    }

    /// Gives the next chunk.
    pub(super) fn give_next(&mut self, next: Region) {
        self.chunks.give_next(next);
    }

    /// Whether a full chunk has not moved to a huge page.
    pub(super) fn may_move(&self) -> bool {
        self.chunks.may_move(self.lens.len().saturating_sub(1))
    }

    /// Moves that chunk, and returns where it was.
    pub(super) fn move_one(&mut self, to: Region) -> Region {
        self.chunks.move_one(to)
    }
}
