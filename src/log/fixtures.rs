//! What the tests of this floor share: a sink that remembers, a log that fails when told, stores with events in them.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use crate::domain::{Event, Named};
use crate::types::{Entity, EntityHash, Sequence, Timestamp};

use super::arbitrary::encoded;
use super::index::{Row, StoredRun, put_list, read_block};
use super::memory::MemoryLog;
use super::writes::{Area, Scan, Write, Writes};
use super::{Append, CommitSink, Committer, CommitterHandle, CommitterOptions, Log, LogError, Store, Visit};

/// What a sink was told, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Told {
    Durable(u64),
    Failed(LogError),
    SnapshotComplete(u64, u64),
    SnapshotAbandoned(u64),
}

/// A sink that remembers.
#[derive(Clone, Default)]
pub(super) struct Listener(Arc<Mutex<Vec<Told>>>);

impl Listener {
    pub(super) fn told(&self) -> Vec<Told> {
        self.0.lock().unwrap().clone()
    }

    fn note(&self, told: Told) {
        self.0.lock().unwrap().push(told);
    }
}

impl CommitSink for Listener {
    fn durable(&self, up_to: Sequence) {
        self.note(Told::Durable(up_to.value()));
    }

    fn failed(&self, error: &LogError) {
        self.note(Told::Failed(error.clone()));
    }

    fn snapshot_complete(&self, snapshot: u64, start: Sequence) {
        self.note(Told::SnapshotComplete(snapshot, start.value()));
    }

    fn snapshot_abandoned(&self, snapshot: u64) {
        self.note(Told::SnapshotAbandoned(snapshot));
    }
}

/// A log in memory whose n-th write fails, and which counts all that reach it.
#[derive(Clone, Default)]
pub(super) struct FaultInjector {
    log: Arc<MemoryLog>,
    writes_left: Arc<AtomicI64>,
    panics: bool,
}

impl FaultInjector {
    /// Lets this many writes pass; the one behind them fails, or panics.
    pub(super) fn after(writes: i64, panics: bool) -> FaultInjector {
        FaultInjector { log: Arc::default(), writes_left: Arc::new(AtomicI64::new(writes)), panics }
    }

    /// Writes that were tried after the one that failed.
    pub(super) fn tried_after_failure(&self) -> i64 {
        (-1 - self.writes_left.load(Ordering::SeqCst)).max(0)
    }

    /// What is "on disk", without the fault.
    pub(super) fn survivor(&self) -> Store {
        let mended = FaultInjector { writes_left: Arc::new(AtomicI64::new(i64::MAX)), ..self.clone() };
        Store::with_log(Box::new(mended)).unwrap()
    }
}

impl Log for FaultInjector {
    fn write(&self, writes: &Writes) -> Result<(), LogError> {
        if self.writes_left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return self.log.write(writes);
        }
        assert!(!self.panics, "as the test asked");
        Err(LogError::io("writing a commit", &"as the test asked"))
    }

    fn ingest<'a>(&self, area: Area, rows: &mut dyn Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), LogError> {
        if self.writes_left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return self.log.ingest(area, rows);
        }
        assert!(!self.panics, "as the test asked");
        Err(LogError::io("writing a part of the index", &"as the test asked"))
    }

    fn drop_range(&self, area: Area, from: &[u8], to: &[u8]) -> Result<(), LogError> {
        if self.writes_left.fetch_sub(1, Ordering::SeqCst) > 0 {
            return self.log.drop_range(area, from, to);
        }
        assert!(!self.panics, "as the test asked");
        Err(LogError::io("dropping a part of the index", &"as the test asked"))
    }

    fn read(&self, area: Area, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<(), LogError> {
        self.log.read(area, key, found)
    }

    fn scan(&self, scan: &Scan, visit: Visit<'_>) -> Result<(), LogError> {
        self.log.scan(scan, visit)
    }

    fn size_bytes(&self, area: Area) -> Result<u64, LogError> {
        self.log.size_bytes(area)
    }
}

