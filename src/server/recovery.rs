//! From the log back to memory: at every start from the newest snapshot and the tail behind it, and for the command
//! line from nothing at all.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::domain::{Event, Standing, apply};
use crate::log::{LogError, Recovered, Recovery, Span, Store};
use crate::projection::{Current, Nonces, Remembered, StateHash};
use crate::runtime::now;
use crate::types::{EntityHash, HashKey, Sequence};

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

    fn apply(&mut self, hash: EntityHash, event: &Event) {
        self.owner(hash).put(hash, event.entity.as_str(), &apply(event));
    }

    fn owner(&mut self, hash: EntityHash) -> &mut Current {
        let shards = self.0.len();
        &mut self.0[hash.shard(shards)]
    }

    fn summary(&self, sequence: Sequence) -> Rebuilt {
        let mut state_hash = StateHash::default();
        self.0.iter().for_each(|table| state_hash.merge(table.state_hash()));
        Rebuilt {
            sequence,
            entities: self.0.iter().map(Current::len).sum(),
            registered: self.0.iter().map(Current::registered).sum(),
            state_hash,
        }
    }
}

/// Rebuilds the state of `shards` shards from the log alone, and says how far it came after each batch.
///
/// # Errors
/// When the log cannot be read or is damaged; the error names the place.
pub fn rebuild(store: &Store, shards: usize, progress: &mut dyn FnMut(u64, u64)) -> Result<Rebuilt, LogError> {
    let mut tables = Tables::new(store.identity().hash_key, shards);
    let mut last = Sequence::ZERO;
    store.replay(Span::ALL, progress, |hash, event| {
        last = event.sequence;
        tables.apply(hash, &event);
        ControlFlow::Continue(())
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
    let now = now();
    let mut reported = std::time::Instant::now();
    let mut progress = |done: u64, total: u64| {
        if reported.elapsed().as_secs() >= 2 {
            reported = std::time::Instant::now();
            tracing::info!(done, total, "recovering");
        }
    };
    let recovery = store.recover(
        &mut |recovered| match recovered {
            Recovered::Entry(entry) => {
                let standing = Standing {
                    kind: entry.kind.clone(),
                    registered: entry.registered,
                    sequence: entry.sequence,
                    updated: entry.time,
                    registrant: entry.registrant,
                    attributes: entry.attributes,
                };
                tables.owner(entry.hash).put(entry.hash, entry.text, &standing);
            }
            Recovered::Nonce(seen) => {
                let (nonce, fingerprint, sequence, time) = (seen.nonce, seen.fingerprint, seen.sequence, seen.time);
                nonces.remember(Remembered { nonce, fingerprint, sequence, time }, now);
            }
            Recovered::Event(hash, event) => {
                tables.apply(hash, &event);
                nonces.apply(&event, now);
            }
        },
        &mut progress,
    )?;
    nonces.put_in_order();
    let summary = tables.summary(recovery.last);
    Ok(Start { tables, nonces: Arc::new(nonces), recovery, summary })
}
