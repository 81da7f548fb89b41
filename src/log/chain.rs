//! Following the log from batch to batch: each must stand where it says, continue the one before and name it.

use std::ops::ControlFlow;

use crate::types::{Sequence, Timestamp};

use super::batch::{Batch, digest_of};
use super::fields::Malformed;
use super::identity::LogId;
use super::key::{log_key, read_log_key};
use super::store::Head;
use super::writes::{Area, Scan};
use super::{LogError, Store};

/// How far the log was followed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chain {
    log_id: LogId,
    /// The batch that was read last.
    at: Head,
    /// Whether `at` says where that batch ends, and its digest; it does not behind one that cannot be read.
    known: bool,
}

impl Chain {
    /// At the beginning of a log.
    pub(super) fn new(log_id: LogId) -> Chain {
        Chain { log_id, at: Head::EMPTY, known: true }
    }

    /// Before the batch that holds `sequence`. What this skips is trusted.
    pub(super) fn before(store: &Store, sequence: Sequence) -> Result<Chain, LogError> {
        let mut chain = Chain::new(store.identity().log_id);
        let mut is_predecessor = false;
        let to = sequence.value().saturating_add(1).to_be_bytes();
        let back = Scan { bulk: false, ..Scan::range(Area::Log, [], to) }.backwards();
        store.scan(&back, |key, value| {
            let corrupt = |why| LogError::corrupt(sequence, "a batch", why);
            if is_predecessor {
                chain.at.digest = digest_of(value).map_err(corrupt)?;
                return Ok(ControlFlow::Break(()));
            }
            // This one holds `sequence`, or would if the log went on.
            chain.at.last = Sequence::new(read_log_key(key).map_err(corrupt)?.value().saturating_sub(1));
            is_predecessor = true;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(chain)
    }

    /// Where the batch that was followed last ends. `batches` counts those that were followed.
    pub(super) fn at(&self) -> &Head {
        &self.at
    }

    /// The key of the batch that stands next.
    pub(super) fn next_key(&self) -> [u8; 8] {
        log_key(self.at.last.next())
    }

    /// Reads the batch that stands next.
    ///
    /// # Errors
    /// `Corrupt`, with the place, when it is damaged or does not follow. Then nothing was followed.
    pub(super) fn follow<'a>(&mut self, key: &[u8], value: &'a [u8]) -> Result<Batch<'a>, LogError> {
        let expected = self.at.last.next();
        let corrupt = |why| LogError::corrupt(expected, "a batch", why);
        let batch = Batch::read(value).map_err(corrupt)?;
        match self.why_not(key, &batch) {
            Some(why) => Err(corrupt(Malformed(why))),
            None => {
                self.adopt(&batch);
                Ok(batch)
            }
        }
    }

    fn why_not(&self, key: &[u8], batch: &Batch<'_>) -> Option<&'static str> {
        let head = batch.head();
        if read_log_key(key) != Ok(head.first) {
            Some("it stands under the key of another")
        } else if head.log_id != self.log_id {
            Some("it belongs to another log")
        } else if self.known && head.first != self.at.last.next() {
            Some("it does not continue the one before it")
        } else if self.known && head.previous != self.at.digest {
            Some("it does not name the one before it, so one of the two was changed")
        } else if head.committed < self.at.committed {
            Some("its time is earlier than that of the one before it")
        } else {
            None
        }
    }

    fn adopt(&mut self, batch: &Batch<'_>) {
        self.at.last = batch.last();
        self.at.committed = batch.head().committed;
        self.at.digest = batch.digest();
        self.at.batches += 1;
        self.known = true;
    }

    /// Goes on behind a batch that does not follow; gives it if it can at least be read.
    pub(super) fn skip<'a>(&mut self, key: &[u8], value: &'a [u8]) -> Option<Batch<'a>> {
        if let Ok(batch) = Batch::read(value) {
            self.adopt(&batch);
            return Some(batch);
        }
        self.at.last = read_log_key(key).unwrap_or(self.at.last);
        self.at.batches += 1;
        self.known = false;
        None
    }

    /// Notes the time of an event of the current batch.
    ///
    /// # Errors
    /// `Corrupt` when it is earlier than that of the event before it, or later than the commit.
    pub(super) fn note_time(&mut self, sequence: Sequence, time: Timestamp) -> Result<(), LogError> {
        if time < self.at.last_time || time > self.at.committed {
            let why = "its time is not between that of the one before it and that of the commit";
            return Err(LogError::corrupt(sequence, "an event", Malformed(why)));
        }
        self.at.last_time = time;
        Ok(())
    }

    /// Demands that the log ends where its head says.
    ///
    /// # Errors
    /// `Corrupt` when batches are missing at the end, or stand behind it.
    pub(super) fn end(&self, head: &Head) -> Result<(), LogError> {
        let why = if self.known && self.at.last < head.last {
            "batches are missing at its end"
        } else if self.at.last > head.last {
            "batches stand behind its end"
        } else if self.known && self.at.digest != head.digest {
            "its last batch is not the one that was written last"
        } else {
            return Ok(());
        };
        Err(LogError::corrupt(self.at.last.next(), "the log", Malformed(why)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::arbitrary::histories;
    use super::super::batch::BatchDigest;
    use super::super::fixtures::{content, holding};
    use super::*;

    fn chain(known: bool, at: Head) -> Chain {
        Chain { known, at, ..Chain::new(LogId([1; 16])) }
    }

    proptest! {
        /// Damage is one batch's alone: what is whole follows, also behind what is not, and all are counted.
        #[test]
        fn every_batch_is_counted_and_the_whole_ones_follow(
            events in histories(1..40),
            damaged in proptest::collection::vec(any::<bool>(), 40),
        ) {
            let store = holding(&events);
            let mut chain = Chain::new(store.identity().log_id);
            for (before, ((key, mut value), damaged)) in (0..).zip(content(&store, Area::Log).into_iter().zip(damaged)) {
                if damaged {
                    value.pop();
                }
                let followed = chain.follow(&key, &value).is_ok();
                prop_assert_eq!(followed, !damaged);
                prop_assert_eq!(chain.at().batches, before + u64::from(followed));
                if !followed {
                    prop_assert!(chain.skip(&key, &value).is_none());
                }
                prop_assert_eq!(chain.at().batches, before + 1);
            }
        }

        /// Times do not run backwards, and nothing happens after the commit that holds it.
        #[test]
        fn an_event_is_between_the_one_before_it_and_its_commit(last in 0..4_u64, committed in 0..4_u64, time in 0..4_u64) {
            let [last_time, committed, time] = [last, committed, time].map(Timestamp::from_unix_ms);
            let mut chain = chain(true, Head { last_time, committed, ..Head::EMPTY });
            let fits = last_time <= time && time <= committed;
            prop_assert_eq!(chain.note_time(Sequence::new(1), time).is_ok(), fits);
            prop_assert_eq!(chain.at().last_time, if fits { time } else { last_time });
        }

        /// The end is where the head says, with the digest that it says. Behind a batch that cannot be read its place is
        /// only that of its first event, and its digest unknown.
        #[test]
        fn the_end_is_that_of_the_head(known: bool, last in 0..3_u64, of_head in 0..3_u64, same_digest: bool) {
            let chain = chain(known, Head { last: Sequence::new(last), ..Head::EMPTY });
            let digest = if same_digest { chain.at.digest } else { BatchDigest([9; 32]) };
            let ends = last == of_head && same_digest || !known && last <= of_head;
            prop_assert_eq!(chain.end(&Head { last: Sequence::new(of_head), digest, ..Head::EMPTY }).is_ok(), ends);
        }
    }
}
