//! Answers that wait for an event to become durable, or for being read when it is.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use crate::domain::{Command, Outcome, Unavailable};
use crate::types::Sequence;

use super::{Effects, failed};

/// What waits. Thousands do at a time.
pub(super) enum Waiting<T> {
    /// [`Effects::answer`]
    Answer { tag: T, outcome: Outcome },
    /// [`Effects::read`]
    Read { tag: T, command: Box<Command>, up_to: Sequence },
}

impl<T> Waiting<T> {
    /// Waits no more.
    fn pass_on(self, effects: &mut impl Effects<T>) {
        match self {
            Waiting::Answer { tag, outcome } => effects.answer(tag, outcome),
            Waiting::Read { tag, command, up_to } => effects.read(tag, command, up_to),
        }
    }
}

/// Answers in the order of the events they wait for; those that wait for the same event in the order of arrival.
///
/// Nearly all arrive in that order, since an answer to a change waits for the youngest event. Those that do not (a
/// lookup of an entity that was changed a while ago) wait beside the queue.
pub(super) struct Pending<T> {
    queue: VecDeque<(Place, Waiting<T>)>,
    late: BinaryHeap<Reverse<Place>>,
    late_answers: BTreeMap<u64, Waiting<T>>,
    arrived: u64,
}

/// The event that is waited for, and the number of the arrival.
type Place = (Sequence, u64);

impl<T> Default for Pending<T> {
    fn default() -> Pending<T> {
        Pending { queue: VecDeque::new(), late: BinaryHeap::new(), late_answers: BTreeMap::new(), arrived: 0 }
    }
}

impl<T> Pending<T> {
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.late.len()
    }

    /// Passes it on at once if its event is durable, or keeps it.
    pub(super) fn push(
        &mut self,
        event: Sequence,
        waiting: Waiting<T>,
        durable: Sequence,
        effects: &mut impl Effects<T>,
    ) {
        if event <= durable {
            return waiting.pass_on(effects);
        }
        let place = (event, self.arrived);
        self.arrived += 1;
        if self.queue.back().is_none_or(|(last, _)| *last < place) {
            self.queue.push_back((place, waiting));
        } else {
            self.late.push(Reverse(place));
            self.late_answers.insert(place.1, waiting);
        }
    }

    /// Passes on all whose events are durable now.
    pub(super) fn release(&mut self, durable: Sequence, effects: &mut impl Effects<T>) {
        while let Some(waiting) = self.pop(durable) {
            waiting.pass_on(effects);
        }
    }

    /// The next one, if its event is not behind `last`.
    fn pop(&mut self, last: Sequence) -> Option<Waiting<T>> {
        let queued = self.queue.front().map(|(place, _)| *place);
        let late = self.late.peek().map(|Reverse(place)| *place);
        match (queued, late) {
            (Some(queued), late) if late.is_none_or(|late| queued < late) => {
                if queued.0 > last {
                    return None;
                }
                self.queue.pop_front().map(|(_, waiting)| waiting)
            }
            (_, Some(late)) if late.0 <= last => {
                self.late.pop();
                self.late_answers.remove(&late.1)
            }
            _ => None,
        }
    }

    /// Ends all that waits: its events will never be durable.
    pub(super) fn fail(&mut self, effects: &mut impl Effects<T>) {
        while let Some(waiting) = self.pop(Sequence::new(u64::MAX)) {
            let (tag, outcome) = match waiting {
                Waiting::Answer { tag, outcome } => (tag, failed(outcome)),
                Waiting::Read { tag, .. } => (tag, Outcome::Unavailable(Unavailable::Failed)),
            };
            effects.answer(tag, outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Effect;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn effects_leave_in_the_order_of_their_events(
            moves in proptest::collection::vec((1..60_u64, prop::bool::weighted(0.1)), 0..200),
        ) {
            let (mut pending, mut model, mut durable) = (Pending::default(), Vec::new(), 0);
            for (number, (event, syncs)) in (0_u64..).zip(moves) {
                let mut out = Vec::new();
                let mut expected = Vec::new();
                if syncs {
                    durable = event.max(durable);
                    pending.release(Sequence::new(durable), &mut out);
                    model.sort_unstable();
                    let ready = model.iter().take_while(|(event, _)| *event <= durable).count();
                    expected.extend(model.drain(..ready).map(|(_, number)| number));
                } else {
                    let outcome = Outcome::Unavailable(Unavailable::Overloaded);
                    pending.push(Sequence::new(event), Waiting::Answer { tag: number, outcome }, Sequence::new(durable), &mut out);
                    if event <= durable { expected.push(number) } else { model.push((event, number)) }
                }
                let tags: Vec<u64> = out
                    .iter()
                    .map(|effect| match effect {
                        Effect::Answer { tag, .. } => *tag,
                        other => panic!("{other:?}"),
                    })
                    .collect();
                prop_assert_eq!(tags, expected);
                prop_assert_eq!(pending.len(), model.len());
            }
        }
    }
}
