//! Tests of `index`.

use proptest::prelude::*;

use super::super::arbitrary::{encoded, histories, plain_history};
use super::super::fixtures::{FaultInjector, Told, commit, content, named, small, start, tamper};
use super::super::{Append, CommitterOptions, History, OpenOptions, Write};
use super::*;
use crate::domain::{Event, Page};

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

proptest! {
    /// Wherever the place stands, and whatever stands on disk behind it, histories are those of the log.
    #[test]
    fn disk_and_memory_together_are_the_index(
        more in histories(6..45),
        run_rows in 1..50_usize,
        place in any::<prop::sample::Index>(),
    ) {
        let events = more[..more.len() - 5].to_vec();
        let store = Store::in_memory().unwrap();
        commit(&store, &events, 3, CommitterOptions { index_rows: run_rows, ..small() });
        check_histories(&store, &events);
        prop_assert_eq!(store.index_place(), Ok(Sequence::new(events.len() as u64)));
        prop_assert_eq!(content(&store, Area::Entity).len(), events.len());

        // As a crash leaves it: the tables are there, and the place of an earlier one.
        let place = place.index(events.len() + 1) as u64;
        let log = super::super::memory::MemoryLog::new();
        for area in Area::ALL {
            let mut writes = Writes::new();
            content(&store, area).iter().for_each(|(key, value)| writes.put(area, key, value));
            super::super::Log::write(&log, &writes).unwrap();
        }
        let image = Store::with_log(Box::new(log)).unwrap();
        tamper(&image, Area::Meta, Write::Put { key: PLACE, value: &place.to_le_bytes() });
        prop_assert_eq!(image.verify(&mut |_, _| ()).unwrap().findings, []);
        check_histories(&image, &events);
        // Going on from there writes the same entries again.
        commit(&image, &more[events.len()..], 2, CommitterOptions { index_rows: 2, ..small() });
        check_histories(&image, &more);
        prop_assert_eq!(image.verify(&mut |_, _| ()).unwrap().findings, []);
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
fn a_place_beyond_the_log_is_refused_and_found() {
    let store = Store::in_memory().unwrap();
    commit(&store, &plain_history(9), 3, small());
    for (value, found) in [(&10_u64.to_le_bytes()[..], "younger than the log"), (b"short", "the place of the index")] {
        tamper(&store, Area::Meta, Write::Put { key: PLACE, value });
        let findings = store.verify(&mut |_, _| ()).unwrap().findings;
        assert!(findings.len() == 1 && findings[0].what.contains(found), "{findings:?}");
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
    meta.retain(|(key, _)| key == PLACE);
    commit(&store, &events[20..], 3, CommitterOptions { index_rows: usize::MAX, ..small() });
    tamper(&store, Area::Meta, Write::Put { key: PLACE, value: &meta[0].1 });
    drop(store);
    std::fs::write(dir.path().join("log/table.new"), "torn").unwrap();
    for read_only in [true, false] {
        let store = open(false, read_only);
        check_histories(&store, &events);
        assert_eq!(store.verify(&mut |_, _| ()).unwrap().findings, []);
    }
    assert!(!dir.path().join("log/table.new").exists());
}
