//! What every log does: one battery of tests, stamped on the one in memory and on RocksDB.

use std::ops::ControlFlow;

use crate::domain::{Order, Page};
use crate::types::{Sequence, Timestamp};

use super::arbitrary::plain_history;
use super::fixtures::{commit, content, named, replayed, small};
use super::key::entity_key;
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
    ranges_are_scanned_both_ways
    an_entitys_index_is_scanned_alone
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

fn an_entitys_index_is_scanned_alone(store: &Store) {
    let hash = |byte: u8| crate::types::EntityHash::from_be_bytes([byte; 16]);
    let key = |byte, sequence| entity_key(hash(byte), Sequence::new(sequence)).to_vec();
    let all = [key(1, 1), key(1, 4), key(2, 2), key(2, 3), key(2, 9), key(3, 1)];
    let pairs: Vec<(&[u8], &[u8])> = all.iter().map(|key| (&key[..], &b""[..])).collect();
    put(store, Area::Entity, &pairs);
    let scan = Scan::range(Area::Entity, key(2, 1), key(2, 9));
    assert_eq!(keys(store, &scan), all[2..4]);
    assert_eq!(keys(store, &scan.backwards()), [key(2, 3), key(2, 2)]);
    assert_eq!(keys(store, &Scan::range(Area::Entity, key(2, 4), key(2, 99)).backwards()), [key(2, 9)]);
    assert!(keys(store, &Scan::range(Area::Entity, key(4, 1), key(4, 9))).is_empty());
    assert!(keys(store, &Scan::range(Area::Entity, key(4, 1), key(4, 9)).backwards()).is_empty());
    assert_eq!(keys(store, &Scan::all_from(Area::Entity, [])), all);
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
        Recovered::Entry(_) | Recovered::Nonce(_) => panic!("there is no snapshot"),
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
