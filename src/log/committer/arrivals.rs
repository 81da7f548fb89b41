//! Events on their way to the log: those that may be committed, and those that wait for an earlier one.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::{Change, Event};
use crate::types::{EntityHash, Sequence, Timestamp};

use super::super::LogError;

/// How far ahead of the next event another may arrive. The shards number events and send them at once, so a gap this
/// large means that one was lost.
const EARLY_EVENTS_MAX: usize = 1 << 20;
/// What an event takes in the log beside its entity and attributes, roughly: header, actor, nonce, index.
const OVERHEAD_BYTES: usize = 160;

/// The events that arrived and are not committed.
pub(super) struct Arrivals {
    /// Dense, in order; the first follows what is committed.
    ready: VecDeque<(EntityHash, Event)>,
    ready_bytes: usize,
    early: BTreeMap<Sequence, (EntityHash, Event)>,
    next: Sequence,
    last_time: Timestamp,
}

impl Arrivals {
    /// Behind the event at `last`.
    pub(super) fn behind(last: Sequence, last_time: Timestamp) -> Arrivals {
        let (ready, early) = (VecDeque::new(), BTreeMap::new());
        Arrivals { ready, ready_bytes: 0, early, next: last.next(), last_time }
    }

    /// Takes an event in.
    ///
    /// # Errors
    /// `OutOfOrder` when its place is taken or too far ahead, or its time runs backwards.
    pub(super) fn push(&mut self, hash: EntityHash, event: Event) -> Result<(), LogError> {
        let sequence = event.sequence;
        if sequence == self.next {
            self.make_ready(hash, event)?;
            while let Some((hash, event)) = self.early.remove(&self.next) {
                self.make_ready(hash, event)?;
            }
            return Ok(());
        }
        let what = if sequence < self.next || self.early.contains_key(&sequence) {
            "its place is taken"
        } else if self.early.len() >= EARLY_EVENTS_MAX {
            "an earlier one was never handed in"
        } else {
            self.early.insert(sequence, (hash, event));
            return Ok(());
        };
        Err(LogError::OutOfOrder { sequence, what })
    }

    fn make_ready(&mut self, hash: EntityHash, event: Event) -> Result<(), LogError> {
        if event.time < self.last_time {
            return Err(LogError::OutOfOrder { sequence: event.sequence, what: "its time runs backwards" });
        }
        self.next = self.next.next();
        self.last_time = event.time;
        self.ready_bytes += weight_bytes(&event);
        self.ready.push_back((hash, event));
        Ok(())
    }

    /// Whether as much is ready as one commit may hold.
    pub(super) fn fill(&self, events_max: usize, bytes_max: usize) -> bool {
        self.ready.len() >= events_max || self.ready_bytes >= bytes_max
    }

    /// Takes out what the next commit holds: a front part of what is ready, at least one event if there is one.
    pub(super) fn take(&mut self, events_max: usize, bytes_max: usize) -> Vec<(EntityHash, Event)> {
        let (mut count, mut bytes) = (0, 0);
        for (_, event) in self.ready.iter().take(events_max.max(1)) {
            bytes += weight_bytes(event);
            if count > 0 && bytes > bytes_max {
                bytes -= weight_bytes(event);
                break;
            }
            count += 1;
        }
        self.ready_bytes -= bytes;
        self.ready.drain(..count).collect()
    }

    /// Whether nothing is ready.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }
}

fn weight_bytes(event: &Event) -> usize {
    let attributes = match &event.change {
        Change::Registered { attributes } => attributes.as_str().len(),
        Change::Removed => 0,
    };
    OVERHEAD_BYTES + event.entity.as_str().len() + attributes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::arbitrary::{KEY, hashed, plain_history};
    use proptest::prelude::*;

    /// What these events weigh in a commit.
    fn bytes(events: &[(EntityHash, Event)]) -> usize {
        let text = |event: &Event| match &event.change {
            Change::Registered { attributes } => format!("{}{}", event.entity.as_str(), attributes.as_str()).len(),
            Change::Removed => event.entity.as_str().len(),
        };
        events.iter().map(|(_, event)| text(event) + OVERHEAD_BYTES).sum()
    }

    fn arrivals() -> Arrivals {
        Arrivals::behind(Sequence::ZERO, Timestamp::ZERO)
    }

    proptest! {
        #[test]
        fn any_order_of_arrival_yields_the_dense_order(
            order in Just((1..=40_u64).collect::<Vec<_>>()).prop_shuffle(),
            events_max in 1..50_usize,
            bytes_max in 1..4000_usize,
        ) {
            let events = hashed(&KEY, &plain_history(40));
            let mut arrivals = arrivals();
            let mut taken = Vec::new();
            for sequence in order {
                let (hash, event) = events[usize::try_from(sequence).unwrap() - 1].clone();
                arrivals.push(hash, event).unwrap();
                let ready: Vec<_> = arrivals.ready.iter().cloned().collect();
                let fills = ready.len() >= events_max || bytes(&ready) >= bytes_max;
                prop_assert_eq!(arrivals.fill(events_max, bytes_max), fills);
                if fills {
                    let part = arrivals.take(events_max, bytes_max);
                    // As much as fits, and one event if none does.
                    let fits = |count: usize| count <= events_max && bytes(&ready[..count]) <= bytes_max;
                    prop_assert!(part.len() == 1 || fits(part.len()));
                    prop_assert!(part.len() == ready.len() || !fits(part.len() + 1));
                    taken.extend(part);
                }
            }
            while !arrivals.is_empty() {
                taken.extend(arrivals.take(events_max, bytes_max));
            }
            prop_assert_eq!(arrivals.ready_bytes, 0);
            prop_assert_eq!(taken, events);
        }
    }

    #[test]
    fn broken_promises_are_refused() {
        let events = hashed(&KEY, &plain_history(4));
        let mut arrivals = arrivals();
        let mut push = |index: usize, time_ms: Option<u64>| {
            let (hash, mut event) = events[index].clone();
            event.time = time_ms.map_or(event.time, Timestamp::from_unix_ms);
            arrivals.push(hash, event).err()
        };
        let error = |sequence, what| Some(LogError::OutOfOrder { sequence: Sequence::new(sequence), what });
        assert_eq!(push(0, None), None);
        assert_eq!(push(0, None), error(1, "its place is taken"));
        assert_eq!(push(2, None), None);
        assert_eq!(push(2, None), error(3, "its place is taken"));
        assert_eq!(push(1, Some(5)), error(2, "its time runs backwards"));
    }
}
