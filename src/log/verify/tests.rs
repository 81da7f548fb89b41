//! Tests of `verify`.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::access::AccessRecord;
use super::super::arbitrary::{encoded, histories, plain_history};
use super::super::batch::encode_batch;
use super::super::fields::{SEAL_BYTES, seal};
use super::super::fixtures::{content, delete, early, holding, index_rows, put_index, send, small, start, tamper};
use super::super::index::position_of;
use super::super::snapshot::{SnapshotNonce, SnapshotWriter};
use super::super::{Append, LogError, Write};
use super::*;
use crate::domain::Event;
use crate::types::{EntityHash, Timestamp};

/// Twenty events in batches of two, at most five to a commit.
fn store() -> Store {
    holding(&plain_history(20))
}

/// Where and what, of everything that is found.
fn findings(store: &Store) -> Vec<(Area, u64, String)> {
    let report = store.verify(&mut |done, total| assert!(done <= total + 20)).unwrap();
    assert_eq!(report.is_sound(), report.findings.is_empty());
    report.findings.into_iter().map(|finding| (finding.area, finding.sequence.value(), finding.what)).collect()
}

proptest! {
    /// The numbers of a report are those of what is stored, and progress goes forward, to its end.
    #[test]
    fn all_that_is_there_is_counted(events in histories(1..40), accesses in 0..4_usize, nonces in 0..5_u64) {
        let store = holding(&events);
        let (committer, _) = start(&store, small());
        for _ in 0..accesses {
            let mut block = AccessBlock::new(0, early());
            block.push(&AccessRecord { time: early(), command: 1, status: 200, entity: 2, peer: 3 });
            send(&committer, Append::Access(block));
        }
        let mut writer = SnapshotWriter::new(1, 0);
        for nonce in 0..nonces {
            let sequence = Sequence::new(1);
            writer.nonce(&SnapshotNonce { nonce: u128::from(nonce), fingerprint: 1, sequence, time: early() });
        }
        writer.take_chunk().into_iter().for_each(|chunk| send(&committer, Append::Snapshot(chunk)));
        send(&committer, Append::SnapshotEnd(writer.end(1, Sequence::new(1))));
        committer.stop().unwrap();

        let mut steps = Vec::new();
        let report = store.verify(&mut |done, total| steps.push((done, total))).unwrap();
        prop_assert_eq!(&report.findings, &[]);
        prop_assert_eq!(report.batches, content(&store, Area::Log).len() as u64);
        prop_assert_eq!(report.events, events.len() as u64);
        prop_assert_eq!(report.index_entries, index_rows(&store).len() as u64);
        prop_assert_eq!(report.snapshot_records, nonces);
        prop_assert_eq!(report.access_blocks, accesses as u64);
        prop_assert!(steps.is_sorted(), "{:?}", steps);
        let total = report.index_entries + report.events;
        prop_assert_eq!(steps.last(), Some(&(total, total)));
    }

    /// Up to its place the index must be whole. What it lacks behind that is read from the log, wherever the gaps are.
    #[test]
    fn what_lacks_behind_the_place_of_the_index_is_no_damage(
        place in 0..=20_u64,
        gaps in proptest::collection::btree_set(1..=20_u64, 0..20),
    ) {
        let store = store();
        let mut rows = index_rows(&store);
        rows.retain(|row| sequence_of(row).value() <= place && !gaps.contains(&sequence_of(row).value()));
        put_index(&store, rows, place);
        let found: BTreeSet<_> = findings(&store).into_iter().collect();
        let damage = gaps.range(..=place);
        let lacks = damage.map(|at| (Area::Index, *at, "the index lacks an event of the log".to_owned()));
        prop_assert_eq!(found, lacks.collect());
    }

    /// An event that is no event, or whose time cannot be, in a batch that is otherwise whole: told with its own place.
    #[test]
    fn a_damaged_event_is_told_with_its_place(events in histories(1..40), at: prop::sample::Index, unreadable: bool) {
        let store = holding(&events);
        let place = at.get(&events).sequence;
        let log = content(&store, Area::Log);
        let (key, value) = log.iter().rfind(|(key, _)| *key <= log_key(place).to_vec()).unwrap();
        let batch = Batch::read(value).unwrap();
        let mut forged = Vec::new();
        if unreadable {
            forged.extend_from_slice(&value[..value.len() - SEAL_BYTES]);
            let event = batch.event_bytes(place).unwrap();
            let begin = value.windows(event.len()).position(|bytes| bytes == event).unwrap();
            forged[begin..begin + event.len()].fill(0xff);
            seal(&mut forged, 0);
        } else {
            let mut held: Vec<Event> = batch.events().map(Result::unwrap).collect();
            let late = batch.head().committed.unix_ms() + 1;
            held.iter_mut().filter(|event| event.sequence == place).for_each(|event| {
                event.time = Timestamp::from_unix_ms(late);
            });
            let held = encoded(&store.identity().hash_key, &held);
            encode_batch(batch.head(), held.parts(usize::MAX).next().unwrap(), &mut forged).unwrap();
        }
        tamper(&store, Area::Log, Write::Put { key, value: &forged });
        let found = findings(&store);
        let told = found.iter().filter(|(.., what)| what.starts_with("an event is damaged"));
        let told: Vec<_> = told.map(|(area, sequence, _)| (*area, *sequence)).collect();
        prop_assert_eq!(told, [(Area::Log, place.value())], "{:?}", found);
    }
}

