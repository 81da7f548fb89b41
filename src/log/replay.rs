//! Every event in order: for rebuilding state from nothing, and for forensics.

use std::ops::ControlFlow;

use crate::domain::Event;
use crate::types::{EntityHash, Sequence};

use super::chain::Chain;
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
            for sequence in batch.head().first.value()..=batch.last().value() {
                let sequence = Sequence::new(sequence);
                // What stands before the span in its first batch is not decoded.
                if sequence < span.from {
                    continue;
                }
                if sequence > to && span.to.is_some() {
                    return Ok(ControlFlow::Break(()));
                }
                let event = batch.event(sequence).map_err(|why| LogError::corrupt(sequence, "a batch", why))?;
                chain.note_time(sequence, event.time)?;
                done += 1;
                if visit(hash_key.hash(event.entity.as_str()), event).is_break() {
                    whole = false;
                    return Ok(ControlFlow::Break(()));
                }
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
