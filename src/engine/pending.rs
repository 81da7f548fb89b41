//! Effects that wait for an event to become durable.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use crate::domain::{Outcome, Unavailable};
use crate::types::Sequence;

use super::{Effect, failed};

/// Effects in the order of the events they wait for; those that wait for the same event in the order of arrival.
///
/// Nearly all arrive in that order, since an answer to a change waits for the youngest event. Those that do not (a
/// lookup of an entity that was changed a while ago) wait beside the queue.
pub(super) struct Pending<T> {
    queue: VecDeque<(Place, Effect<T>)>,
    late: BinaryHeap<Reverse<Place>>,
    late_effects: BTreeMap<u64, Effect<T>>,
    arrived: u64,
}

/// The event that is waited for, and the number of the arrival.
type Place = (Sequence, u64);

impl<T> Default for Pending<T> {
    fn default() -> Pending<T> {
        Pending { queue: VecDeque::new(), late: BinaryHeap::new(), late_effects: BTreeMap::new(), arrived: 0 }
    }
}

impl<T> Pending<T> {
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.late.len()
    }

    /// Passes the effect on at once if its event is durable, or keeps it.
    pub(super) fn push(&mut self, event: Sequence, effect: Effect<T>, durable: Sequence, out: &mut Vec<Effect<T>>) {
        if event <= durable {
            out.push(effect);
            return;
        }
        let place = (event, self.arrived);
        self.arrived += 1;
        if self.queue.back().is_none_or(|(last, _)| *last < place) {
            self.queue.push_back((place, effect));
        } else {
            self.late.push(Reverse(place));
            self.late_effects.insert(place.1, effect);
        }
    }

    /// Passes on all effects whose events are durable now.
    pub(super) fn release(&mut self, durable: Sequence, out: &mut Vec<Effect<T>>) {
        while let Some(effect) = self.pop(durable) {
            out.push(effect);
        }
    }

    /// The next effect, if its event is not behind `last`.
    fn pop(&mut self, last: Sequence) -> Option<Effect<T>> {
        let queued = self.queue.front().map(|(place, _)| *place);
        let late = self.late.peek().map(|Reverse(place)| *place);
        match (queued, late) {
            (Some(queued), late) if late.is_none_or(|late| queued < late) => {
                if queued.0 > last {
                    return None;
                }
                self.queue.pop_front().map(|(_, effect)| effect)
            }
            (_, Some(late)) if late.0 <= last => {
                self.late.pop();
                self.late_effects.remove(&late.1)
            }
            _ => None,
        }
    }

    /// Ends all that waits: its events will never be durable.
    pub(super) fn fail(&mut self, out: &mut Vec<Effect<T>>) {
        while let Some(effect) = self.pop(Sequence::new(u64::MAX)) {
            match effect {
                Effect::Answer { tag, outcome } => out.push(Effect::Answer { tag, outcome: failed(outcome) }),
                Effect::Read { tag, .. } => {
                    out.push(Effect::Answer { tag, outcome: Outcome::Unavailable(Unavailable::Failed) });
                }
                Effect::Append { .. } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
                    pending.push(Sequence::new(event), Effect::Answer { tag: number, outcome }, Sequence::new(durable), &mut out);
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
