//! What every log does: one battery of tests, stamped on the one in memory and on RocksDB.

use std::ops::ControlFlow;

use crate::domain::{Order, Page};
use crate::types::{Sequence, Timestamp};

use super::arbitrary::plain_history;
use super::fixtures::{commit, content, named, replayed, small};
use super::writes::{Area, Scan, Writes};
use super::{CommitterOptions, History, OpenOptions, Recovered, Store};

macro_rules! battery {
    ($($test:ident)*) => {
        mod memory {
            $(#[test] fn $test() { super::$test(&super::Store::in_memory().unwrap()); })*
        }
        mod rocks {
            $(#[test] fn $test() {
                let dir = tempfile::tempdir().unwrap();
                let options = super::OpenOptions { create: true, read_only: false };
                super::$test(&super::Store::open(dir.path(), options).unwrap());
            })*
        }
    };
}

battery! {
    values_are_replaced_and_ranges_deleted
    many_keys_are_read_in_their_order
    ranges_are_scanned_both_ways
    what_was_taken_in_is_there_until_it_is_dropped
    a_visitor_may_read_and_stop
    what_is_committed_comes_back
}

fn put(store: &Store, area: Area, pairs: &[(&[u8], &[u8])]) {
    let mut writes = Writes::new();
    pairs.iter().for_each(|(key, value)| writes.put(area, key, value));
    store.write(&writes).unwrap();
}

