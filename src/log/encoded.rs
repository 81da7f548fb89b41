//! Events in their stored form, one behind the other, on their way from a shard to the log.
//!
//! A shard encodes an event as soon as it has happened. So what crosses to the committer is one piece of memory for many
//! events, and nothing that one thread must free for another.

use crate::domain::{Event, EventRef};
use crate::types::{EntityHash, Sequence, Timestamp};

use super::schema::encode_event;

/// Roughly what an event takes.
const USUAL_BYTES: usize = 192;

/// Events in their stored form, each with what the log must know of it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Encoded {
    each: Vec<Placed>,
    bytes: Vec<u8>,
}

/// What the log must know of an event without reading it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placed {
    /// The hash of its entity, for the index.
    pub(super) hash: EntityHash,
    /// Its place in the log.
    pub(super) sequence: Sequence,
    /// When it was decided.
    pub(super) time: Timestamp,
    /// Where its stored form ends among those of the others.
    end: usize,
}

/// Some events of [`Encoded`] that follow each other.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// What must be known of each. At least one.
    pub(super) each: &'a [Placed],
    /// Their stored forms.
    pub(super) bytes: &'a [u8],
    /// Where those begin among all.
    begin: usize,
}

impl Encoded {
    /// Adds an event. One that cannot be encoded takes all before it along: they are empty then, which the committer
    /// refuses, and that ends all writing (P7).
    #[inline]
    pub fn push(&mut self, hash: EntityHash, event: &EventRef<'_>) {
        if encode_event(event, &mut self.bytes).is_err() {
            self.bytes.clear();
            self.each.iter_mut().for_each(|placed| placed.end = 0);
        }
        self.each.push(Placed { hash, sequence: event.sequence, time: event.time, end: self.bytes.len() });
    }

    /// Makes room for so many events of usual length, where there are none yet.
    pub fn reserve(&mut self, events: usize) {
        self.each.reserve(events);
        self.bytes.reserve(events * USUAL_BYTES);
    }

    /// Adds one that is encoded already.
    pub(super) fn push_encoded(&mut self, placed: Placed, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.each.push(Placed { end: self.bytes.len(), ..placed });
    }

    /// Adds all of `other` behind these.
    #[cfg(test)]
    pub(super) fn append(&mut self, other: Encoded) {
        if self.is_empty() {
            *self = other;
        } else {
            other.iter().for_each(|(placed, bytes)| self.push_encoded(placed, bytes));
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Forgets them, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.each.clear();
        self.bytes.clear();
    }

    /// Bytes of the stored forms of the first `count`.
    pub(super) fn bytes_of(&self, count: usize) -> usize {
        count.checked_sub(1).and_then(|last| self.each.get(last)).map_or(0, |placed| placed.end)
    }

    /// Bytes that are held from the allocator.
    pub(super) fn capacity_bytes(&self) -> usize {
        self.bytes.capacity() + self.each.capacity() * size_of::<Placed>()
    }

    /// Takes the first `count` out.
    pub(super) fn split_front(&mut self, count: usize) -> Encoded {
        let bytes = self.bytes_of(count);
        let front = Encoded { each: self.each.drain(..count).collect(), bytes: self.bytes.drain(..bytes).collect() };
        self.each.iter_mut().for_each(|placed| placed.end -= bytes);
        front
    }

    /// All of them, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Placed, &[u8])> {
        self.each.iter().scan(0, |begin, placed| {
            let bytes = self.bytes.get(*begin..placed.end).unwrap_or_default();
            *begin = placed.end;
            Some((*placed, bytes))
        })
    }

    /// All of them in parts of so many; the last may be shorter.
    ///
    /// # Panics
    /// When `count` is 0.
    pub fn parts(&self, count: usize) -> impl Iterator<Item = Part<'_>> {
        self.each.chunks(count).scan(0, |begin, each| {
            let (from, to) = (*begin, each.last().map_or(*begin, |placed| placed.end));
            *begin = to;
            Some(Part { each, bytes: self.bytes.get(from..to).unwrap_or_default(), begin: from })
        })
    }
}

impl Part<'_> {
    /// Where each ends, counted from where the first begins.
    pub(super) fn ends(&self) -> impl Iterator<Item = usize> {
        self.each.iter().map(|placed| placed.end - self.begin)
    }
}

impl<'a> FromIterator<(EntityHash, &'a Event)> for Encoded {
    fn from_iter<T: IntoIterator<Item = (EntityHash, &'a Event)>>(events: T) -> Encoded {
        let mut encoded = Encoded::default();
        events.into_iter().for_each(|(hash, event)| encoded.push(hash, &event.into()));
        encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::arbitrary::{KEY, encoded, histories};
    use proptest::prelude::*;

    proptest! {
        /// However they were put together and taken apart, each is what it is alone.
        #[test]
        fn events_stay_what_they_are(
            events in histories(1..30),
            joined in prop::collection::vec(1..8_usize, 1..8),
            front in 0..30_usize,
            part in 1..10_usize,
        ) {
            let alone: Vec<Encoded> = events.iter().map(|event| encoded(&KEY, std::slice::from_ref(event))).collect();
            let (mut whole, mut rest) = (Encoded::default(), &events[..]);
            for count in joined.iter().cycle() {
                let (some, behind) = rest.split_at((*count).min(rest.len()));
                whole.append(encoded(&KEY, some));
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(&whole, &encoded(&KEY, &events));
            let front = whole.split_front(front.min(events.len()));
            prop_assert_eq!(front.len() + whole.len(), events.len());
            let same = |(placed, bytes): (Placed, &[u8])| {
                let mut again = Encoded::default();
                again.push_encoded(placed, bytes);
                again
            };
            prop_assert_eq!(front.iter().chain(whole.iter()).map(same).collect::<Vec<_>>(), alone);
            for half in [&front, &whole] {
                prop_assert_eq!(half.bytes_of(half.len()), half.iter().map(|(_, bytes)| bytes.len()).sum::<usize>());
                let mut all = half.iter();
                for part in half.parts(part) {
                    let mut begin = 0;
                    for (placed, end) in part.each.iter().zip(part.ends()) {
                        prop_assert_eq!(all.next(), Some((*placed, &part.bytes[begin..end])));
                        begin = end;
                    }
                    prop_assert_eq!(begin, part.bytes.len());
                }
                prop_assert_eq!(all.next(), None);
            }
        }
    }
}
