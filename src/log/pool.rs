//! The threads that read history, so that a shard never waits for a disk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};

use crossbeam::channel::{Receiver, Sender, TrySendError, bounded};

use crate::domain::{At, Event, HistoryPage, Named, Page};
use crate::types::Sequence;

use super::{History, LogError, Store};

/// How many threads read by default: on the smallest machine the shards need the cores, and two reads hide the
/// disk's latency from each other.
pub const READER_THREADS: usize = 2;
/// Questions that may wait for a reader by default.
pub const READER_QUEUE: usize = 1024;

/// What is asked of a reader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// A page of an entity's history.
    Page {
        /// The entity.
        subject: Named,
        /// Which part.
        page: Page,
    },
    /// The last event of an entity at a moment.
    StandingAt {
        /// The entity.
        subject: Named,
        /// The moment.
        at: At,
    },
    /// The entity's event at the place up to which is read.
    Last {
        /// The entity.
        subject: Named,
    },
}

/// What a reader found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reading {
    /// The page.
    Page(HistoryPage),
    /// The event, or that there was none yet.
    StandingAt(Option<Event>),
}

/// Takes what was found to whoever asked, on the reader's thread; must not block.
pub type Reply = Box<dyn FnOnce(Result<Reading, LogError>) + Send>;

/// A question on its way.
pub struct ReadJob {
    /// What is asked.
    pub question: Question,
    /// How far the log is read: durable, and the same for all pages of one reading.
    pub up_to: Sequence,
    /// Where the answer goes. Called once for every job that was submitted.
    pub reply: Reply,
}

/// Some reader threads and their queue.
pub struct ReaderPool {
    queue: Option<Sender<ReadJob>>,
    threads: Vec<JoinHandle<()>>,
}

impl ReaderPool {
    /// Starts the threads; at least one, with a queue for at least one.
    ///
    /// # Errors
    /// When a thread cannot be made.
    pub fn start(store: &Store, threads: usize, queue: usize) -> Result<ReaderPool, LogError> {
        let (sender, receiver) = bounded(queue.max(1));
        let spawn = |number: usize| {
            let (history, jobs) = (History::new(store.clone()), receiver.clone());
            thread::Builder::new().name(format!("reader-{number}")).spawn(move || read_all(&history, &jobs))
        };
        let threads = (0..threads.max(1)).map(spawn).collect::<Result<_, _>>();
        let threads = threads.map_err(|error| LogError::io("starting a reader", &error))?;
        Ok(ReaderPool { queue: Some(sender), threads })
    }

    /// A pool without threads: its owner answers what was submitted, when it likes. For simulations.
    pub fn stepped(store: &Store, queue: usize) -> (ReaderPool, SteppedReaders) {
        let (sender, jobs) = bounded(queue.max(1));
        let readers = SteppedReaders { history: History::new(store.clone()), jobs };
        (ReaderPool { queue: Some(sender), threads: Vec::new() }, readers)
    }

    /// Hands over a question without waiting.
    ///
    /// # Errors
    /// Gives it back when too many wait already.
    #[allow(clippy::result_large_err, reason = "the job is what the caller wants back")]
    pub fn try_submit(&self, job: ReadJob) -> Result<(), ReadJob> {
        let Some(queue) = &self.queue else { return Err(job) };
        queue.try_send(job).map_err(TrySendError::into_inner)
    }
}

/// The other side of a pool without threads.
pub struct SteppedReaders {
    history: History,
    jobs: Receiver<ReadJob>,
}

impl SteppedReaders {
    /// Takes the oldest question. Its reply MUST be called.
    pub fn take(&self) -> Option<ReadJob> {
        self.jobs.try_recv().ok()
    }

    /// Reads the answer to a question, as a reader's thread does. Blocks.
    ///
    /// # Errors
    /// As [`History::page`].
    pub fn read(&self, question: &Question, up_to: Sequence) -> Result<Reading, LogError> {
        answer(&self.history, question, up_to)
    }
}

/// Answers what was submitted, and stops. Blocks.
impl Drop for ReaderPool {
    fn drop(&mut self) {
        drop(self.queue.take());
        for thread in self.threads.drain(..) {
            // A panic outside of the guarded part has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

fn read_all(history: &History, jobs: &Receiver<ReadJob>) {
    for ReadJob { question, up_to, reply } in jobs {
        // A defect met by one question must not leave its asker without an answer, nor the others without a reader.
        let found = catch_unwind(AssertUnwindSafe(|| answer(history, &question, up_to)));
        reply(found.unwrap_or_else(|_| Err(LogError::io("reading history", &"the reader panicked"))));
    }
}

fn answer(history: &History, question: &Question, up_to: Sequence) -> Result<Reading, LogError> {
    match question {
        Question::Page { subject, page } => history.page(subject, page, up_to).map(Reading::Page),
        Question::StandingAt { subject, at } => history.standing_at(subject, *at, up_to).map(Reading::StandingAt),
        Question::Last { subject } => history.event_at(subject, up_to).map(Some).map(Reading::StandingAt),
    }
}
