//! Checking a store from end to end: the log, its index both ways, the snapshot, the access journal.
//!
//! Goes on behind damage, so that one run names all of it. Reads only.

use std::ops::ControlFlow;

use crate::types::{EntityHash, HashKey, Sequence};

use super::access::AccessBlock;
use super::batch::Batch;
use super::chain::Chain;
use super::key::{entity_key, log_key, read_access_key, read_entity_key, read_state_key, state_key};
use super::reader::batch_of;
use super::replay::Progress;
use super::store::Head;
use super::writes::{Area, Scan};
use super::{LogError, Store};

/// Findings that are told one by one; of the rest only the number is.
const FINDINGS_MAX: usize = 1000;

/// Something that is not as it must be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Where.
    pub area: Area,
    /// The place in the log that it concerns; zero when it concerns none.
    pub sequence: Sequence,
    /// What.
    pub what: String,
}

/// What was checked, and what was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verification {
    /// Batches that are there.
    pub batches: u64,
    /// Events that could be read.
    pub events: u64,
    /// Entries of the entity index that are on disk. Those of the last events may not be; they are read from the log.
    pub index_entries: u64,
    /// Records of the newest snapshot.
    pub snapshot_records: u64,
    /// Blocks of the access journal.
    pub access_blocks: u64,
    /// Where the log says that it ends. Whoever has kept a digest from elsewhere compares it with this one.
    pub head: Head,
    /// What is wrong, in the order in which it was met; at most a thousand.
    pub findings: Vec<Finding>,
    /// What else is wrong.
    pub findings_untold: u64,
}

impl Verification {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, area: Area, sequence: Sequence, what: impl Into<String>) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(Finding { area, sequence, what: what.into() });
        } else {
            self.findings_untold += 1;
        }
    }

    /// Adds damage as a finding and passes on what stops the checking.
    fn add_error(&mut self, area: Area, error: LogError) -> Result<(), LogError> {
        match error {
            LogError::Corrupt { sequence, what } => self.add(area, sequence, what),
            other => return Err(other),
        }
        Ok(())
    }
}

/// The sum over a set of index entries: equal sets have equal sums, in whatever order they are met.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct IndexSum {
    entries: u64,
    sum: u128,
}

impl IndexSum {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        let mut hasher = blake3::Hasher::new();
        hasher.update(key).update(value);
        let digest = hasher.finalize();
        let front = digest.as_bytes().first_chunk().map_or(0, |front| u128::from_le_bytes(*front));
        self.entries += 1;
        self.sum = self.sum.wrapping_add(front);
    }
}

/// The index as it is on disk.
struct Index {
    /// Up to here it must be complete.
    place: Sequence,
    /// Up to here it reaches: what a crash left of the step to the next place may stand behind this one, whole.
    covered: Sequence,
    sum: IndexSum,
}

impl Store {
    /// Checks everything that is stored. `progress` counts events and index entries.
    ///
    /// # Errors
    /// Only where the checking itself fails (`Io`, or a head that cannot be read); damage is in the result.
    pub fn verify(&self, progress: Progress<'_>) -> Result<Verification, LogError> {
        let head = self.head()?;
        let mut report = Verification {
            batches: 0,
            events: 0,
            index_entries: 0,
            snapshot_records: 0,
            access_blocks: 0,
            head,
            findings: Vec::new(),
            findings_untold: 0,
        };
        let total = head.last.value().saturating_mul(2);
        let index = self.read_index(&mut report, &mut |done| progress(done, total))?;
        let entries = report.index_entries;
        let expected = self.verify_log(&mut report, index.covered, &mut |done| progress(entries + done, total))?;
        // Only where the sums differ is it worth asking for each entry.
        if index.sum != expected {
            self.find_missing_entries(&mut report, index.place)?;
            self.find_extra_entries(&mut report)?;
        }
        self.verify_snapshot(&mut report)?;
        self.verify_accesses(&mut report)?;
        Ok(report)
    }

