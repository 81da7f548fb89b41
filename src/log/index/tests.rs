//! Tests of `index`.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::arbitrary::{encoded, histories, plain_history};
use super::super::fixtures::{FaultInjector, Listener, Told, commit, content, index_rows, named, small, start, tamper};
use super::super::key::read_index_key;
use super::super::{Append, CommitterOptions, History, OpenOptions, SteppedCommitter, Write};
use super::*;
use crate::domain::{Event, Page};
use crate::types::EntityHash;

fn all(order: Order) -> Page {
    Page { limit: 1000, order, after: None, since: None, until: None }
}

/// Every entity's history as the store tells it is that of these events, in both orders.
fn check_histories(store: &Store, events: &[Event]) {
    let history = History::new(store.clone());
    let last = Sequence::new(events.len() as u64);
    for event in events {
        let subject = named(store, &event.entity);
        let mut expected: Vec<Event> =
            events.iter().filter(|other| other.entity.as_str() == event.entity.as_str()).cloned().collect();
        assert_eq!(history.page(&subject, &all(Order::Ascending), last).unwrap().events, expected);
        expected.reverse();
        assert_eq!(history.page(&subject, &all(Order::Descending), last).unwrap().events, expected);
        let one = Page { limit: 1, ..all(Order::Descending) };
        assert_eq!(history.page(&subject, &one, last).unwrap().events, expected[..1]);
    }
}

/// What is stored, as another store.
fn image(store: &Store) -> Store {
    let log = super::super::memory::MemoryLog::new();
    for area in Area::ALL {
        let mut writes = Writes::new();
        content(store, area).iter().for_each(|(key, value)| writes.put(area, key, value));
        super::super::Log::write(&log, &writes).unwrap();
    }
    Store::with_log(Box::new(log)).unwrap()
}

