//! Tests of `reader`.

use std::sync::mpsc;

use proptest::prelude::*;

use super::super::arbitrary::{histories, plain_history};
use super::super::fixtures::{content, delete, holding, index_rows, named, put_index, tamper};
use super::super::index::{hash_of, row};
use super::super::{Question, ReadJob, ReaderPool, Reading, Write};
use super::*;
use crate::types::{Entity, Kind};

/// The stupid way: filter all events, cut off what is over the limit.
fn expected(events: &[Event], name: &str, page: &Page, up_to: u64) -> Vec<Event> {
    let mut expected: Vec<Event> = events
        .iter()
        .filter(|event| event.entity.as_str() == name && event.sequence.value() <= up_to)
        .filter(|event| page.since.is_none_or(|since| event.time >= since))
        .filter(|event| page.until.is_none_or(|until| event.time <= until))
        .cloned()
        .collect();
    if page.order == Order::Descending {
        expected.reverse();
    }
    expected
}

fn moments() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::of((0..80_u64).prop_map(|ms| Timestamp::from_unix_ms(1_756_807_199_995 + ms)))
}

proptest! {
    #[test]
    fn pages_joined_are_the_filtered_log(
        events in histories(1..60),
        name in "[a-d]",
        limit in 1..8_usize,
        descending: bool,
        since in moments(),
        until in moments(),
        up_to in 0..60_u64,
    ) {
        let store = holding(&events);
        let history = History::new(store.clone());
        let subject = named(&store, &Entity::from_canonical(Kind::Domain, &*name));
        let order = if descending { Order::Descending } else { Order::Ascending };
        let up_to = up_to.min(events.len() as u64);
        let mut page = Page { limit, order, after: None, since, until };
        let mut joined = Vec::new();
        loop {
            let read = history.page(&subject, &page, Sequence::new(up_to)).unwrap();
            prop_assert!(read.events.len() <= limit);
            joined.extend(read.events);
            let all = expected(&events, &name, &page, up_to).len();
            prop_assert_eq!(read.next.is_some(), joined.len() < all, "whether more follow");
            let Some(next) = read.next else { break };
            prop_assert_eq!(joined.last().map(|event| event.sequence), Some(next));
            page.after = Some(next);
        }
        prop_assert_eq!(joined, expected(&events, &name, &page, up_to));
    }

    /// Hashes of different names may be the same: the index has both, and a history only its own.
    #[test]
    fn entities_of_one_hash_keep_their_histories(events in histories(1..60), limit in 1..8_usize, descending: bool) {
        let store = holding(&events);
        let history = History::new(store.clone());
        let [subject, other] = ["a", "b"].map(|name| named(&store, &Entity::from_canonical(Kind::Domain, name)));
        let mut rows = index_rows(&store);
        let others: Vec<Row> = rows.iter().filter(|row| hash_of(row) == other.hash).copied().collect();
        rows.extend(others.iter().map(|other| row(subject.hash, sequence_of(other), position_of(other))));
        put_index(&store, rows, events.len() as u64);
        let order = if descending { Order::Descending } else { Order::Ascending };
        let mut page = Page { limit, order, after: None, since: None, until: None };
        let mut joined = Vec::new();
        loop {
            let read = history.page(&subject, &page, Sequence::new(events.len() as u64)).unwrap();
            joined.extend(read.events);
            let Some(next) = read.next else { break };
            page.after = Some(next);
        }
        prop_assert_eq!(joined, expected(&events, "a", &page, events.len() as u64));
    }

    /// An event is found by its place, and nobody is given that of another entity, or one that is not there.
    #[test]
    fn an_event_is_found_by_its_place(events in histories(1..40), at: prop::sample::Index, name in "[a-d]") {
        let store = holding(&events);
        let history = History::new(store.clone());
        let event = at.get(&events);
        let subject = named(&store, &Entity::from_canonical(Kind::Domain, &*name));
        let found = history.event_at(&subject, event.sequence);
        if event.entity.as_str() == name {
            prop_assert_eq!(&found.unwrap(), event);
        } else {
            prop_assert!(matches!(found, Err(LogError::Corrupt { .. })), "{found:?}");
        }
        let behind = history.event_at(&subject, Sequence::new(events.len() as u64 + 1));
        prop_assert!(matches!(behind, Err(LogError::Corrupt { .. })), "{behind:?}");
    }

    #[test]
    fn the_standing_at_a_moment_is_the_last_event_before_it(
        events in histories(1..60),
        name in "[a-d]",
        sequence in 0..70_u64,
        moment in moments(),
        up_to in 0..60_u64,
    ) {
        let store = holding(&events);
        let history = History::new(store.clone());
        let subject = named(&store, &Entity::from_canonical(Kind::Domain, &*name));
        let up_to = up_to.min(events.len() as u64);
        let all = Page { limit: 1, order: Order::Ascending, after: None, since: None, until: None };
        let of_entity = expected(&events, &name, &all, up_to);
        let by_sequence = of_entity.iter().rfind(|event| event.sequence.value() <= sequence);
        let at = At::Sequence(Sequence::new(sequence));
        let found = history.standing_at(&subject, at, Sequence::new(up_to)).unwrap();
        prop_assert_eq!(found.as_ref(), by_sequence);
        if let Some(moment) = moment {
            let by_time = of_entity.iter().rfind(|event| event.time <= moment);
            let found = history.standing_at(&subject, At::Time(moment), Sequence::new(up_to)).unwrap();
            prop_assert_eq!(found.as_ref(), by_time);
        }
    }

    /// An entry says how far before its event the batch begins: at the first event of the log or behind it.
    #[test]
    fn an_entry_points_into_the_log(position: u16, first in -3..4_i64) {
        let sequence = Sequence::new(u64::from(position).saturating_add_signed(first));
        let expected = u64::try_from(first).ok().filter(|first| *first > 0);
        let entry = row(EntityHash::from_be_bytes([7; 16]), sequence, position);
        prop_assert_eq!(batch_of(&entry).ok(), expected.map(Sequence::new));
    }

    /// As if every name had the same hash: histories do not mix, and pages still join.
    #[test]
    fn names_with_the_same_hash_keep_their_histories_apart(events in histories(1..40), name in "[a-d]", limit in 1..5_usize) {
        let store = holding(&events);
        let hash = EntityHash::from_be_bytes([7; 16]);
        let rows = index_rows(&store);
        let alike = rows.iter().map(|other| row(hash, sequence_of(other), position_of(other)));
        put_index(&store, alike.collect(), events.len() as u64);
        let subject = Named { hash, entity: Entity::from_canonical(Kind::Domain, &*name) };
        for order in [Order::Ascending, Order::Descending] {
            let mut page = Page { limit, order, after: None, since: None, until: None };
            let mut joined = Vec::new();
            loop {
                let read = History::new(store.clone()).page(&subject, &page, Sequence::new(events.len() as u64)).unwrap();
                joined.extend(read.events);
                page.after = read.next;
                if page.after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(joined, expected(&events, &name, &page, u64::MAX));
        }
    }
}

#[test]
fn cursors_from_anywhere_are_harmless() {
    let events = plain_history(9);
    let store = holding(&events);
    let subject = named(&store, &events[0].entity);
    for order in [Order::Ascending, Order::Descending] {
        for (after, limit) in [(0, 0), (0, usize::MAX), (u64::MAX, 3), (100, usize::MAX)] {
            let page = Page { limit, order, after: Some(Sequence::new(after)), since: None, until: None };
            let read = History::new(store.clone()).page(&subject, &page, Sequence::new(9)).unwrap();
            let whole = (order == Order::Ascending) == (after == 0);
            assert_eq!(read.events.is_empty(), !whole, "{order:?} after {after}");
        }
    }
}

#[test]
fn an_index_that_names_what_is_not_there_is_corrupt() {
    let events = plain_history(9);
    let store = holding(&events);
    let subject = named(&store, &events[4].entity);
    let all = Page { limit: 10, order: Order::Ascending, after: None, since: None, until: None };
    let read = || History::new(store.clone()).page(&subject, &all, Sequence::new(9));
    assert!(read().is_ok());
    let (key, batch) = content(&store, Area::Log)[2].clone();
    delete(&store, Area::Log, &key);
    assert!(matches!(read(), Err(LogError::Corrupt { sequence, .. }) if sequence == Sequence::new(5)));
    let mut changed = batch.clone();
    changed[100] ^= 1;
    tamper(&store, Area::Log, Write::Put { key: &key, value: &changed });
    assert!(matches!(read(), Err(LogError::Corrupt { .. })));
    tamper(&store, Area::Log, Write::Put { key: &key, value: &batch });
    assert!(read().is_ok());
}

#[test]
fn a_pool_answers_every_question_and_gives_back_what_does_not_fit() {
    let events = plain_history(9);
    let store = holding(&events);
    let subject = named(&store, &events[0].entity);
    let pool = ReaderPool::start(&store, 1, 1).unwrap();
    let (answers, answered) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let job = |reply| ReadJob {
        question: Question::StandingAt { subject: subject.clone(), at: At::Sequence(Sequence::new(1)) },
        up_to: Sequence::new(9),
        reply,
    };
    let held = {
        let answers = answers.clone();
        job(Box::new(move |found| {
            answers.send(found).unwrap();
            gate.recv().unwrap();
        }))
    };
    assert!(pool.try_submit(held).is_ok());
    // The only reader has taken the first job and stands at the gate; the queue has room for one more.
    let first = answered.recv().unwrap();
    let plain = || {
        let answers = answers.clone();
        job(Box::new(move |found| answers.send(found).unwrap()))
    };
    assert!(pool.try_submit(plain()).is_ok());
    let refused = pool.try_submit(plain());
    assert_eq!(refused.err().map(|job| job.up_to), Some(Sequence::new(9)));
    release.send(()).unwrap();
    drop(pool);
    assert_eq!(first, Ok(Reading::StandingAt(Some(events[0].clone()))));
    assert_eq!(answered.try_iter().collect::<Vec<_>>(), [first]);
}
