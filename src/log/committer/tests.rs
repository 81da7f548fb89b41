//! Tests of `committer`.

use proptest::prelude::*;

use super::super::access::AccessRecord;
use super::super::arbitrary::{encoded, histories, plain_history};
use super::super::fixtures::{FaultInjector, Listener, Told, commit, content, early, replayed, send, small, start};
use super::super::key::read_access_key;
use super::super::snapshot::{SnapshotEntry, SnapshotWriter};
use super::*;
use crate::domain::Event;
use crate::types::{EntityHash, Kind};

/// A message with these events.
fn message(store: &Store, events: &[Event]) -> Append {
    Append::Events(encoded(&store.identity().hash_key, events))
}

proptest! {
    #[test]
    fn splitting_into_messages_commits_and_batches_changes_nothing(
        events in histories(1..60),
        message_events in 1..20_usize,
        commit_events_max in 1..30_usize,
        commit_bytes_max in 1..5000_usize,
        batch_events_max in 1..20_usize,
    ) {
        let options = CommitterOptions { commit_events_max, commit_bytes_max, batch_events_max, ..small() };
        let store = Store::in_memory().unwrap();
        commit(&store, &events, message_events, options);
        prop_assert_eq!(replayed(&store), Ok(events.clone()));
        prop_assert_eq!(store.verify(&mut |_, _| ()).unwrap().findings, []);
        let head = store.head().unwrap();
        prop_assert_eq!(head.last_time, events.last().unwrap().time);
    }

    #[test]
    fn messages_in_any_order_yield_the_dense_order(order in Just((0..20_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let events = plain_history(60);
        let store = Store::in_memory().unwrap();
        let (committer, listener) = start(&store, small());
        for number in order {
            send(&committer, message(&store, &events[number * 3..number * 3 + 3]));
        }
        prop_assert_eq!(committer.stop(), Ok(Sequence::new(60)));
        prop_assert_eq!(replayed(&store), Ok(events));
        let durable: Vec<u64> = listener.told().iter().map(|told| match told {
            Told::Durable(sequence) => *sequence,
            other => panic!("{other:?}"),
        }).collect();
        prop_assert!(durable.is_sorted_by(|a, b| a < b), "{:?}", durable);
        prop_assert_eq!(durable.last(), Some(&60));
    }

    /// The committer without a thread writes the same, whenever it commits, and says how far it came.
    #[test]
    fn stepping_changes_nothing(
        events in histories(1..60),
        message_events in 1..20_usize,
        commits in proptest::collection::vec(0..3_u8, 60),
        gap in proptest::option::of(1..60_usize),
    ) {
        let store = Store::in_memory().unwrap();
        let listener = Listener::default();
        let mut committer = SteppedCommitter::new(store.clone(), small(), listener.clone(), 0).unwrap();
        let mut arriving = events.clone();
        // An event that never arrives: nothing behind it is written.
        let whole = gap.map_or(events.len(), |gap| gap.min(events.len()));
        if whole < arriving.len() {
            arriving.remove(whole);
        }
        for (some, commits) in arriving.chunks(message_events).zip(commits) {
            committer.take(message(&store, some)).unwrap();
            (0..commits).for_each(|_| committer.commit().unwrap());
        }
        prop_assert_eq!(committer.finish(), Ok(Sequence::new(whole as u64)));
        let told = listener.told();
        let durable = told.iter().rev().find(|told| matches!(told, Told::Durable(_)));
        prop_assert_eq!(durable.cloned().unwrap_or(Told::Durable(0)), Told::Durable(whole as u64));
        prop_assert_eq!(replayed(&store), Ok(events[..whole].to_vec()));
        prop_assert_eq!(store.verify(&mut |_, _| ()).unwrap().findings, []);
    }

    /// Fail each write in turn: what was called durable is on disk, nothing is written after, and the rest is whole.
    #[test]
    fn a_failed_write_ends_all_writing(writes in 1..17_i64, panics: bool) {
        let faults = FaultInjector::after(writes, panics);
        let store = Store::with_log(Box::new(faults.clone())).unwrap();
        let events = plain_history(60);
        // The index is written at the end, so that no thread of its own tries to write while the committer fails.
        let options = CommitterOptions { index_rows: usize::MAX, ..small() };
        let (committer, listener) = start(&store, options);
        for part in events.chunks(4) {
            // After the failure the lane is closed.
            let _ = committer.try_send(message(&store, part));
        }
        let outcome = committer.stop();
        let told = listener.told();
        let (last, before) = told.split_last().unwrap();
        let durable = before.iter().map(|told| match told {
            Told::Durable(sequence) => *sequence,
            other => panic!("{other:?}"),
        }).max().unwrap_or(0);
        // One write makes the identity, twelve commits are the fewest, and two more write the index and its place.
        prop_assert!(outcome.is_err() || writes >= 15);
        if outcome.is_err() {
            prop_assert!(matches!(last, Told::Failed(_)), "{:?}", last);
            prop_assert_eq!(store.write(&Writes::new()), Err(LogError::Failed));
            prop_assert_eq!(faults.tried_after_failure(), 0);
        } else {
            prop_assert_eq!(outcome, Ok(Sequence::new(60)));
        }
        let survivor = faults.survivor();
        prop_assert_eq!(survivor.verify(&mut |_, _| ()).unwrap().findings, []);
        let on_disk = replayed(&survivor).unwrap();
        prop_assert!(on_disk.len() as u64 >= durable);
        prop_assert_eq!(&on_disk[..], &events[..on_disk.len()]);
    }
}

#[test]
fn what_has_a_gap_before_it_is_not_committed() {
    let store = Store::in_memory().unwrap();
    let (committer, listener) = start(&store, small());
    let events = plain_history(5);
    send(&committer, message(&store, &events[3..]));
    send(&committer, message(&store, &events[..2]));
    assert_eq!(committer.stop(), Ok(Sequence::new(2)));
    assert_eq!(replayed(&store).unwrap().len(), 2);
    assert_eq!(listener.told().last(), Some(&Told::Durable(2)));
}

#[test]
fn a_place_that_is_taken_ends_all_writing() {
    let store = Store::in_memory().unwrap();
    let (committer, listener) = start(&store, small());
    let events = plain_history(2);
    send(&committer, message(&store, &events));
    send(&committer, message(&store, &events));
    let error = LogError::OutOfOrder { sequence: Sequence::new(1), what: "its place is taken" };
    assert_eq!(committer.stop(), Err(error.clone()));
    assert_eq!(listener.told().last(), Some(&Told::Failed(error)));
    assert_eq!(replayed(&store).map(|events| events.len() % 2), Ok(0));
}

#[test]
fn a_full_lane_gives_the_message_back() {
    let (sender, receiver) = bounded(1);
    let lane = Lane(sender);
    assert!(lane.try_send(Append::Stop).is_ok());
    assert!(matches!(lane.try_send(Append::Stop), Err(NotSent::Full(Append::Stop))));
    drop(receiver);
    assert!(matches!(lane.try_send(Append::Stop), Err(NotSent::Closed(Append::Stop))));
}

#[test]
fn a_clock_that_was_set_back_does_not_break_the_order_of_commits() {
    let late = || Timestamp::from_unix_ms(2_000_000_000_000);
    let store = Store::in_memory().unwrap();
    let events = plain_history(4);
    commit(&store, &events[..2], 2, CommitterOptions { now: late, ..small() });
    commit(&store, &events[2..], 2, small());
    assert_eq!(store.head().unwrap().committed, late());
    assert_eq!(store.verify(&mut |_, _| ()).unwrap().findings, []);
}

#[test]
fn the_access_journal_is_kept_for_its_time_and_no_longer() {
    let at = |ms| Timestamp::from_unix_ms(ms);
    let block = |ms| {
        let mut block = AccessBlock::new(1, at(ms));
        block.push(&AccessRecord { time: at(ms + 1), command: 1, status: 200, entity: 2, peer: 3 });
        Append::Access(block)
    };
    let options =
        CommitterOptions { access_retention_ms: 1000, now: || Timestamp::from_unix_ms(10_000_000), ..small() };
    let store = Store::in_memory().unwrap();
    let (committer, listener) = start(&store, CommitterOptions { now: early, ..options });
    for ms in [9_998_000, 9_998_999, 9_999_000, 9_999_500, 9_999_500] {
        send(&committer, block(ms));
    }
    assert_eq!(committer.stop(), Ok(Sequence::ZERO));
    assert_eq!(listener.told(), []);
    assert_eq!(content(&store, Area::Access).len(), 5);
    // The next run deletes what is too old along with its first write.
    commit(&store, &plain_history(1), 1, options);
    let starts: Vec<u64> =
        content(&store, Area::Access).iter().map(|(key, _)| read_access_key(key).unwrap().0.unix_ms()).collect();
    assert_eq!(starts, [9_999_000, 9_999_500, 9_999_500]);
    let mut seen = Vec::new();
    let visit = |shard, record: AccessRecord| {
        seen.push((shard, record.time.unix_ms(), record.status));
        std::ops::ControlFlow::Continue(())
    };
    store.accesses(at(9_999_001), visit).unwrap();
    assert_eq!(seen, [(1, 9_999_501, 200), (1, 9_999_501, 200)]);
}

/// The part of one shard: two chunks with an entity each, the younger at `highest`.
fn shard_part(snapshot: u64, shard: u16, start: u64, highest: u64) -> Vec<Append> {
    let mut writer = SnapshotWriter::new(snapshot, shard);
    let mut appends = Vec::new();
    for sequence in [1, highest] {
        writer.entry(&SnapshotEntry {
            hash: EntityHash::from_be_bytes([1; 16]),
            kind: Kind::Domain,
            text: "host.example",
            registered: true,
            sequence: Sequence::new(sequence),
            time: Timestamp::from_unix_ms(1),
            registrant: "",
            attributes: None,
        });
        appends.extend(writer.take_chunk().map(Append::Snapshot));
    }
    appends.push(Append::SnapshotEnd(writer.end(2, Sequence::new(start))));
    appends
}

#[test]
fn a_snapshot_counts_when_all_shards_sent_all_and_its_events_are_durable() {
    let store = Store::in_memory().unwrap();
    let (committer, listener) = start(&store, CommitterOptions { commit_events_max: 100, ..small() });
    let events = plain_history(10);
    send(&committer, message(&store, &events[..5]));
    shard_part(3, 0, 4, 5).into_iter().chain(shard_part(3, 1, 2, 8)).for_each(|append| send(&committer, append));
    // The copy of shard 1 holds event 8, which is not durable yet.
    send(&committer, message(&store, &events[5..7]));
    send(&committer, message(&store, &events[7..]));
    assert_eq!(committer.stop(), Ok(Sequence::new(10)));
    let told = listener.told();
    let complete = told.iter().position(|told| *told == Told::SnapshotComplete(3, 2)).unwrap();
    assert!(told[..complete].iter().any(|told| matches!(told, Told::Durable(8..))), "{told:?}");
    assert_eq!(store.marker().unwrap().map(|marker| (marker.chunks, marker.records)), Some((4, 4)));

    // The next one takes the place of the first.
    let (committer, _) = start(&store, small());
    shard_part(4, 0, 10, 9).into_iter().chain(shard_part(4, 1, 10, 10)).for_each(|append| send(&committer, append));
    committer.stop().unwrap();
    assert_eq!(store.marker().unwrap().map(|marker| (marker.snapshot, marker.start)), Some((4, Sequence::new(10))));
    assert_eq!(content(&store, Area::State).len(), 4);
    assert_eq!(store.verify(&mut |_, _| ()).unwrap().findings, []);
}

#[test]
fn a_snapshot_that_ends_beyond_the_log_never_counts() {
    let store = Store::in_memory().unwrap();
    let (committer, listener) = start(&store, small());
    send(&committer, message(&store, &plain_history(5)));
    shard_part(3, 0, 4, 5).into_iter().chain(shard_part(3, 1, 2, 6)).for_each(|append| send(&committer, append));
    committer.stop().unwrap();
    assert!(!listener.told().iter().any(|told| matches!(told, Told::SnapshotComplete(..))));
    assert_eq!(store.marker(), Ok(None));
}

#[test]
fn a_snapshot_is_abandoned_for_a_newer_one_and_for_a_missing_chunk() {
    let store = Store::in_memory().unwrap();
    let (committer, listener) = start(&store, small());
    send(&committer, message(&store, &plain_history(5)));
    shard_part(3, 0, 1, 1).into_iter().for_each(|append| send(&committer, append));
    shard_part(4, 0, 1, 1).into_iter().for_each(|append| send(&committer, append));
    // Too late for the older one.
    shard_part(3, 1, 1, 1).into_iter().for_each(|append| send(&committer, append));
    shard_part(4, 1, 1, 1).into_iter().skip(1).for_each(|append| send(&committer, append));
    committer.stop().unwrap();
    let told = listener.told();
    assert!(told.contains(&Told::SnapshotAbandoned(3)) && told.contains(&Told::SnapshotAbandoned(4)), "{told:?}");
    assert_eq!(store.marker(), Ok(None));
}
