//! Events on their way to the log: those that may be committed, and those that wait for an earlier one.

use std::collections::BTreeMap;

use crate::types::{Sequence, Timestamp};

use super::super::LogError;
use super::super::encoded::{Encoded, Placed};

/// How far ahead of the next event another may arrive. The shards number events and send them at once, so a gap this
/// large means that one was lost.
const EARLY_EVENTS_MAX: usize = 1 << 20;
/// What an event takes in a commit beside its stored form, roughly: where it ends, and its part of the batch's header.
const OVERHEAD_BYTES: usize = 16;
/// What was committed leaves its memory to what comes, up to so much.
const KEPT_BYTES_MAX: usize = 16 << 20;

/// The events that arrived and are not committed.
pub(super) struct Arrivals {
    /// Dense, in order; the first follows what is committed.
    ready: Encoded,
    early: BTreeMap<Sequence, (Placed, Box<[u8]>)>,
    next: Sequence,
    last_time: Timestamp,
    /// None, with the memory of what was committed.
    spare: Encoded,
}

impl Arrivals {
    /// Behind the event at `last`.
    pub(super) fn behind(last: Sequence, last_time: Timestamp) -> Arrivals {
        let (ready, early, spare) = (Encoded::default(), BTreeMap::new(), Encoded::default());
        Arrivals { ready, early, next: last.next(), last_time, spare }
    }

    /// Takes events in.
    ///
    /// # Errors
    /// `OutOfOrder` when the place of one is taken or too far ahead, its time runs backwards, or it was not encoded.
    pub(super) fn push(&mut self, events: &Encoded) -> Result<(), LogError> {
        events.iter().try_for_each(|(placed, bytes)| self.push_one(placed, bytes))
    }

    fn push_one(&mut self, placed: Placed, bytes: &[u8]) -> Result<(), LogError> {
        let sequence = placed.sequence;
        if sequence == self.next {
            self.make_ready(placed, bytes)?;
            while let Some((placed, bytes)) = self.early.remove(&self.next) {
                self.make_ready(placed, &bytes)?;
            }
            return Ok(());
        }
        let what = if sequence < self.next || self.early.contains_key(&sequence) {
            "its place is taken"
        } else if self.early.len() >= EARLY_EVENTS_MAX {
            "an earlier one was never handed in"
        } else {
            self.early.insert(sequence, (placed, bytes.into()));
            return Ok(());
        };
        Err(LogError::OutOfOrder { sequence, what })
    }

    fn make_ready(&mut self, placed: Placed, bytes: &[u8]) -> Result<(), LogError> {
        let refused = |what| Err(LogError::OutOfOrder { sequence: placed.sequence, what });
        if placed.time < self.last_time {
            return refused("its time runs backwards");
        }
        if bytes.is_empty() {
            return refused("it could not be encoded");
        }
        self.next = self.next.next();
        self.last_time = placed.time;
        self.ready.push_encoded(placed, bytes);
        Ok(())
    }

    /// Whether as much is ready as one commit may hold.
    pub(super) fn fill(&self, events_max: usize, bytes_max: usize) -> bool {
        self.ready.len() >= events_max || self.weight_bytes(self.ready.len()) >= bytes_max
    }

    /// Takes out what the next commit holds: a front part of what is ready, at least one event if there is one.
    pub(super) fn take(&mut self, events_max: usize, bytes_max: usize) -> Encoded {
        let ready = self.ready.len();
        let fits = |count: usize| count <= events_max && self.weight_bytes(count) <= bytes_max;
        if fits(ready) {
            return std::mem::replace(&mut self.ready, std::mem::take(&mut self.spare));
        }
        // The weight grows with the count.
        let (mut enough, mut too_many) = (1, ready);
        while enough + 1 < too_many {
            let middle = enough.midpoint(too_many);
            if fits(middle) { enough = middle } else { too_many = middle }
        }
        self.ready.split_front(enough)
    }

