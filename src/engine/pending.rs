//! Effects that wait for an event to become durable.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::domain::{Outcome, Unavailable};
use crate::types::Sequence;

use super::Effect;

/// Effects in the order of the events they wait for; those that wait for the same event in the order of arrival.
pub(super) struct Pending<T> {
    order: BinaryHeap<Reverse<(Sequence, u64)>>,
    effects: BTreeMap<u64, Effect<T>>,
    arrived: u64,
}

impl<T> Default for Pending<T> {
    fn default() -> Pending<T> {
        Pending { order: BinaryHeap::new(), effects: BTreeMap::new(), arrived: 0 }
    }
}

impl<T> Pending<T> {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// Passes the effect on at once if its event is durable, or keeps it.
    pub(super) fn push(&mut self, event: Sequence, effect: Effect<T>, durable: Sequence, out: &mut Vec<Effect<T>>) {
        if event <= durable {
            out.push(effect);
            return;
        }
        self.order.push(Reverse((event, self.arrived)));
        self.effects.insert(self.arrived, effect);
        self.arrived += 1;
    }

    /// Passes on all effects whose events are durable now.
    pub(super) fn release(&mut self, durable: Sequence, out: &mut Vec<Effect<T>>) {
        while self.order.peek().is_some_and(|Reverse((event, _))| *event <= durable) {
            if let Some(Reverse((_, arrived))) = self.order.pop() {
                out.extend(self.effects.remove(&arrived));
            }
        }
    }

    /// Ends all that waits: its events will never be durable.
    pub(super) fn fail(&mut self, out: &mut Vec<Effect<T>>) {
        while let Some(Reverse((_, arrived))) = self.order.pop() {
            out.extend(self.effects.remove(&arrived).and_then(|effect| match effect {
                Effect::Answer { tag, .. } | Effect::Read { tag, .. } => {
                    Some(Effect::Answer { tag, outcome: Outcome::Unavailable(Unavailable::Failed) })
                }
                Effect::Append { .. } => None,
            }));
        }
    }
}
