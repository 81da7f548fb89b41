//! Floor 2, the log: every event on disk before its answer leaves, and every way to read it back.
//!
//! - [`Store`] is a data directory that is open. [`Committer`] writes to it, on a thread of its own; [`History`] reads
//!   an entity's past, on the threads of a [`ReaderPool`]; [`Store::recover`] gives the engine its state back.
//! - [`Store::verify`], [`Store::replay`] and [`Store::stat`] are for the command line.
//! - `batch`, `schema`, `snapshot`, `access`, `identity`, `index`, `key` and `packed` say what the bytes are; the manual's page
//!   "storage format" draws them.
//!
//! May use: `types`, `domain`; rocksdb in `rocks` only, rkyv in `schema` only, lz4 in `packed` only. Never: a protocol, a socket,
//! an event loop. All of it blocks, so none of it may be called on the thread of a shard, except
//! [`Lane::try_send`] and [`ReaderPool::try_submit`], which never do.
//!
//! # The contract of durability
//!
//! - An event MUST NOT be answered, or shown to anybody, before [`CommitSink::durable`] named its sequence or a later one.
//! - `durable` MUST NOT be called before the write that holds all events up to that sequence was synced.
//! - Events MUST be stored in the order of their sequences without a gap: if one is durable, so is every earlier one.
//! - After the first write or sync that failed, nothing MUST be written any more, and nothing more is durable (P7). A
//!   failed sync MUST NOT be repeated: the operating system may have forgotten what it could not write.
//! - Whoever hands in events MUST number them densely from [`Recovery::last`] on, with times that never run backwards;
//!   they MAY arrive slightly out of order.

pub mod access;
#[cfg(test)]
mod arbitrary;
pub mod batch;
#[cfg(test)]
mod battery;
mod chain;
mod closing;
pub mod committer;
mod direct;
pub mod encoded;
pub mod error;
pub mod fields;
#[cfg(test)]
mod fixtures;
pub mod identity;
mod index;
pub mod key;
pub mod memory;
pub mod packed;
pub mod pool;
pub mod reader;
pub mod recover;
pub mod replay;
mod rocks;
mod schema;
pub mod snapshot;
pub mod stat;
pub mod store;
mod torn;
pub mod verify;
pub mod writes;

use std::ops::ControlFlow;

pub use access::{AccessBlock, AccessRecord};
pub use batch::BatchDigest;
pub use committer::{
    Append, CommitSink, Committer, CommitterHandle, CommitterOptions, Lane, LaneEnd, NotSent, SteppedCommitter,
};
pub use encoded::Encoded;
pub use error::LogError;
pub use identity::{Identity, LogId};
pub use pool::{Question, ReadJob, ReaderPool, Reading, SteppedReaders};
pub use reader::History;
pub use recover::{Recovered, Recovery};
pub use replay::Span;
pub use schema::StoredEvent;
pub use snapshot::{SnapshotChunk, SnapshotEnd, SnapshotEntry, SnapshotNonce, SnapshotWriter};
pub use stat::Stat;
pub use store::{OpenOptions, Store};
pub use verify::{Finding, Verification};
pub use writes::{Area, Scan, Write, Writes};

/// What is called with each key and value of a scan; it may break.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// Where the bytes are: six areas of ordered keys, changed by atomic, synced writes.
///
/// RocksDB is one ([`Store::open`]), memory another ([`Store::in_memory`]). An engine of the Kafka protocol would be a
/// third: it would take [`Area::Log`] for itself, first, and leave the other areas to RocksDB.
pub trait Log: Send + Sync + 'static {
    /// Makes all of `writes` happen.
    ///
    /// MUST be atomic: after a crash all of it is there or none. MUST NOT return `Ok` before it is synced. Two calls
    /// MUST take effect in their order. A caller MUST NOT write again after an error; [`Store`] sees to that.
    ///
    /// # Errors
    /// When the write or its sync failed. What is on disk is then unknown until the next start.
    fn write(&self, writes: &Writes) -> Result<(), LogError>;

    /// Puts many keys, in ascending order and each once, into an area that takes no other writes meanwhile.
    ///
    /// MUST be atomic, and MUST NOT return `Ok` before it is synced, as [`Log::write`]; may run beside it.
    ///
    /// # Errors
    /// As [`Log::write`].
    fn ingest<'a>(&self, area: Area, rows: &mut dyn Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<(), LogError>;

    /// Drops the keys from `from` up to `to` exclusively, to which nothing refers any more, with the memory that they take.
    /// MAY leave some of them, and MAY bring them back after a crash. They MUST have been put there by [`Log::ingest`].
    ///
    /// # Errors
    /// As [`Log::write`].
    fn drop_range(&self, area: Area, from: &[u8], to: &[u8]) -> Result<(), LogError>;

    /// Shows the value of `key`, if there is one. MUST see every write that returned before.
    ///
    /// # Errors
    /// When the value cannot be read.
    fn read(&self, area: Area, key: &[u8], found: &mut dyn FnMut(&[u8])) -> Result<(), LogError>;

    /// Shows the values of many keys, in the order in which they are named, each with its number; nothing of a key that has
    /// none. As [`Log::read`] for each of them, which is what it does where no other way is quicker.
    ///
    /// # Errors
    /// When one of the values cannot be read; some may have been shown then.
    fn read_many(&self, area: Area, keys: &[[u8; 8]], found: &mut dyn FnMut(usize, &[u8])) -> Result<(), LogError> {
        let mut each = keys.iter().enumerate();
        each.try_for_each(|(number, key)| self.read(area, key, &mut |value| found(number, value)))
    }

    /// Shows keys and values of a range in order, as they stood when it began, until `visit` breaks.
    ///
    /// # Errors
    /// When something in the range cannot be read.
    fn scan(&self, scan: &Scan, visit: Visit<'_>) -> Result<(), LogError>;

    /// Bytes that the area takes, roughly.
    ///
    /// # Errors
    /// When that cannot be asked.
    fn size_bytes(&self, area: Area) -> Result<u64, LogError>;
}