    /// Takes back what was committed, for its memory.
    pub(super) fn reuse(&mut self, mut committed: Encoded) {
        if committed.capacity_bytes() <= KEPT_BYTES_MAX {
            committed.clear();
            self.spare = committed;
        }
    }

    /// Whether nothing is ready.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// What the first `count` of those that are ready take in a commit.
    fn weight_bytes(&self, count: usize) -> usize {
        self.ready.bytes_of(count) + count * OVERHEAD_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::arbitrary::{KEY, encoded, plain_history};
    use proptest::prelude::*;

    /// What these events weigh in a commit.
    fn bytes(events: &[Encoded]) -> usize {
        events.iter().map(|event| event.bytes_of(1) + OVERHEAD_BYTES).sum()
    }

    fn joined(events: &[Encoded]) -> Encoded {
        let mut all = Encoded::default();
        events.iter().cloned().for_each(|event| all.append(event));
        all
    }

    fn arrivals() -> Arrivals {
        Arrivals::behind(Sequence::ZERO, Timestamp::ZERO)
    }

    /// Events that are each alone.
    fn events(count: u64) -> Vec<Encoded> {
        plain_history(count).iter().map(|event| encoded(&KEY, std::slice::from_ref(event))).collect()
    }

    proptest! {
        #[test]
        fn any_order_of_arrival_yields_the_dense_order(
            order in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle(),
            events_max in 1..50_usize,
            bytes_max in 1..4000_usize,
            reuses: bool,
        ) {
            let events = events(40);
            let mut arrivals = arrivals();
            let (mut taken, mut arrived) = (Encoded::default(), vec![false; events.len()]);
            for sequence in order {
                let index = usize::try_from(sequence).unwrap() - 1;
                arrivals.push(&events[index]).unwrap();
                arrived[index] = true;
                let dense = arrived.iter().take_while(|arrived| **arrived).count();
                let ready = &events[taken.len()..dense];
                prop_assert_eq!(&arrivals.ready, &joined(ready));
                let fills = ready.len() >= events_max || bytes(ready) >= bytes_max;
                prop_assert_eq!(arrivals.fill(events_max, bytes_max), fills);
                if fills {
                    let part = arrivals.take(events_max, bytes_max);
                    // As much as fits, and one event if none does.
                    let fits = |count: usize| count <= events_max && bytes(&ready[..count]) <= bytes_max;
                    prop_assert!(part.len() == 1 || fits(part.len()));
                    prop_assert!(part.len() == ready.len() || !fits(part.len() + 1));
                    taken.append(part.clone());
                    if reuses {
                        arrivals.reuse(part);
                    }
                }
            }
            while !arrivals.is_empty() {
                taken.append(arrivals.take(events_max, bytes_max));
            }
            prop_assert_eq!(arrivals.take(events_max, bytes_max).len(), 0);
            prop_assert_eq!(taken, joined(&events));
        }
    }

    #[test]
    fn broken_promises_are_refused() {
        let events = plain_history(4);
        let mut arrivals = arrivals();
        let mut push = |index: usize, time_ms: Option<u64>| {
            let mut event = events[index].clone();
            event.time = time_ms.map_or(event.time, Timestamp::from_unix_ms);
            arrivals.push(&encoded(&KEY, &[event])).err()
        };
        let error = |sequence, what| Some(LogError::OutOfOrder { sequence: Sequence::new(sequence), what });
        assert_eq!(push(0, None), None);
        assert_eq!(push(0, None), error(1, "its place is taken"));
        assert_eq!(push(2, None), None);
        assert_eq!(push(2, None), error(3, "its place is taken"));
        assert_eq!(push(1, Some(5)), error(2, "its time runs backwards"));
    }

    #[test]
    fn what_could_not_be_encoded_is_refused() {
        let mut empty = Encoded::default();
        let events = events(1);
        let (placed, _) = events[0].iter().next().unwrap();
        empty.push_encoded(placed, &[]);
        let what = "it could not be encoded";
        assert_eq!(arrivals().push(&empty), Err(LogError::OutOfOrder { sequence: Sequence::new(1), what }));
    }
}
