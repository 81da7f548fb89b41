//! Events for tests: arbitrary ones, and plain ones that are the same in every run.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::domain::{Change, Event};
use crate::log::Encoded;
use crate::types::{Attributes, Entity, HashKey, Kind, Nonce, Once, Principal, Sequence, Timestamp};

/// The key under which tests hash entities of arbitrary histories.
pub(super) const KEY: HashKey = HashKey::new([5; 16]);

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![(1..=8_u8).prop_map(|code| Kind::from_code(code).unwrap()), "x-[a-z]{1,10}".prop_map(Kind::extension),]
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::Removed),
        Just(Change::Registered { attributes: Attributes::none() }),
        "[ -~\u{e4}]{0,40}".prop_map(|text| Change::Registered {
            attributes: Attributes::from_canonical(format!("{{\"a\":\"{}\"}}", text.replace(['"', '\\'], "")))
        }),
    ]
}

fn onces() -> impl Strategy<Value = Option<Once>> {
    proptest::option::of(("[g-zA-Z0-9_-]{22,64}", 1..4_000_000_000_u64).prop_map(|(nonce, made_s)| Once {
        made: Timestamp::from_unix_s(made_s),
        nonce: Nonce::parse(&nonce).unwrap_or_else(|_| Nonce::parse(&"a".repeat(30)).unwrap()),
    }))
}

fn events_at(sequence: u64, time_ms: u64, names: &'static str) -> impl Strategy<Value = Event> {
    (kinds(), names, "[a-z]{0,8}", onces(), changes()).prop_map(move |(kind, name, actor, once, change)| Event {
        sequence: Sequence::new(sequence),
        time: Timestamp::from_unix_ms(time_ms),
        principal: Principal::from_name(&actor),
        once,
        entity: Entity::from_canonical(kind, &*name),
        change,
    })
}

/// Any event.
pub(super) fn events() -> impl Strategy<Value = Event> {
    (1..u64::MAX, 1..200_000_000_000_000_u64)
        .prop_flat_map(|(sequence, time_ms)| events_at(sequence, time_ms, "[ -~\u{fc}\u{4e2d}]{0,60}"))
}

/// The first events of a log: dense, with times that stand still or advance, on few entities.
pub(super) fn histories(lengths: Range<usize>) -> impl Strategy<Value = Vec<Event>> {
    vec((events_at(1, 1, "[a-d]"), 0..3_u64), lengths).prop_map(|drafts| {
        let (mut sequence, mut time_ms) = (Sequence::ZERO, 1_756_807_200_000);
        let mut history = Vec::new();
        for (mut event, later) in drafts {
            sequence = sequence.next();
            time_ms += later;
            event.sequence = sequence;
            event.time = Timestamp::from_unix_ms(time_ms);
            history.push(event);
        }
        history
    })
}

/// `count` events that are the same in every run, two to a millisecond, on three entities.
pub(super) fn plain_history(count: u64) -> Vec<Event> {
    (1..=count)
        .map(|sequence| Event {
            sequence: Sequence::new(sequence),
            time: Timestamp::from_unix_ms(1_756_807_200_000 + sequence / 2),
            principal: Principal::from_name(if sequence % 2 == 0 { "alice" } else { "" }),
            once: None,
            entity: Entity::from_canonical(Kind::Domain, &*format!("host{}.example", sequence % 3)),
            change: if sequence % 4 == 0 {
                Change::Removed
            } else {
                Change::Registered { attributes: Attributes::from_canonical(format!("{{\"n\":{sequence}}}")) }
            },
        })
        .collect()
}

/// The events as the shards hand them over.
pub(super) fn encoded(key: &HashKey, events: &[Event]) -> Encoded {
    events.iter().map(|event| (key.hash(event.entity.as_str()), event)).collect()
}
