//! Every event in order: for rebuilding state from nothing, and for forensics.

use std::ops::ControlFlow;

use crate::domain::Event;
use crate::types::{EntityHash, Sequence};

use super::chain::Chain;
use super::fields::Malformed;
use super::schema::StoredEvent;
use super::store::Head;
use super::writes::{Area, Scan};
use super::{LogError, Store};

/// Which events to replay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first one.
    pub from: Sequence,
    /// The last one; `None` is the last of the log, which is then also checked to be the last that was written.
    pub to: Option<Sequence>,
}

impl Span {
    /// All of them.
    pub const ALL: Span = Span { from: Sequence::new(1), to: None };
}

/// Events of which batches have that many or fewer, mostly.
const BATCH_EVENTS_USUAL: usize = 64;

fn corrupt(sequence: Sequence) -> impl FnOnce(Malformed) -> LogError {
    move |why| LogError::corrupt(sequence, "a batch", why)
}

/// Told now and then how much is done, and of how much.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

impl Store {
    /// Shows the events of a span in order, until `visit` breaks. Every batch on the way is checked: checksum, place,
    /// digest of the one before, times.
    ///
    /// `progress` counts events and is called once for each batch. The result is where the log was left: place, time
    /// and digest of the last batch that was read, and how many were.
    ///
    /// # Errors
    /// `Corrupt` with the place, or `Io`.
    pub fn replay(
        &self,
        span: Span,
        progress: Progress<'_>,
        mut visit: impl FnMut(EntityHash, Event) -> ControlFlow<()>,
    ) -> Result<Head, LogError> {
        self.replay_batches(span, progress, |events| {
            for (hash, event) in events {
                let sequence = event.sequence;
                if visit(*hash, event.clone().into_event().map_err(corrupt(sequence))?).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// The same, batch by batch, and without copying the texts of events.
    ///
    /// # Errors
    /// As [`Store::replay`], and those of `visit`.
    pub fn replay_batches(
        &self,
        span: Span,
        progress: Progress<'_>,
        mut visit: impl FnMut(&[(EntityHash, StoredEvent<'_>)]) -> Result<ControlFlow<()>, LogError>,
    ) -> Result<Head, LogError> {
        let head = self.head()?;
        let to = span.to.unwrap_or(head.last);
        let total = (to.value() + 1).saturating_sub(span.from.value().max(1));
        let hash_key = self.identity().hash_key;
        let mut chain = Chain::before(self, span.from)?;
        let mut done = 0;
        let mut whole = span.to.is_none();
        let scan = Scan::all_from(Area::Log, chain.next_key());
        self.scan(&scan, |key, value| {
            let batch = chain.follow(key, value)?;
            if batch.head().first > to && span.to.is_some() {
                return Ok(ControlFlow::Break(()));
            }
            // What stands before or behind the span in its batches is not decoded.
            let first = batch.head().first.max(span.from);
            let last = if span.to.is_some() { batch.last().min(to) } else { batch.last() };
            let mut events = Vec::with_capacity(BATCH_EVENTS_USUAL);
            let mut damage = None;
            for sequence in (first.value()..=last.value()).map(Sequence::new) {
                let stored =
                    batch.stored(sequence).and_then(|event| event.check().map(|()| event)).map_err(corrupt(sequence));
                match stored.and_then(|event| chain.note_time(sequence, event.time).map(|()| event)) {
                    Ok(event) => events.push((hash_key.hash(event.entity), event)),
                    Err(error) => {
                        damage = Some(error);
                        break;
                    }
                }
            }
            done += events.len() as u64;
            // What stands before the damage is shown.
            if visit(&events)?.is_break() {
                whole = false;
                return Ok(ControlFlow::Break(()));
            }
            if let Some(damage) = damage {
                return Err(damage);
            }
            progress(done, total);
            Ok(ControlFlow::Continue(()))
        })?;
        if whole {
            chain.end(&head)?;
        }
        Ok(*chain.at())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary::plain_history;
    use super::super::fixtures::holding;
    use super::*;

    proptest! {
        #[test]
        fn a_span_has_its_events_and_no_others(from in 0..24_u64, to in prop::option::of(0..24_u64)) {
            let events = plain_history(20);
            let store = holding(&events);
            let span = Span { from: Sequence::new(from), to: to.map(Sequence::new) };
            let (mut shown, mut last_progress) = (Vec::new(), (0, 0));
            let left = store.replay(span, &mut |done, total| last_progress = (done, total), |hash, event| {
                assert_eq!(hash, store.identity().hash_key.hash(event.entity.as_str()));
                shown.push(event);
                ControlFlow::Continue(())
            });
            let within = |event: &&Event| (from..=to.unwrap_or(20)).contains(&event.sequence.value());
            let expected: Vec<Event> = events.iter().filter(within).cloned().collect();
            prop_assert_eq!(&shown, &expected);
            let left = left.unwrap();
            if let Some(event) = expected.last() {
                prop_assert!(left.last >= event.sequence);
                prop_assert_eq!(last_progress.0, expected.len() as u64);
            }
            if to.is_none() && from <= 20 {
                prop_assert_eq!(left.digest, store.head().unwrap().digest);
                prop_assert_eq!(last_progress.0, last_progress.1);
            }
        }
    }
}
