//! The access journal of one core: commands that changed nothing, on their way to disk (P4).
//!
//! Records gather in memory and go to the log behind the answers, at the latest after [`LOSS_WINDOW`]: that much of the
//! journal a crash may lose, and no more. Peers stand in it under pseudonyms.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::faces::Record;
use crate::log::{AccessBlock, AccessRecord};
use crate::types::{HashKey, Timestamp};

/// How old a record may be when it is given to the log.
pub(super) const LOSS_WINDOW: Duration = Duration::from_secs(1);
/// Bytes after which a block is given to the log before its time: some 13,000 lookups, which share a sync.
const BLOCK_BYTES_MAX: usize = 128 * 1024;

/// Records of one core that the log has not got yet.
pub(super) struct Journal {
    shard: u16,
    /// What has gathered, and since when by a clock that nobody sets.
    block: Option<(Instant, AccessBlock)>,
}

impl Journal {
    pub(super) fn new(shard: u16) -> Journal {
        Journal { shard, block: None }
    }

    /// Notes an answer. Changes that took effect are events, and need no second record.
    pub(super) fn note(&mut self, now: Timestamp, peer: u64, record: &Record) {
        if record.changed {
            return;
        }
        let (_, block) = self.block.get_or_insert_with(|| (Instant::now(), AccessBlock::new(self.shard, now)));
        block.push(&AccessRecord {
            time: now,
            command: record.command,
            status: record.status,
            entity: record.entity,
            peer,
        });
    }

    /// Whether nothing has gathered.
    pub(super) fn is_empty(&self) -> bool {
        self.block.is_none()
    }

    /// Takes the block if it is full or old enough, or in any case with `all`.
    pub(super) fn take(&mut self, all: bool) -> Option<AccessBlock> {
        let (since, block) = self.block.as_ref()?;
        let due = block.len_bytes() >= BLOCK_BYTES_MAX || since.elapsed() >= LOSS_WINDOW / 2;
        if all || due { self.block.take().map(|(_, block)| block) } else { None }
    }
}

/// Makes pseudonyms of addresses. Its key lives as long as the process and is written nowhere, so that pseudonyms of
/// two runs cannot be joined, nor an address be found by trying all of them.
pub(super) struct Pseudonyms(HashKey);

impl Pseudonyms {
    pub(super) fn new() -> Result<Pseudonyms, getrandom::Error> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)?;
        Ok(Pseudonyms(HashKey::new(key)))
    }

    pub(super) fn of(&self, address: IpAddr) -> u64 {
        self.0.hash(&address.to_canonical().to_string()).table_bits()
    }
}
