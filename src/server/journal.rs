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

    /// Whether the block has grown so long that it is time for another.
    pub(super) fn is_full(&self) -> bool {
        self.block.as_ref().is_some_and(|(_, block)| block.len_bytes() >= BLOCK_BYTES_MAX)
    }

    /// Takes the block if it is full or old enough, or in any case with `all`.
    pub(super) fn take(&mut self, all: bool) -> Option<AccessBlock> {
        let (since, _) = self.block.as_ref()?;
        let due = self.is_full() || since.elapsed() >= LOSS_WINDOW / 2;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_is_full_goes_before_its_time() {
        let mut journal = Journal::new(3);
        let now = Timestamp::from_unix_s(1_000_000);
        let (asked, changed) = (|changed| Record { command: 2, status: 200, entity: 7, changed }, true);
        journal.note(now, 1, &asked(changed));
        assert!(journal.is_empty(), "a change is an event");
        let mut notes = 0;
        while !journal.is_full() {
            assert!(journal.take(false).is_none());
            journal.note(now, 1, &asked(false));
            notes += 1;
        }
        let block = journal.take(false).unwrap();
        assert!((BLOCK_BYTES_MAX..BLOCK_BYTES_MAX + 32).contains(&block.len_bytes()) && notes > 13_000);
        assert!(journal.is_empty() && !journal.is_full());
        journal.note(now, 1, &asked(false));
        assert!(journal.take(true).is_some());
        assert!(journal.take(true).is_none());
    }
}
