//! From the log back to memory: at every start from the newest snapshot and the tail behind it, and for the command
//! line from nothing at all.

use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use crate::log::{LogError, Recovered, Recovery, Span, Store, StoredEvent};
use crate::projection::{Current, Nonces, Remembered, StateHash, on_belt};
use crate::runtime::{now, topology};
use crate::types::{EntityHash, HashKey, Sequence};

use super::filling::{self, Sending};

/// The projections of a log that was read from its first event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rebuilt {
    /// The last event.
    pub sequence: Sequence,
    /// Entities that are or were registered.
    pub entities: usize,
    /// Entities that are registered.
    pub registered: usize,
    /// The hash of all state, independent of the number of shards.
    pub state_hash: StateHash,
}

/// The tables of all shards.
pub(super) struct Tables(pub(super) Vec<Current>);

impl Tables {
    fn new(key: HashKey, shards: usize) -> Tables {
        Tables((0..shards).map(|_| Current::new(key)).collect())
    }

    /// Applies events in their order.
    fn apply(&mut self, events: &[(EntityHash, StoredEvent<'_>)]) {
        let shards = self.0.len();
        on_belt(
            &mut self.0,
            events,
            |tables, (hash, _)| (&tables[hash.shard(shards)], *hash),
            |tables, (hash, event)| {
                let owner = &mut tables[hash.shard(shards)];
                owner.put(*hash, event.entity, &event.standing(owner.key()));
            },
        );
    }

    fn summary(&self, sequence: Sequence) -> Rebuilt {
        Rebuilt {
            sequence,
            entities: self.0.iter().map(Current::len).sum(),
            registered: self.0.iter().map(Current::registered).sum(),
            state_hash: self.state_hash(),
        }
    }

    /// The hash of all state, summed up by as many threads as there are cores.
    fn state_hash(&self) -> StateHash {
        let threads = topology::cores();
        thread::scope(|scope| {
            let share = |part| self.0.iter().map(move |table| table.state_hash_of(part, threads));
            let threads: Vec<_> = (0..threads).map(|part| scope.spawn(move || sum(share(part)))).collect();
            sum(threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))))
        })
    }
}

/// Rebuilds the state of `shards` shards from the log alone, and says how far it came after each batch.
///
/// # Errors
/// When the log cannot be read or is damaged; the error names the place.
pub fn rebuild(store: &Store, shards: usize, progress: &mut dyn FnMut(u64, u64)) -> Result<Rebuilt, LogError> {
    let mut tables = Tables::new(store.identity().hash_key, shards);
    let mut last = Sequence::ZERO;
    store.replay_batches(Span::ALL, progress, |events| {
        last = events.last().map_or(last, |(_, event)| event.sequence);
        tables.apply(events);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(tables.summary(last))
}

/// What a start gets from the store.
pub(super) struct Start {
    pub(super) tables: Tables,
    pub(super) nonces: Arc<Nonces>,
    pub(super) recovery: Recovery,
    pub(super) summary: Rebuilt,
}

/// Recovers the state of `shards` shards, and which nonces must be remembered.
///
/// # Errors
/// When the log cannot be read or is damaged; the error names the place.
pub(super) fn recover(store: &Store, shards: usize, nonces_max: usize) -> Result<Start, LogError> {
    let key = store.identity().hash_key;
    let nonces = Nonces::new(key, nonces_max);
    let mut tables = Tables::new(key, shards);
    let recovery = fill(store, &mut tables, &nonces)?;
    let summary = tables.summary(recovery.last);
    Ok(Start { tables, nonces: Arc::new(nonces), recovery, summary })
}

/// Reads what the store has, and has a thread for each shard put it into the shard's table.
fn fill(store: &Store, tables: &mut Tables, nonces: &Nonces) -> Result<Recovery, LogError> {
    let now = now();
    let mut reported = std::time::Instant::now();
    let mut progress = |done: u64, total: u64| {
        if reported.elapsed().as_secs() >= 2 {
            reported = std::time::Instant::now();
            tracing::info!(done, total, "recovering");
        }
    };
    let shards = tables.0.len();
    thread::scope(|scope| {
        let start = |table| {
            let (sending, filling) = filling::way();
            scope.spawn(move || filling.fill(table, nonces, now));
            sending
        };
        let mut owners: Vec<Sending> = tables.0.iter_mut().map(start).collect();
        let mut take = |recovered: Recovered<'_>| match recovered {
            Recovered::Snapshot(records) => {
                let share = usize::try_from(records).unwrap_or(0).div_ceil(shards);
                owners.iter_mut().for_each(|owner| owner.room_for(share));
            }
            Recovered::Entry(entry) => owners[entry.hash.shard(shards)].entry(&entry),
            Recovered::Nonce(seen) => {
                let (nonce, fingerprint, sequence, time) = (seen.nonce, seen.fingerprint, seen.sequence, seen.time);
                nonces.remember(Remembered { nonce, fingerprint, sequence, time }, now);
            }
            Recovered::Event(hash, event) => owners[hash.shard(shards)].event(hash, event),
        };
        // The scope ends, and a panic of a thread is passed on, when all that was sent has been put.
        store.recover(&mut take, &mut progress)
    })
    .inspect(|recovery| nonces.complete(recovery.last_time, now))
}

fn sum(hashes: impl Iterator<Item = StateHash>) -> StateHash {
    hashes.fold(StateHash::default(), |mut sum, share| {
        sum.merge(share);
        sum
    })
}
