//! Tests of `recover`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::arbitrary::{histories, plain_history};
use super::super::fields::{SEAL_BYTES, seal};
use super::super::fixtures::{commit, content, delete, send, small, start, tamper};
use super::super::{Append, SnapshotWriter, Write};
use super::*;
use crate::domain::{Event, Standing, apply};
use crate::types::{Fingerprint, HashKey, Kind};

/// What is known of an entity, owned.
type Known = (Kind, bool, Sequence, Timestamp, String, Option<Fingerprint>);

fn known(standing: &Standing<'_>) -> Known {
    let Standing { kind, registered, sequence, updated, registrant, attributes } = standing;
    (kind.clone(), *registered, *sequence, *updated, (*registrant).to_owned(), *attributes)
}

/// The state that recovery gives, taken in as an engine would.
fn recovered(store: &Store) -> Result<(BTreeMap<String, Known>, Recovery), LogError> {
    let (key, mut state, mut announced) = (store.identity().hash_key, BTreeMap::new(), 0);
    let mut take = |piece: Recovered<'_>| match piece {
        Recovered::Entry(entry) => {
            let SnapshotEntry { kind, registered, sequence, time, registrant, attributes, .. } = &entry;
            let known = (kind.clone(), *registered, *sequence, *time, (*registrant).to_owned(), *attributes);
            state.insert(entry.text.to_owned(), known);
        }
        Recovered::Snapshot(records) => announced = records,
        Recovered::Nonce(_) => {}
        Recovered::Event(_, event) => {
            state.insert(event.entity.to_owned(), known(&event.standing(key)));
        }
    };
    let recovery = store.recover(&mut take, &mut |done, total| assert!(done <= total))?;
    assert!(recovery.snapshot_damage.is_some() || announced == recovery.snapshot_records.min(recovery.last.value()));
    Ok((state, recovery))
}

fn replayed_from_nothing(key: HashKey, events: &[Event]) -> BTreeMap<String, Known> {
    events.iter().map(|event| (event.entity.as_str().to_owned(), known(&apply(event, key)))).collect()
}

/// What two shards would send if each entity was copied after `copied_at(entity)` events had taken effect.
fn snapshot(
    store: &Store,
    number: u64,
    events: &[Event],
    start: u64,
    mut copied_at: impl FnMut() -> usize,
) -> Vec<Append> {
    let mut appends = Vec::new();
    let names: std::collections::BTreeSet<&str> = events.iter().map(|event| event.entity.as_str()).collect();
    for shard in 0..2_u16 {
        let mut writer = SnapshotWriter::new(number, shard);
        for (index, name) in names.iter().enumerate() {
            if index % 2 != usize::from(shard) {
                continue;
            }
            let seen = &events[..copied_at()];
            let Some(last) = seen.iter().rev().find(|event| event.entity.as_str() == *name) else { continue };
            let standing = apply(last, store.identity().hash_key);
            writer.entry(&SnapshotEntry {
                hash: store.identity().hash_key.hash(name),
                kind: standing.kind,
                text: name,
                registered: standing.registered,
                sequence: standing.sequence,
                time: standing.updated,
                registrant: standing.registrant,
                attributes: standing.attributes,
            });
            appends.extend(writer.take_chunk().map(Append::Snapshot));
        }
        appends.push(Append::SnapshotEnd(writer.end(2, Sequence::new(start))));
    }
    appends
}

proptest! {
    /// The copies are made at any time after the start, each at its own.
    #[test]
    fn snapshot_and_tail_give_what_replay_from_nothing_gives(
        events in histories(2..60),
        start_at: prop::sample::Index,
        later in proptest::collection::vec(any::<prop::sample::Index>(), 8),
    ) {
        let store = Store::in_memory().unwrap();
        let begun = start_at.index(events.len());
        let mut later = later.iter();
        let copied_at = || begun + later.next().map_or(0, |later| later.index(events.len() - begun + 1));
        let appends = snapshot(&store, 1, &events, begun as u64, copied_at);
        let (committer, _) = start(&store, small());
        let encoded = |events: &[Event]| super::super::arbitrary::encoded(&store.identity().hash_key, events);
        send(&committer, Append::Events(encoded(&events[..begun])));
        appends.into_iter().for_each(|append| send(&committer, append));
        send(&committer, Append::Events(encoded(&events[begun..])));
        committer.stop().unwrap();

        let (state, recovery) = recovered(&store).unwrap();
        prop_assert_eq!(state, replayed_from_nothing(store.identity().hash_key, &events));
        prop_assert_eq!(recovery.snapshot_sequence.value(), begun as u64);
        prop_assert_eq!(recovery.tail_events, (events.len() - begun) as u64);
        prop_assert_eq!(recovery.last_time, events.last().unwrap().time);
        prop_assert_eq!(recovery.head_digest, store.head().unwrap().digest);
        prop_assert_eq!((recovery.snapshot_damage, recovery.next_snapshot), (None, 2));
    }
}