    /// Follows the log, and gives what the index must hold of its events up to `covered`.
    fn verify_log(
        &self,
        report: &mut Verification,
        covered: Sequence,
        progress: &mut dyn FnMut(u64),
    ) -> Result<IndexSum, LogError> {
        let hash_key = self.identity().hash_key;
        let mut chain = Chain::new(self.identity().log_id);
        let mut expected = IndexSum::default();
        self.scan(&Scan::all_from(Area::Log, []), |key, value| {
            let batch = match chain.follow(key, value) {
                Ok(batch) => Some(batch),
                Err(error) => {
                    report.add_error(Area::Log, error)?;
                    chain.skip(key, value)
                }
            };
            report.batches += 1;
            if let Some(batch) = batch {
                verify_events(&batch, &hash_key, &mut chain, report, (covered, &mut expected))?;
                progress(report.events);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        if let Err(error) = chain.end(&report.head) {
            report.add_error(Area::Log, error)?;
        }
        let head = report.head;
        if (chain.at().batches, chain.at().last_time) != (head.batches, head.last_time) {
            report.add(
                Area::Meta,
                head.last,
                "the head of the log does not fit the log: other times or numbers of batches",
            );
        }
        Ok(expected)
    }

    fn read_index(&self, report: &mut Verification, progress: &mut dyn FnMut(u64)) -> Result<Index, LogError> {
        let last = report.head.last;
        let mut place = Sequence::ZERO;
        match self.index_place() {
            Ok(stored) if stored <= last => place = stored,
            Ok(stored) => report.add(Area::Meta, stored, "the index is said to be younger than the log"),
            Err(error) => report.add_error(Area::Meta, error)?,
        }
        let mut index = Index { place, covered: place, sum: IndexSum::default() };
        self.scan(&Scan::all_from(Area::Entity, []), |key, value| {
            index.sum.add(key, value);
            if let Ok((_, sequence)) = read_entity_key(key) {
                index.covered = index.covered.max(sequence.min(last));
            }
            if index.sum.entries.is_multiple_of(4096) {
                progress(index.sum.entries);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        report.index_entries = index.sum.entries;
        progress(index.sum.entries);
        Ok(index)
    }

    fn find_missing_entries(&self, report: &mut Verification, place: Sequence) -> Result<(), LogError> {
        let hash_key = self.identity().hash_key;
        self.scan(&Scan::all_from(Area::Log, []), |_, value| {
            // What cannot be read was told by the first pass.
            let Ok(batch) = Batch::read(value) else { return Ok(ControlFlow::Continue(())) };
            for event in batch.events().filter_map(Result::ok) {
                let key = entity_key(hash_key.hash(event.entity.as_str()), event.sequence);
                let named = self.read(Area::Entity, &key, |value| batch_of(event.sequence, value))?;
                match named {
                    // The others are read from the log when the store is opened.
                    None if event.sequence > place => {}
                    None => report.add(Area::Entity, event.sequence, "the index lacks an event of the log"),
                    Some(Ok(first)) if first == batch.head().first => {}
                    Some(_) => report.add(Area::Entity, event.sequence, "the index names a wrong batch"),
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn find_extra_entries(&self, report: &mut Verification) -> Result<(), LogError> {
        let hash_key = self.identity().hash_key;
        self.scan(&Scan::all_from(Area::Entity, []), |key, value| {
            let Ok((hash, sequence)) = read_entity_key(key) else {
                report.add(Area::Entity, Sequence::ZERO, "the index has a key of a wrong length");
                return Ok(ControlFlow::Continue(()));
            };
            if !self.names_an_event(&hash_key, hash, sequence, value)? {
                report.add(Area::Entity, sequence, "the index names an event that the log does not have there");
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn names_an_event(
        &self,
        hash_key: &HashKey,
        hash: EntityHash,
        sequence: Sequence,
        value: &[u8],
    ) -> Result<bool, LogError> {
        let Ok(first) = batch_of(sequence, value) else { return Ok(false) };
        let event = self.read(Area::Log, &log_key(first), |value| Batch::read(value)?.event(sequence))?;
        Ok(event.is_some_and(|event| event.is_ok_and(|event| hash_key.hash(event.entity.as_str()) == hash)))
    }

    fn verify_snapshot(&self, report: &mut Verification) -> Result<(), LogError> {
        let last = report.head.last;
        let marker = match self.marker() {
            Ok(marker) => marker,
            Err(error) => {
                report.add_error(Area::State, error)?;
                None
            }
        };
        if let Some(marker) = marker {
            let outcome = self.load(&marker, last, &mut |_| (), &mut |records| report.snapshot_records = records);
            outcome.or_else(|error| report.add_error(Area::State, error))?;
        }
        // Chunks of the newest snapshot were read just now; those of others may be there, from before or unfinished.
        let others = match marker {
            Some(marker) => {
                let behind = state_key(marker.snapshot.saturating_add(1), 0);
                vec![Scan::range(Area::State, [], state_key(marker.snapshot, 0)), Scan::all_from(Area::State, behind)]
            }
            None => vec![Scan::all_from(Area::State, [])],
        };
        for scan in others {
            self.scan(&scan, |key, _| {
                if read_state_key(key).is_err() {
                    report.add(Area::State, Sequence::ZERO, "there is something beside the snapshots");
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    }

    fn verify_accesses(&self, report: &mut Verification) -> Result<(), LogError> {
        self.scan(&Scan::all_from(Area::Access, []), |key, value| {
            report.access_blocks += 1;
            if let Err(why) = read_access_key(key).and_then(|(start, ..)| AccessBlock::decode(start, value).map(drop)) {
                report.add(
                    Area::Access,
                    Sequence::ZERO,
                    format!("a block of the access journal is damaged: {}", why.0),
                );
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

fn verify_events(
    batch: &Batch<'_>,
    hash_key: &HashKey,
    chain: &mut Chain,
    report: &mut Verification,
    (covered, expected): (Sequence, &mut IndexSum),
) -> Result<(), LogError> {
    for (position, event) in (0_u16..).zip(batch.events()) {
        let sequence = Sequence::new(batch.head().first.value() + u64::from(position));
        match event {
            Ok(event) => {
                if let Err(error) = chain.note_time(sequence, event.time) {
                    report.add_error(Area::Log, error)?;
                }
                report.events += 1;
                if sequence <= covered {
                    expected.add(&entity_key(hash_key.hash(event.entity.as_str()), sequence), &position.to_le_bytes());
                }
            }
            Err(why) => report.add(Area::Log, sequence, format!("an event is damaged: {}", why.0)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
