//! Checking a store from end to end: the log, its index both ways, the snapshot, the access journal.
//!
//! Goes on behind damage, so that one run names all of it. Reads only.

use std::ops::ControlFlow;

use crate::domain::Order;
use crate::types::{HashKey, Sequence};

use super::access::AccessBlock;
use super::batch::Batch;
use super::chain::Chain;
use super::index::{Row, StoredRun, Wanted, hash_of, key_of, place, read_block, row, sequence_of};
use super::key::{log_key, read_access_key, read_index_key, read_state_key, state_key};
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
    /// Entries of the index for AUDIT that are on disk. Those of the last events may not be; they are read from the log.
    pub index_entries: u64,
    /// Records of the newest snapshot.
    pub snapshot_records: u64,
    /// Whether that snapshot has a form of earlier versions, which is not read any more. That is no damage: all events are
    /// replayed at the next start.
    pub snapshot_is_old: bool,
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
    fn add(&mut self, row: &Row) {
        let digest = blake3::hash(row);
        let front = digest.as_bytes().first_chunk().map_or(0, |front| u128::from_le_bytes(*front));
        self.entries += 1;
        self.sum = self.sum.wrapping_add(front);
    }
}

/// The entries of a part of the index, or why it cannot be where it stands.
type Part<'a> = Result<&'a [Row], &'static str>;

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
            snapshot_is_old: false,
            access_blocks: 0,
            head,
            findings: Vec::new(),
            findings_untold: 0,
        };
        let total = head.last.value().saturating_mul(2);
        let runs = self.verify_runs(&mut report)?;
        let sum = self.verify_index(&mut report, &runs, &mut |done| progress(done, total))?;
        let entries = report.index_entries;
        let expected = self.verify_log(&mut report, place(&runs), &mut |done| progress(entries + done, total))?;
        // Only where the sums differ is it worth asking for each entry.
        if sum != expected {
            self.find_missing_entries(&mut report, &runs)?;
            self.find_extra_entries(&mut report, &runs)?;
        }
        self.verify_snapshot(&mut report)?;
        self.verify_accesses(&mut report)?;
        Ok(report)
    }

    /// Follows the log, and gives what the index must hold of its events up to `place`.
    fn verify_log(
        &self,
        report: &mut Verification,
        place: Sequence,
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
                verify_events(&batch, &hash_key, &mut chain, report, (place, &mut expected))?;
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

    /// The runs of the index that count.
    fn verify_runs(&self, report: &mut Verification) -> Result<Vec<StoredRun>, LogError> {
        let mut runs = Vec::new();
        match self.stored_runs() {
            Ok(listed) => runs = listed,
            Err(error) => report.add_error(Area::Meta, error)?,
        }
        let place = place(&runs);
        if place > report.head.last {
            report.add(Area::Meta, place, "the index for AUDIT is younger than the log");
        }
        Ok(runs)
    }

    /// Reads the index, and gives what it holds.
    fn verify_index(
        &self,
        report: &mut Verification,
        runs: &[StoredRun],
        progress: &mut dyn FnMut(u64),
    ) -> Result<IndexSum, LogError> {
        let mut sum = IndexSum::default();
        self.scan_index(runs, &mut |block| {
            match block {
                Ok(rows) => rows.iter().for_each(|row| sum.add(row)),
                Err(why) => report.add(Area::Index, Sequence::ZERO, why),
            }
            progress(sum.entries);
            Ok(())
        })?;
        report.index_entries = sum.entries;
        Ok(sum)
    }

    /// Shows what stands in the runs that count. What stands beside them a crash has left, and nobody reads it.
    fn scan_index(
        &self,
        runs: &[StoredRun],
        visit: &mut dyn FnMut(Part<'_>) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let mut before = None;
        self.scan(&Scan::all_from(Area::Index, []), |key, value| {
            let Ok((number, last)) = read_index_key(key) else {
                visit(Err("the index has a key of a wrong length"))?;
                return Ok(ControlFlow::Continue(()));
            };
            let Some(at) = runs.iter().position(|run| run.number == number) else {
                return Ok(ControlFlow::Continue(()));
            };
            let covered = place(&runs[..at])..runs[at].last;
            let sound = |rows: &&[Row]| {
                let first = rows.first().map(key_of);
                let in_order =
                    rows.is_sorted_by(|a, b| key_of(a) < key_of(b)) && rows.last().map(key_of) == Some(&last);
                let behind = before.filter(|(of, _)| *of == number).is_none_or(|(_, before)| first > Some(&before));
                let inside =
                    rows.iter().all(|row| (covered.start < sequence_of(row)) && sequence_of(row) <= covered.end);
                in_order && behind && inside
            };
            let rows = read_block(value).ok().filter(sound);
            before = Some((number, last));
            visit(rows.ok_or("a part of the index does not stand where it belongs"))?;
            Ok(ControlFlow::Continue(()))
        })
    }

    fn find_missing_entries(&self, report: &mut Verification, runs: &[StoredRun]) -> Result<(), LogError> {
        let hash_key = self.identity().hash_key;
        self.scan(&Scan::all_from(Area::Log, []), |_, value| {
            // What cannot be read was told by the first pass.
            let Ok(batch) = Batch::read(value) else { return Ok(ControlFlow::Continue(())) };
            for event in batch.events().filter_map(Result::ok) {
                // The others are read from the log when the store is opened.
                if event.sequence > place(runs) {
                    break;
                }
                let (hash, at) = (hash_key.hash(event.entity.as_str()), event.sequence.value());
                let wanted = Wanted { hash, range: at..=at, order: Order::Ascending, count: 1 };
                let mut found = Vec::new();
                match self.find_stored(runs, &wanted, &mut found) {
                    // A part that cannot be read was told too.
                    Ok(()) | Err(LogError::Corrupt { .. }) => {}
                    Err(error) => return Err(error),
                }
                match found.first().map(batch_of) {
                    None => report.add(Area::Index, event.sequence, "the index lacks an event of the log"),
                    Some(Ok(first)) if first == batch.head().first => {}
                    Some(_) => report.add(Area::Index, event.sequence, "the index names a wrong batch"),
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    fn find_extra_entries(&self, report: &mut Verification, runs: &[StoredRun]) -> Result<(), LogError> {
        let hash_key = self.identity().hash_key;
        self.scan_index(runs, &mut |block| {
            for row in block.unwrap_or_default() {
                if !self.names_an_event(&hash_key, row)? {
                    let what = "the index names an event that the log does not have there";
                    report.add(Area::Index, sequence_of(row), what);
                }
            }
            Ok(())
        })
    }

    fn names_an_event(&self, hash_key: &HashKey, row: &Row) -> Result<bool, LogError> {
        let Ok(first) = batch_of(row) else { return Ok(false) };
        let event = self.read(Area::Log, &log_key(first), |value| Batch::read(value)?.event(sequence_of(row)))?;
        Ok(event.is_some_and(|event| event.is_ok_and(|event| hash_key.hash(event.entity.as_str()) == hash_of(row))))
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
            match outcome {
                Err(LogError::OldSnapshot) => report.snapshot_is_old = true,
                outcome => outcome.or_else(|error| report.add_error(Area::State, error))?,
            }
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
    (place, expected): (Sequence, &mut IndexSum),
) -> Result<(), LogError> {
    for (position, event) in (0_u16..).zip(batch.events()) {
        let sequence = Sequence::new(batch.head().first.value() + u64::from(position));
        match event {
            Ok(event) => {
                if let Err(error) = chain.note_time(sequence, event.time) {
                    report.add_error(Area::Log, error)?;
                }
                report.events += 1;
                if sequence <= place {
                    expected.add(&row(hash_key.hash(event.entity.as_str()), sequence, position));
                }
            }
            Err(why) => report.add(Area::Log, sequence, format!("an event is damaged: {}", why.0)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
