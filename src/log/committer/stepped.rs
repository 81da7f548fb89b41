//! The committer without its thread: its owner says when it takes a message and when it commits. For simulations, in
//! which everything happens on one thread and in an order that can be repeated.

use std::rc::Rc;

use crossbeam::channel::{Receiver, bounded, never};

use crate::types::Sequence;

use super::super::{LogError, Store};
use super::indexing::Indexing;
use super::{Append, CommitSink, CommitterOptions, Lane, Work};

/// The end of a lane that leads to no thread: what is sent waits here until the owner takes it.
pub struct LaneEnd(Receiver<Append>);

impl LaneEnd {
    /// A lane with room for so many messages, at least one, and its end. Without its end, a lane is closed.
    pub fn new(messages: usize) -> (Lane, LaneEnd) {
        let (sender, receiver) = bounded(messages.max(1));
        (Lane(sender), LaneEnd(receiver))
    }

    /// Takes the oldest message.
    pub fn take(&self) -> Option<Append> {
        self.0.try_recv().ok()
    }

    /// Whether no message waits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A committer that does nothing of its own accord. All else is as with the one that [`Committer`](super::Committer)
/// starts: what is written, in which order, what is told to whom, and that the first failure is the last.
pub struct SteppedCommitter<S: CommitSink> {
    work: Work<S>,
}

impl<S: CommitSink> SteppedCommitter<S> {
    /// A committer of this store, which MUST have no other. Keys of the access journal are numbered from `access_counter`.
    ///
    /// # Errors
    /// When the head of the log or its index cannot be read.
    pub fn new(
        store: Store,
        options: CommitterOptions,
        sink: S,
        access_counter: u32,
    ) -> Result<SteppedCommitter<S>, LogError> {
        store.load_index(Some(options.index_rows.max(1)))?;
        let head = store.head()?;
        let mut work = Work::new(store, options, Rc::new(sink), never(), head, access_counter);
        work.indexing = Indexing::in_line(options.index_rows);
        Ok(SteppedCommitter { work })
    }

    /// Takes a message, which the next commits may hold.
    ///
    /// # Errors
    /// When the sender broke the contract. Nothing more is written then, and the sink knows.
    pub fn take(&mut self, append: Append) -> Result<(), LogError> {
        let outcome = self.work.take(append);
        self.told(outcome)
    }

    /// Makes one commit of what was taken, as far as one may hold it.
    ///
    /// # Errors
    /// When a write failed. Nothing more is written then, and the sink knows.
    pub fn commit(&mut self) -> Result<(), LogError> {
        let outcome = self.work.commit();
        self.told(outcome)
    }

    /// Commits all that was taken and has no gap before it, and ends in good order: nothing may be taken any more. Names
    /// the last durable event.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub fn finish(&mut self) -> Result<Sequence, LogError> {
        let mut outcome = self.work.commit();
        while outcome.is_ok() && !self.work.arrivals.is_empty() {
            outcome = self.work.commit();
        }
        let outcome = outcome.and_then(|()| self.work.finish());
        self.told(outcome).map(|()| self.work.head.last)
    }

    fn told(&self, outcome: Result<(), LogError>) -> Result<(), LogError> {
        outcome.inspect_err(|error| {
            self.work.store.latch();
            self.work.sink.failed(error);
        })
    }
}
