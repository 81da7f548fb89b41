//! Stores for the measurements that need a disk: a committer that says when it is done, and a log full of events.
//!
//! They lie in the directory for temporary files (`TMPDIR`); where that is memory, a sync costs nothing, and what is
//! measured is not a disk.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use repsec::domain::{Event, EventRef};
use repsec::log::{
    Append, CommitSink, Committer, CommitterHandle, CommitterOptions, Encoded, LogError, NotSent, OpenOptions, Store,
};
use repsec::types::Sequence;
use tempfile::TempDir;

/// Events in one message to the committer while a log is filled.
const MESSAGE_EVENTS: usize = 1000;

/// A committer, and how far the log is durable.
pub struct Writer {
    committer: CommitterHandle,
    durable: Receiver<Result<Sequence, LogError>>,
}

/// Tells whoever waits.
struct Sink(Sender<Result<Sequence, LogError>>);

impl CommitSink for Sink {
    fn durable(&self, up_to: Sequence) {
        // Nobody waits any more when the writer is being dropped.
        let _ = self.0.send(Ok(up_to));
    }

    fn failed(&self, error: &LogError) {
        let _ = self.0.send(Err(error.clone()));
    }
}

impl Writer {
    /// A committer for this store, as the server has it.
    pub fn new(store: &Store) -> Writer {
        let (sender, durable) = channel();
        let committer = Committer::start(store.clone(), CommitterOptions::default(), Sink(sender));
        Writer { committer: committer.expect("a committer"), durable }
    }

    /// Hands over events. The lane has room, since nobody sends more before these are durable.
    pub fn send(&self, events: Encoded) {
        match self.committer.try_send(Append::Events(events)) {
            Ok(()) => {}
            Err(NotSent::Full(_) | NotSent::Closed(_)) => panic!("the committer takes nothing"),
        }
    }

    /// Waits until this event is durable.
    pub fn wait(&self, sequence: Sequence) {
        while self.durable.recv().expect("a committer that runs").expect("a disk that works") < sequence {}
    }

    /// Ends the committer.
    pub fn stop(self) -> Sequence {
        self.committer.stop().expect("a committer that worked")
    }
}

/// Events in their stored form, with their hashes under the store's key.
pub fn encoded(store: &Store, events: impl Iterator<Item = Event>) -> Encoded {
    let (key, mut encoded) = (store.identity().hash_key, Encoded::default());
    events.for_each(|event| encoded.push(key.hash(event.entity.as_str()), &EventRef::from(&event)));
    encoded
}

/// An empty store on disk, and its directory.
pub fn empty() -> (TempDir, Store) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = open(directory.path(), OpenOptions { create: true, read_only: false });
    (directory, store)
}

/// A store on disk that holds these events, closed and opened again: everything is in tables, and nothing more is
/// compacted while somebody measures.
pub fn filled(events: impl Iterator<Item = Event>) -> (TempDir, Store) {
    let (directory, store) = empty();
    let writer = Writer::new(&store);
    let (mut events, mut last) = (events.peekable(), 0);
    while events.peek().is_some() {
        let message = encoded(&store, events.by_ref().take(MESSAGE_EVENTS));
        last += message.len() as u64;
        writer.send(message);
        writer.wait(Sequence::new(last));
    }
    writer.stop();
    drop(store);
    let store = open(directory.path(), OpenOptions { create: false, read_only: true });
    (directory, store)
}

fn open(path: &Path, options: OpenOptions) -> Store {
    Store::open(path, options).expect("a store")
}