fn keys(store: &Store, scan: &Scan) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    store
        .scan(scan, |key, _| {
            keys.push(key.to_vec());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    keys
}

fn values_are_replaced_and_ranges_deleted(store: &Store) {
    put(store, Area::State, &[(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"")]);
    put(store, Area::Tree, &[(b"b", b"other")]);
    let mut writes = Writes::new();
    writes.put(Area::State, b"a", b"new");
    writes.delete_range(Area::State, b"b", b"d");
    store.write(&writes).unwrap();
    assert_eq!(content(store, Area::State), [(b"a".to_vec(), b"new".to_vec()), (b"d".to_vec(), Vec::new())]);
    assert_eq!(content(store, Area::Tree), [(b"b".to_vec(), b"other".to_vec())]);
    assert_eq!(store.read(Area::State, b"a", <[u8]>::to_vec), Ok(Some(b"new".to_vec())));
    assert_eq!(store.read(Area::State, b"b", <[u8]>::to_vec), Ok(None));
    assert!(store.size_bytes(Area::State).unwrap() > 0);
}

fn many_keys_are_read_in_their_order(store: &Store) {
    let key = |number: u64| number.to_be_bytes();
    for area in [Area::Log, Area::Meta] {
        let long: Vec<Vec<u8>> = (0..6_u8).map(|number| vec![number; 40 * usize::from(number)]).collect();
        let keys: Vec<[u8; 8]> = (0..6).map(key).collect();
        let pairs: Vec<(&[u8], &[u8])> = keys.iter().zip(&long).map(|(key, value)| (&key[..], &value[..])).collect();
        put(store, area, &pairs);
        let shown_of = |numbers: &[u64]| {
            let keys: Vec<[u8; 8]> = numbers.iter().map(|number| key(*number)).collect();
            let mut shown = Vec::new();
            let count = store.read_all(area, &keys, |number, value| {
                assert_eq!(number, shown.len());
                shown.push(value.to_vec());
                Ok(())
            });
            assert_eq!(count, Ok(shown.len()));
            shown
        };
        for numbers in [&[][..], &[3], &[0, 1, 2, 3, 4, 5], &[5, 3, 1], &[2, 2, 4]] {
            let expected: Vec<Vec<u8>> =
                numbers.iter().map(|number| long[usize::try_from(*number).unwrap()].clone()).collect();
            assert_eq!(shown_of(numbers), expected, "{numbers:?}");
        }
        // What stands behind one that is missing is of no use.
        assert_eq!(shown_of(&[1, 2, 77, 3]), &long[1..3]);
        let refused = store.read_all(area, &[key(0), key(1)], |_, _| Err(super::LogError::Failed));
        assert_eq!(refused, Err(super::LogError::Failed));
    }
}

fn ranges_are_scanned_both_ways(store: &Store) {
    let all: Vec<Vec<u8>> = (0..=9_u8).map(|byte| vec![byte, 7]).collect();
    let pairs: Vec<(&[u8], &[u8])> = all.iter().map(|key| (&key[..], &b""[..])).collect();
    put(store, Area::Log, &pairs);
    for (from, to, first, behind) in [
        (&[2, 7][..], &[5, 7][..], 2, 5),
        (&[2, 8], &[5, 8], 3, 6),
        (&[0], &[10], 0, 10),
        (&[4, 7], &[4, 7], 4, 4),
        (&[6, 7], &[4, 7], 0, 0),
    ] {
        let scan = Scan::range(Area::Log, from, to);
        let mut expected = all[first..behind].to_vec();
        assert_eq!(keys(store, &scan), expected, "{scan:?}");
        expected.reverse();
        assert_eq!(keys(store, &scan.clone().backwards()), expected, "{scan:?} backwards");
    }
    assert_eq!(keys(store, &Scan::all_from(Area::Log, [3, 7])), all[3..]);
    assert_eq!(keys(store, &Scan::all_from(Area::Log, [3, 7]).backwards()).last(), Some(&all[3]));
}

fn what_was_taken_in_is_there_until_it_is_dropped(store: &Store) {
    let nothing = store.size_bytes(Area::Index);
    let rows = |first: u8| [[first, 1], [first, 2], [first, 9]];
    for first in [3, 1, 2, 7, 4] {
        let keys = rows(first);
        store.ingest(Area::Index, &mut keys.iter().map(|key| (&key[..], &b"value"[..]))).unwrap();
    }
    let all = |firsts: &[u8]| firsts.iter().flat_map(|first| rows(*first)).map(Vec::from).collect::<Vec<_>>();
    assert_eq!(keys(store, &Scan::all_from(Area::Index, [])), all(&[1, 2, 3, 4, 7]));
    assert_eq!(keys(store, &Scan::range(Area::Index, [2, 2], [3, 2])), [[2, 2], [2, 9], [3, 1]]);
    assert_eq!(keys(store, &Scan::range(Area::Index, [2, 2], [3, 2]).backwards()), [[3, 1], [2, 9], [2, 2]]);
    for (from, to, left) in [(2, 3, &[1, 3, 4, 7][..]), (2, 3, &[1, 3, 4, 7]), (3, 5, &[1, 7]), (0, 255, &[])] {
        store.drop_range(Area::Index, &[from], &[to]).unwrap();
        assert_eq!(keys(store, &Scan::all_from(Area::Index, [])), all(left), "{from} to {to}");
    }
    assert_eq!(store.size_bytes(Area::Index), nothing);
}

fn a_visitor_may_read_and_stop(store: &Store) {
    put(store, Area::Access, &[(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]);
    let mut seen = Vec::new();
    store
        .scan(&Scan::all_from(Area::Access, []), |key, _| {
            seen.extend(store.read(Area::Access, key, <[u8]>::to_vec)?);
            Ok(if seen.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })
        .unwrap();
    assert_eq!(seen, [b"1", b"2"]);
    let refused = store.scan(&Scan::all_from(Area::Access, []), |_, _| Err(super::LogError::Failed));
    assert_eq!(refused, Err(super::LogError::Failed));
}

/// The whole road: committer, index, history, recovery, verification, numbers.
fn what_is_committed_comes_back(store: &Store) {
    let events = plain_history(60);
    commit(store, &events[..40], 3, small());
    // A second run goes on where the first ended, with other sizes.
    commit(store, &events[40..], 50, CommitterOptions::default());
    assert_eq!(replayed(store), Ok(events.clone()));

    let history = History::new(store.clone());
    let subject = named(store, &events[0].entity);
    let all = Page { limit: 100, order: Order::Ascending, after: None, since: None, until: None };
    let page = history.page(&subject, &all, Sequence::new(60)).unwrap();
    let expected: Vec<_> = events.iter().filter(|event| event.entity == subject.entity).cloned().collect();
    assert_eq!((page.events, page.next), (expected, None));

    let mut recovered = Vec::new();
    let mut take = |piece: Recovered<'_>| match piece {
        Recovered::Event(_, event) => recovered.push(event.into_event().unwrap()),
        Recovered::Snapshot(_) | Recovered::Entry(_) | Recovered::Nonce(_) => panic!("there is no snapshot"),
    };
    let recovery = store.recover(&mut take, &mut |_, _| ()).unwrap();
    assert_eq!(recovered, events);
    assert_eq!((recovery.last, recovery.tail_events), (Sequence::new(60), 60));

    let verification = store.verify(&mut |_, _| ()).unwrap();
    assert_eq!(verification.findings, []);
    assert_eq!((verification.events, verification.index_entries), (60, 60));
    let stat = store.stat().unwrap();
    assert_eq!(stat.head, verification.head);
    assert_eq!(stat.first_time, Some(Timestamp::from_unix_ms(1_756_807_200_000)));
}