#[test]
fn a_sound_store_has_no_findings() {
    assert_eq!(findings(&store()), []);
    assert_eq!(findings(&Store::in_memory().unwrap()), []);
}

#[test]
fn a_deleted_batch_is_found_wherever_it_was() {
    let batches = content(&store(), Area::Log).len();
    for index in 0..batches {
        let store = store();
        let (key, value) = content(&store, Area::Log)[index].clone();
        let gone = Batch::read(&value).unwrap();
        delete(&store, Area::Log, &key);
        let found = findings(&store);
        let first = gone.head().first.value();
        assert!(found.iter().any(|(area, sequence, _)| *area == Area::Log && *sequence == first), "{index}: {found:?}");
        // The index still names its events.
        let named = found.iter().filter(|(area, ..)| *area == Area::Index).count();
        assert_eq!(named as u64, gone.count(), "{index}: {found:?}");
    }
}

#[test]
fn swapped_batches_are_found() {
    let store = store();
    let log = content(&store, Area::Log);
    tamper(&store, Area::Log, Write::Put { key: &log[2].0, value: &log[3].1 });
    tamper(&store, Area::Log, Write::Put { key: &log[3].0, value: &log[2].1 });
    let found = findings(&store);
    assert!(found.iter().any(|(area, _, what)| *area == Area::Log && what.contains("key of another")), "{found:?}");
}

#[test]
fn a_changed_byte_is_found_wherever_it_is() {
    let (key, value) = content(&store(), Area::Log)[4].clone();
    for at in 0..value.len() {
        let store = store();
        // Times, names and so the lengths of batches are the same in every such store; the ids are not.
        let mut changed = content(&store, Area::Log)[4].1.clone();
        changed[at] ^= 0x10;
        tamper(&store, Area::Log, Write::Put { key: &key, value: &changed });
        let found = findings(&store);
        assert!(found.iter().any(|(area, ..)| *area == Area::Log), "byte {at}");
    }
}

/// A forger who recomputes the checksum of what he changed still breaks the chain.
#[test]
fn a_batch_that_was_replaced_whole_is_found() {
    let (one, other) = (store(), store());
    let log = content(&one, Area::Log);
    let foreign = content(&other, Area::Log);
    tamper(&one, Area::Log, Write::Put { key: &log[3].0, value: &foreign[3].1 });
    let found = findings(&one);
    assert!(found.iter().any(|(_, _, what)| what.contains("another log")), "{found:?}");
    assert!(found.iter().any(|(_, _, what)| what.contains("does not name")), "{found:?}");
}