proptest! {
    /// A row that is no chunk, wherever it sorts, keeps no store from starting, and a check tells of it. The next snapshot
    /// is used all the same.
    #[test]
    fn what_stands_beside_snapshots_does_no_harm(
        number in prop_oneof![0..9_u64, any::<u64>()],
        tail in proptest::collection::vec(any::<u8>(), 0..9),
        cut in 0..9_usize,
    ) {
        let mut key = [&number.to_be_bytes()[..], &tail].concat();
        key.truncate(if tail.is_empty() { cut } else { key.len() });
        prop_assume!(key.len() != 12 && number < u64::MAX);
        let (store, events) = with_snapshot();
        tamper(&store, Area::State, Write::Put { key: &key, value: b"" });
        prop_assert!(!store.verify(&mut |_, _| ()).unwrap().is_sound());
        let (state, recovery) = recovered(&store).unwrap();
        let expected = replayed_from_nothing(store.identity().hash_key, &events);
        prop_assert_eq!(&state, &expected);
        let (committer, _) = start(&store, small());
        snapshot(&store, recovery.next_snapshot, &events, 9, || 9).into_iter().for_each(|append| send(&committer, append));
        committer.stop().unwrap();
        let (state, recovery) = recovered(&store).unwrap();
        prop_assert_eq!((recovery.snapshot_damage, recovery.tail_events), (None, 1));
        prop_assert_eq!(state, expected);
    }
}

/// Ten events, with a complete snapshot of the first six.
fn with_snapshot() -> (Store, Vec<Event>) {
    let events = plain_history(10);
    let store = Store::in_memory().unwrap();
    commit(&store, &events, 3, small());
    let (committer, _) = start(&store, small());
    snapshot(&store, 7, &events, 6, || 6).into_iter().for_each(|append| send(&committer, append));
    committer.stop().unwrap();
    (store, events)
}

#[test]
fn an_empty_store_recovers_to_nothing() {
    let (state, recovery) = recovered(&Store::in_memory().unwrap()).unwrap();
    assert!(state.is_empty());
    assert_eq!((recovery.last, recovery.last_time, recovery.next_snapshot), (Sequence::ZERO, Timestamp::ZERO, 1));
    assert_eq!(recovery.head_digest, BatchDigest::NONE);
}

#[test]
fn a_snapshot_without_a_tail_keeps_time_and_head() {
    let (store, events) = with_snapshot();
    let (committer, _) = start(&store, small());
    snapshot(&store, 8, &events, 10, || 10).into_iter().for_each(|append| send(&committer, append));
    committer.stop().unwrap();
    let (state, recovery) = recovered(&store).unwrap();
    assert_eq!(state, replayed_from_nothing(store.identity().hash_key, &events));
    assert_eq!((recovery.last, recovery.last_time, recovery.tail_events), (Sequence::new(10), events[9].time, 0));
}