/// The numbers of all runs that are on disk.
fn numbers(store: &Store) -> BTreeSet<u64> {
    content(store, Area::Index).iter().map(|(key, _)| read_index_key(key).unwrap().0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// Whichever runs are listed, and whatever else is on disk, histories are those of the log. What is not listed goes.
    #[test]
    fn disk_and_memory_together_are_the_index(
        more in histories(6..150),
        run_rows in 1..50_usize,
        listed in any::<prop::sample::Index>(),
    ) {
        let events = more[..more.len() - 5].to_vec();
        let store = Store::in_memory().unwrap();
        commit(&store, &events, 3, CommitterOptions { index_rows: run_rows, ..small() });
        check_histories(&store, &events);
        let runs = store.stored_runs().unwrap();
        prop_assert_eq!(place(&runs).value(), events.len() as u64);
        prop_assert_eq!(index_rows(&store).iter().map(key_of).collect::<BTreeSet<_>>().len(), events.len());

        // As a crash leaves it: runs are there, and the list is an earlier one.
        let runs = &runs[..listed.index(runs.len() + 1)];
        let image = image(&store);
        let mut writes = Writes::new();
        put_list(runs, &mut writes);
        image.write(&writes).unwrap();
        prop_assert_eq!(image.verify(&mut |_, _| ()).unwrap().findings, []);
        prop_assert_eq!(image.unindexed_events(), Ok(events.len() as u64 - place(runs).value()));
        check_histories(&image, &events);
        // Reading changes nothing; going on from there writes the same entries again, under other numbers.
        let there = numbers(&image);
        prop_assert_eq!(&there, &numbers(&store));
        let kept = runs.iter().map(|run| run.number).collect::<BTreeSet<_>>();
        image.index().forget();
        commit(&image, &more[events.len()..], 2, CommitterOptions { index_rows: 2, ..small() });
        check_histories(&image, &more);
        prop_assert!(numbers(&image).difference(&kept).all(|number| there.last() < Some(number)));
        prop_assert_eq!(image.verify(&mut |_, _| ()).unwrap().findings, []);
    }

    /// Runs merge while events come, and every entry stays where it is found, once.
    #[test]
    fn merging_changes_no_history(events in histories(1..300), run_rows in 1..9_usize) {
        let store = Store::in_memory().unwrap();
        let options = CommitterOptions { index_rows: run_rows, ..small() };
        let mut committer = SteppedCommitter::new(store.clone(), options, Listener::default(), 0).unwrap();
        for some in events.chunks(5) {
            committer.take(Append::Events(encoded(&store.identity().hash_key, some))).unwrap();
            committer.commit().unwrap();
            // The list that a crash would leave names what is there.
            prop_assert_eq!(store.verify(&mut |_, _| ()).unwrap().findings, []);
        }
        committer.finish().unwrap();
        check_histories(&store, &events);
        let runs = store.stored_runs().unwrap();
        // Fewer than it takes to merge of each size, and that of the last events.
        let levels = events.len().ilog(merge::FANOUT) as usize + 1;
        prop_assert!(runs.len() <= levels * (merge::FANOUT - 1) + 2, "{} runs of {} events", runs.len(), events.len());
        let report = store.verify(&mut |_, _| ()).unwrap();
        prop_assert_eq!((report.findings, report.index_entries), (vec![], events.len() as u64));
        // What was merged last may not be gone yet; a start sees to that.
        let counted: BTreeSet<u64> = runs.iter().map(|run| run.number).collect();
        prop_assert!(numbers(&store).is_superset(&counted));
        prop_assert!(numbers(&store).len() <= counted.len() + 2 * merge::FANOUT);
        let image = image(&store);
        drop(SteppedCommitter::new(image.clone(), options, Listener::default(), 0).unwrap());
        prop_assert_eq!(numbers(&image), counted);
    }

    /// A store without an index, as those of earlier versions are, gets one at its start, a run at a time.
    #[test]
    fn an_index_is_built_anew_from_the_log(events in histories(1..150), run_rows in 1..50_usize) {
        let store = Store::in_memory().unwrap();
        commit(&store, &events, 3, small());
        tamper(&store, Area::Index, Write::DeleteRange { from: &[], to: &[0xff; 40] });
        tamper(&store, Area::Meta, Write::DeleteRange { from: b"runs", to: b"runt" });
        store.index().forget();
        prop_assert_eq!(store.unindexed_events(), Ok(events.len() as u64));
        store.load_index(Some(run_rows)).unwrap();
        prop_assert!(store.unindexed_events().unwrap() < run_rows as u64);
        prop_assert!(store.index().open_rows() < run_rows);
        check_histories(&store, &events);
        prop_assert_eq!(store.verify(&mut |_, _| ()).unwrap().findings, []);
    }

    /// In a run of many parts, exactly the wanted entries are found: of few entities and so with many events each, or of many.
    #[test]
    fn a_run_shows_the_wanted_entries(
        entities in 1..600_u64,
        count in 0..700_u16,
        wanted in 0..8_u64,
        (from, to) in (0..700_u64, 0..750_u64),
        limit in 1..400_usize,
        descending: bool,
    ) {
        let hash = |entity: u64| EntityHash::from_be_bytes(u128::from(entity).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes());
        let entry = |at: u16| row(hash(u64::from(at) % entities), Sequence::new(u64::from(at)), at);
        let mut rows: Vec<Row> = (1..=count).map(entry).collect();
        rows.sort();
        let store = Store::in_memory().unwrap();
        // Runs on both sides, which nothing may be found in.
        for number in [4, 6] {
            store.write_rows(number, &[row(hash(wanted), Sequence::new(from), 0)]).unwrap();
        }
        store.write_rows(5, &rows).unwrap();
        let order = if descending { Order::Descending } else { Order::Ascending };
        let wanted = Wanted { hash: hash(wanted), range: from..=to, order, count: limit };
        let mut found = Vec::new();
        store.find_rows(5, &wanted, &mut found).unwrap();
        let mut expected: Vec<Row> = rows
            .into_iter()
            .filter(|row| hash_of(row) == wanted.hash && wanted.range.contains(&sequence_of(row).value()))
            .collect();
        if descending {
            expected.reverse();
        }
        expected.truncate(limit);
        prop_assert_eq!(found, expected);
    }

    /// A run that cannot be written ends all writing, and costs no event.
    #[test]
    fn a_run_that_fails_ends_all_writing(writes in 1..40_i64, panics: bool) {
        let faults = FaultInjector::after(writes, panics);
        let store = Store::with_log(Box::new(faults.clone())).unwrap();
        let events = plain_history(60);
        let (committer, listener) = start(&store, CommitterOptions { index_rows: 4, ..small() });
        for part in events.chunks(4) {
            let _ = committer.try_send(Append::Events(encoded(&store.identity().hash_key, part)));
        }
        let outcome = committer.stop();
        let told = listener.told();
        let durable = told.iter().rev().find_map(|told| match told {
            Told::Durable(sequence) => Some(*sequence),
            _ => None,
        }).unwrap_or(0);
        prop_assert_eq!(outcome.is_err(), matches!(told.last(), Some(Told::Failed(_))));
        if outcome.is_err() {
            prop_assert_eq!(store.write(&Writes::new()), Err(LogError::Failed));
        }
        let survivor = faults.survivor();
        prop_assert_eq!(survivor.verify(&mut |_, _| ()).unwrap().findings, []);
        let on_disk = super::super::fixtures::replayed(&survivor).unwrap();
        prop_assert!(on_disk.len() as u64 >= durable);
        check_histories(&survivor, &on_disk);
    }
}

#[test]
fn a_list_that_cannot_be_is_refused_and_found() {
    let run = |number, last| StoredRun { number, last: Sequence::new(last) };
    let list = |runs: &[StoredRun]| {
        let mut writes = Writes::new();
        put_list(runs, &mut writes);
        match writes.iter().next() {
            Some((Area::Meta, Write::Put { key: b"runs", value })) => value.to_vec(),
            other => panic!("{other:?}"),
        }
    };
    let mut later = vec![2];
    super::super::fields::seal(&mut later, 0);
    for (value, found) in [
        (list(&[run(1, 10)]), "younger than the log"),
        (list(&[run(1, 5), run(2, 5)]), "do not follow each other"),
        (list(&[run(1, 5), run(1, 9)]), "do not follow each other"),
        (list(&[run(1, 0)]), "do not follow each other"),
        (later, "its version is unknown"),
        (b"short".to_vec(), "the list of the index"),
    ] {
        let store = Store::in_memory().unwrap();
        commit(&store, &plain_history(9), 3, small());
        tamper(&store, Area::Meta, Write::Put { key: b"runs", value: &value });
        store.index().forget();
        let findings = store.verify(&mut |_, _| ()).unwrap().findings;
        assert!(findings.iter().any(|finding| finding.what.contains(found)), "{findings:?}");
        assert!(matches!(store.load_index(None), Err(LogError::Corrupt { what, .. }) if what.contains(found)));
    }
}

/// A crash while the tail is in memory, and one while a table is being built.
#[test]
fn an_index_that_was_not_written_is_read_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let open = |create, read_only| Store::open(dir.path(), OpenOptions { create, read_only }).unwrap();
    let events = plain_history(30);
    let store = open(true, false);
    commit(&store, &events[..20], 3, small());
    let mut meta = content(&store, Area::Meta);
    meta.retain(|(key, _)| key == b"runs");
    commit(&store, &events[20..], 3, CommitterOptions { index_rows: usize::MAX, ..small() });
    tamper(&store, Area::Meta, Write::Put { key: b"runs", value: &meta[0].1 });
    drop(store);
    std::fs::write(dir.path().join("log/table.new"), "torn").unwrap();
    for read_only in [true, false] {
        let store = open(false, read_only);
        check_histories(&store, &events);
        assert_eq!(store.verify(&mut |_, _| ()).unwrap().findings, []);
    }
    assert!(!dir.path().join("log/table.new").exists());
}