#[test]
fn missing_and_extra_and_wrong_index_entries_are_found() {
    let case = |change: &dyn Fn(&mut Vec<Row>)| {
        let store = store();
        let mut rows = index_rows(&store);
        // The ninth is the one that a change may change.
        let at = sequence_of(&rows[8]);
        change(&mut rows);
        put_index(&store, rows, 20);
        let found = findings(&store);
        assert!(found.iter().all(|(area, ..)| *area == Area::Index), "{found:?}");
        found.into_iter().map(|(_, sequence, what)| (sequence == at.value(), what)).collect::<Vec<_>>()
    };
    let lacks = (true, "the index lacks an event of the log".to_owned());
    let extra = |here| (here, "the index names an event that the log does not have there".to_owned());
    assert_eq!(case(&|_| ()), []);
    assert_eq!(
        case(&|rows| {
            rows.remove(8);
        }),
        std::slice::from_ref(&lacks)
    );

    let foreign = |of: &Row| row(EntityHash::from_be_bytes([9; 16]), sequence_of(of), position_of(of));
    assert_eq!(case(&|rows| rows.push(foreign(&rows[3].clone()))), [extra(false)]);
    assert_eq!(case(&|rows| rows[8] = foreign(&rows[8])), [lacks, extra(true)]);
    let wrong = case(&|rows| rows[8][24] ^= 1);
    assert_eq!(wrong[0], (true, "the index names a wrong batch".to_owned()));
}

#[test]
fn parts_of_the_index_that_stand_where_they_do_not_belong_are_found() {
    type Change<'a> = &'a dyn Fn(&Store, &[u8], &[u8]);
    let case = |change: Change<'_>| {
        let store = holding(&plain_history(20));
        put_index(&store, index_rows(&store), 20);
        let (key, value) = content(&store, Area::Index)[0].clone();
        change(&store, &key, &value);
        findings(&store).into_iter().map(|(_, _, what)| what).collect::<BTreeSet<_>>()
    };
    let misplaced = "a part of the index does not stand where it belongs";
    let put = |store: &Store, key: &[u8], value: &[u8]| tamper(store, Area::Index, Write::Put { key, value });
    let short = case(&|store, _, _| put(store, b"short", b""));
    assert_eq!(short, BTreeSet::from(["the index has a key of a wrong length".to_owned()]));
    // A run that is not listed is what a crash leaves.
    let other = case(&|store, key, value| put(store, &[&[0, 0, 0, 0, 0, 0, 0, 2], &key[8..]].concat(), value));
    assert_eq!(other, BTreeSet::new());
    // Twice, behind each other.
    let again = case(&|store, key, value| put(store, &[&key[..8], &[0xff; 24]].concat(), value));
    assert_eq!(again, BTreeSet::from([misplaced.to_owned()]));
    for damaged in [
        case(&|store, key, value| put(store, key, &value[1..])),
        case(&|store, key, _| put(store, key, b"")),
        case(&|store, key, value| put(store, key, &value[..value.len() - 26])),
        case(&|store, key, value| put(store, key, &[&value[26..52], &value[..26], &value[52..]].concat())),
        // An event behind those that the run covers.
        case(&|store, key, value| {
            let mut run = content(store, Area::Meta).into_iter().find(|(key, _)| key == b"runs").unwrap().1;
            run.truncate(run.len() - SEAL_BYTES);
            run[9] = 19;
            seal(&mut run, 0);
            tamper(store, Area::Meta, Write::Put { key: b"runs", value: &run });
            put(store, key, value);
        }),
    ] {
        assert!(damaged.contains(misplaced), "{damaged:?}");
    }
}

#[test]
fn a_tail_that_was_cut_off_is_found_by_the_head() {
    let store = store();
    for (key, _) in content(&store, Area::Log).into_iter().skip(7) {
        delete(&store, Area::Log, &key);
    }
    let found = findings(&store);
    assert!(found.iter().any(|(_, _, what)| what.contains("missing at its end")), "{found:?}");
}

#[test]
fn a_head_that_cannot_be_read_is_an_error() {
    let store = store();
    tamper(&store, Area::Meta, Write::Put { key: b"head", value: b"nonsense" });
    assert!(matches!(store.verify(&mut |_, _| ()), Err(LogError::Corrupt { .. })));
}

#[test]
fn a_damaged_block_of_the_access_journal_is_found() {
    let store = store();
    let key = super::super::key::access_key(Timestamp::from_unix_ms(5), 0, 0);
    tamper(&store, Area::Access, Write::Put { key: &key, value: b"nonsense" });
    assert_eq!(findings(&store).len(), 1);
}

#[test]
fn endless_damage_is_counted_and_not_listed() {
    let store = store();
    let mut report = store.verify(&mut |_, _| ()).unwrap();
    (0..FINDINGS_MAX + 5).for_each(|_| report.add(Area::Log, Sequence::ZERO, "again"));
    assert_eq!((report.findings.len(), report.findings_untold), (FINDINGS_MAX, 5));
}