/// A clock that stands before all events of tests, so that commits have the times of their events.
pub(super) fn early() -> Timestamp {
    Timestamp::from_unix_ms(1)
}

/// Options with small batches, so that a few events make several.
pub(super) fn small() -> CommitterOptions {
    CommitterOptions {
        commit_events_max: 5,
        batch_events_max: 2,
        index_rows: 7,
        now: early,
        ..CommitterOptions::default()
    }
}

pub(super) fn start(store: &Store, options: CommitterOptions) -> (CommitterHandle, Listener) {
    let listener = Listener::default();
    (Committer::start(store.clone(), options, listener.clone()).unwrap(), listener)
}

pub(super) fn send(committer: &CommitterHandle, append: Append) {
    assert!(committer.try_send(append).is_ok());
}

/// Commits these events in messages of `message_events` and waits until that is done.
pub(super) fn commit(store: &Store, events: &[Event], message_events: usize, options: CommitterOptions) {
    let (committer, _) = start(store, options);
    for part in events.chunks(message_events) {
        send(&committer, Append::Events(encoded(&store.identity().hash_key, part)));
    }
    assert_eq!(committer.stop(), Ok(events.last().map_or(Sequence::ZERO, |event| event.sequence)));
}

/// A store in memory that holds these events in small batches.
pub(super) fn holding(events: &[Event]) -> Store {
    let store = Store::in_memory().unwrap();
    commit(&store, events, 7, small());
    store
}

/// All events of a store, checked on the way.
pub(super) fn replayed(store: &Store) -> Result<Vec<Event>, LogError> {
    let mut events = Vec::new();
    store.replay(super::Span::ALL, &mut |_, _| (), |_, event| {
        events.push(event);
        ControlFlow::Continue(())
    })?;
    Ok(events)
}

/// The keys and values of an area.
pub(super) fn content(store: &Store, area: Area) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut content = Vec::new();
    let visit = |key: &[u8], value: &[u8]| {
        content.push((key.to_vec(), value.to_vec()));
        Ok(ControlFlow::Continue(()))
    };
    store.scan(&Scan::all_from(area, []), visit).unwrap();
    content
}

/// The entries of the index that are on disk, in the order of their keys.
pub(super) fn index_rows(store: &Store) -> Vec<Row> {
    let mut rows: Vec<Row> =
        content(store, Area::Index).iter().flat_map(|(_, value)| read_block(value).unwrap().to_vec()).collect();
    rows.sort();
    rows
}

/// Puts these entries in the place of all that the index has on disk, as one run up to `place`.
pub(super) fn put_index(store: &Store, mut rows: Vec<Row>, place: u64) {
    rows.sort();
    tamper(store, Area::Index, Write::DeleteRange { from: &[], to: &[0xff; 40] });
    store.write_rows(1, &rows).unwrap();
    let run = StoredRun { number: 1, last: Sequence::new(place) };
    let mut writes = Writes::new();
    put_list(if place == 0 { &[] } else { std::slice::from_ref(&run) }, &mut writes);
    store.write(&writes).unwrap();
    store.index().forget();
}

/// Does to a store what nobody should.
pub(super) fn tamper(store: &Store, area: Area, write: Write<'_>) {
    let mut writes = Writes::new();
    match write {
        Write::Put { key, value } => writes.put(area, key, value),
        Write::DeleteRange { from, to } => writes.delete_range(area, from, to),
    }
    store.write(&writes).unwrap();
}

/// Deletes one key.
pub(super) fn delete(store: &Store, area: Area, key: &[u8]) {
    let behind = [key, &[0]].concat();
    tamper(store, area, Write::DeleteRange { from: key, to: &behind });
}

pub(super) fn named(store: &Store, entity: &Entity) -> Named {
    let hash: EntityHash = store.identity().hash_key.hash(entity.as_str());
    Named { hash, entity: entity.clone() }
}