#[test]
fn a_damaged_snapshot_is_told_and_replayed_over() {
    let chunks = content(&with_snapshot().0, Area::State);
    for damage in 0..4 {
        let (store, events) = with_snapshot();
        // Chunks name the hash key of their store, so they are taken from this one.
        let own = content(&store, Area::State);
        assert_eq!(own.len(), chunks.len());
        let (key, value) = &own[1];
        let mut changed = value.clone();
        changed[30] ^= 1;
        match damage {
            0 => delete(&store, Area::State, key),
            1 => tamper(&store, Area::State, Write::Put { key, value: &changed }),
            2 => delete(&store, Area::State, &own[2].0),
            _ => tamper(&store, Area::Meta, Write::Put { key: Marker::KEY, value: b"nonsense" }),
        }
        let (state, recovery) = recovered(&store).unwrap();
        assert!(recovery.snapshot_damage.is_some(), "{damage}");
        assert_eq!(state, replayed_from_nothing(store.identity().hash_key, &events), "{damage}");
        assert_eq!((recovery.tail_events, recovery.snapshot_sequence), (10, Sequence::ZERO));
        assert_eq!(recovery.next_snapshot, 8);
        assert_eq!(store.verify(&mut |_, _| ()).unwrap().findings.len(), 1);
    }
}

/// As a store of an earlier version is started: nothing is damaged, and nobody is told that it were.
#[test]
fn a_snapshot_of_an_earlier_version_is_replayed_over_and_no_damage() {
    let (store, events) = with_snapshot();
    for version in [1, 0, 3] {
        for (key, value) in content(&store, Area::State) {
            let mut old = value[..value.len() - SEAL_BYTES].to_vec();
            old[0] = version;
            seal(&mut old, 0);
            tamper(&store, Area::State, Write::Put { key: &key, value: &old });
        }
        let (state, recovery) = recovered(&store).unwrap();
        assert_eq!(recovery.snapshot_damage == Some(LogError::OldSnapshot), version == 1);
        assert_eq!(state, replayed_from_nothing(store.identity().hash_key, &events));
        assert_eq!((recovery.tail_events, recovery.next_snapshot), (10, 8));
        let report = store.verify(&mut |_, _| ()).unwrap();
        assert_eq!((report.snapshot_is_old, report.is_sound()), (version == 1, version == 1));
    }
}

/// The second line of defence, since a log that lost its end is damaged in itself.
#[test]
fn a_record_that_is_younger_than_the_log_is_damage() {
    for younger in [None, Some(true), Some(false)] {
        let events = plain_history(10);
        let store = Store::in_memory().unwrap();
        commit(&store, &events, 3, small());
        let end = 8;
        let mut writer = SnapshotWriter::new(1, 0);
        let key = store.identity().hash_key;
        // The younger record comes first, lest one that is old enough be asked instead.
        for at in [if younger == Some(true) { 10 } else { end }, 1] {
            let event = events.iter().find(|event| event.sequence.value() == at).unwrap();
            let name = event.entity.as_str();
            writer.entry(&SnapshotEntry::of(key.hash(name), name, &apply(event, key)));
        }
        for at in [if younger == Some(false) { 10 } else { end }, 1] {
            let (sequence, time) = (Sequence::new(at), events[0].time);
            writer.nonce(&SnapshotNonce { nonce: u128::from(at), fingerprint: 1, sequence, time });
        }
        let (committer, _) = start(&store, small());
        send(&committer, Append::Snapshot(writer.take_chunk().unwrap()));
        send(&committer, Append::SnapshotEnd(writer.end(1, Sequence::new(3))));
        committer.stop().unwrap();
        let marker = store.marker().unwrap().unwrap();
        let loaded = store.load(&marker, Sequence::new(end), &mut |_| (), &mut |_| ());
        assert_eq!(loaded.is_err(), younger.is_some(), "{younger:?} {loaded:?}");
    }
}

#[test]
fn damage_in_the_tail_is_an_error_with_its_place() {
    for index in 3..5 {
        let (store, _) = with_snapshot();
        let (key, _) = content(&store, Area::Log)[index].clone();
        delete(&store, Area::Log, &key);
        let first = u64::from_be_bytes(key.try_into().unwrap());
        let error = recovered(&store).map(drop);
        assert!(matches!(error, Err(LogError::Corrupt { sequence, .. }) if sequence.value() == first), "{error:?}");
    }
}

#[test]
fn a_batch_before_the_tail_that_is_gone_or_changed_is_noticed() {
    let (store, _) = with_snapshot();
    let (key, _) = content(&store, Area::Log)[2].clone();
    delete(&store, Area::Log, &key);
    assert!(matches!(recovered(&store), Err(LogError::Corrupt { .. })));
}
