//! The table against a plain map: whatever is put, both hold the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::domain::{Found, Lookups};
use crate::types::{Fingerprint, KindCode, Principal, Sequence, Timestamp};

const KEY: HashKey = HashKey::new([3; 16]);

/// A standing that owns its texts, and the name it belongs to.
#[derive(Clone, PartialEq, Debug)]
struct Put {
    name: String,
    kind: Kind,
    registered: bool,
    sequence: u64,
    registrant: String,
    attributes: Option<Fingerprint>,
}

impl Put {
    fn standing(&self) -> Standing<'_> {
        Standing {
            kind: self.kind.clone(),
            registered: self.registered,
            sequence: Sequence::new(self.sequence),
            updated: Timestamp::from_unix_ms(1_700_000_000_000 + self.sequence),
            registrant: &self.registrant,
            attributes: self.attributes,
        }
    }
}

fn print(number: u64) -> Fingerprint {
    Fingerprint::from_le_bytes(number.to_le_bytes())
}

fn any_put() -> impl Strategy<Value = Put> {
    let kind = prop_oneof![
        Just(Kind::Domain),
        Just(Kind::Ip),
        Just(Kind::extension("x-a")),
        Just(Kind::extension("x-long-extension")),
    ];
    let (name, registrant) = ("[a-c]{1,2}", "[x-z]{0,1}");
    (name, kind, any::<bool>(), 1_u64..40, registrant, prop::option::of(any::<u64>())).prop_map(
        |(name, kind, registered, sequence, registrant, attributes)| Put {
            name,
            kind,
            registered,
            sequence,
            registrant,
            attributes: attributes.map(print),
        },
    )
}

proptest! {
    /// Also where others have come meanwhile, and the index has grown for them.
    #[test]
    fn a_position_is_good_until_its_entity_is_put(puts in prop::collection::vec(any_put(), 1..60), others in 0..3000_u32) {
        let (mut table, mut plain) = (Current::new(KEY), Current::new(KEY));
        for (number, put) in puts.iter().enumerate() {
            let position = table.position(KEY.hash(&put.name), &put.name);
            prop_assert_eq!(table.standing_at(position), plain.standing(KEY.hash(&put.name), &put.name));
            for other in 0..if number == 0 { others } else { others / 100 } {
                let name = format!("other{number}-{other}");
                let other = Put { name: name.clone(), ..put.clone() };
                table.put(KEY.hash(&name), &name, &other.standing());
            }
            table.put_at(position, KEY.hash(&put.name), &put.name, &put.standing());
            plain.put(KEY.hash(&put.name), &put.name, &put.standing());
        }
        for put in &puts {
            prop_assert_eq!(table.standing(KEY.hash(&put.name), &put.name), plain.standing(KEY.hash(&put.name), &put.name));
        }
    }

    #[test]
    fn the_table_is_a_map_of_the_youngest(puts in prop::collection::vec(any_put(), 0..120)) {
        let mut table = Current::new(KEY);
        let mut model: BTreeMap<String, Put> = BTreeMap::new();
        for put in &puts {
            table.put(KEY.hash(&put.name), &put.name, &put.standing());
            if put.sequence.is_multiple_of(4) && table.may_move() {
                table.move_to(Region::huge().unwrap());
            }
            let present = model.entry(put.name.clone()).or_insert_with(|| put.clone());
            if present.sequence < put.sequence {
                *present = put.clone();
            }
        }
        prop_assert_eq!(table.len(), model.len());
        prop_assert_eq!(table.registered(), model.values().filter(|put| put.registered).count());
        for put in model.values() {
            let found = table.standing(KEY.hash(&put.name), &put.name);
            prop_assert_eq!(found, Some(put.standing()));
        }
        prop_assert_eq!(table.standing(KEY.hash("nobody"), "nobody"), None);

        let mut visited = BTreeMap::new();
        let mut walk = Some(table.walk());
        while let Some(here) = walk {
            walk = table.visit(here, 3, &mut |hash, name, standing| {
                assert_eq!(hash, KEY.hash(name));
                visited.insert(name.to_owned(), (standing.sequence, standing.registered));
            });
        }
        let expected: BTreeMap<_, _> =
            model.values().map(|put| (put.name.clone(), (Sequence::new(put.sequence), put.registered))).collect();
        prop_assert_eq!(visited, expected);
    }

    #[test]
    fn the_state_hash_sees_the_state_and_not_the_way_to_it(puts in prop::collection::vec(any_put(), 1..60), parts in 1_usize..5) {
        let mut whole = Current::new(KEY);
        let mut split: Vec<Current> = (0..parts).map(|_| Current::new(KEY)).collect();
        let mut youngest: BTreeMap<&str, &Put> = BTreeMap::new();
        for put in &puts {
            let hash = KEY.hash(&put.name);
            whole.put(hash, &put.name, &put.standing());
            if youngest.get(&*put.name).is_none_or(|present| present.sequence < put.sequence) {
                youngest.insert(&put.name, put);
            }
        }
        for put in youngest.values().rev() {
            let hash = KEY.hash(&put.name);
            split[hash.shard(parts)].put(hash, &put.name, &put.standing());
        }
        let mut sum = StateHash::default();
        split.iter().for_each(|part| sum.merge(part.state_hash()));
        prop_assert_eq!(whole.state_hash(), sum);
        let mut shares = StateHash::default();
        (0..parts).for_each(|part| shares.merge(whole.state_hash_of(part, parts)));
        prop_assert_eq!(shares, sum);

        let mut changed = (*youngest.values().next().unwrap()).clone();
        changed.sequence += 1000;
        whole.put(KEY.hash(&changed.name), &changed.name, &changed.standing());
        prop_assert_ne!(whole.state_hash(), sum);
    }
}

proptest! {
    /// As a snapshot does it: what was visited, and then every change since the walk began, is the whole.
    #[test]
    fn a_walk_and_what_changed_meanwhile_is_everything(
        puts in prop::collection::vec(any_put(), 0..120),
        begun: prop::sample::Index,
        slice in 1..5_usize,
    ) {
        let put = |table: &mut Current, put: &Put| table.put(KEY.hash(&put.name), &put.name, &put.standing());
        let (mut table, mut copy) = (Current::new(KEY), Current::new(KEY));
        // Along a log, sequences only grow.
        let puts: Vec<Put> = (1..).zip(puts).map(|(sequence, put)| Put { sequence, ..put }).collect();
        let (before, later) = puts.split_at(begun.index(puts.len() + 1));
        before.iter().for_each(|it| put(&mut table, it));
        let mut walk = Some(table.walk());
        for changed in later {
            put(&mut table, changed);
            walk = walk.and_then(|walk| table.visit(walk, slice, &mut |hash, name, standing| copy.put(hash, name, standing)));
        }
        while let Some(here) = walk {
            walk = table.visit(here, slice, &mut |hash, name, standing| copy.put(hash, name, standing));
        }
        later.iter().for_each(|it| put(&mut copy, it));
        prop_assert_eq!(copy.state_hash(), table.state_hash());
    }
}

#[test]
fn many_entities_are_found_again_after_the_index_has_grown() {
    let mut table = Current::new(KEY);
    let name = |n: u64| format!("host-{n}.example");
    for n in 1..=20_000_u64 {
        let put = Put {
            name: name(n),
            kind: Kind::Domain,
            registered: n % 3 != 0,
            sequence: n,
            registrant: String::new(),
            attributes: (n % 4 > 0).then(|| print(n)),
        };
        table.put(KEY.hash(&put.name), &put.name, &put.standing());
    }
    for n in 1..=20_000 {
        let found = table.standing(KEY.hash(&name(n)), &name(n)).unwrap();
        assert_eq!((found.sequence, found.registered), (Sequence::new(n), n % 3 != 0));
    }
}

/// Whatever becomes of an entity, it takes no more memory than it ever needed at once.
#[test]
fn an_entity_that_changes_does_not_eat_memory() {
    let mut table = Current::new(KEY);
    for n in 1..=50_000_u64 {
        let put = Put {
            name: "busy.example".into(),
            kind: [Kind::Domain, Kind::extension("x-a"), Kind::extension("x-long-extension")]
                [usize::try_from(n % 3).unwrap()]
            .clone(),
            registered: n % 2 == 0,
            sequence: n,
            registrant: String::new(),
            attributes: (n % 5 > 0).then(|| print(n)),
        };
        table.put(KEY.hash(&put.name), &put.name, &put.standing());
        assert_eq!(table.standing(KEY.hash(&put.name), &put.name), Some(put.standing()));
    }
    let mut fresh = Current::new(KEY);
    let put = Put {
        name: "a".into(),
        kind: Kind::Domain,
        registered: true,
        sequence: 1,
        registrant: String::new(),
        attributes: None,
    };
    fresh.put(KEY.hash("a"), "a", &put.standing());
    assert_eq!(table.bytes(), fresh.bytes());
}

/// All but what is still being filled moves, in the midst of a walk, and nothing else changes.
#[test]
#[cfg_attr(miri, ignore = "too much for an interpreter")]
fn what_moves_is_found_where_it_was() {
    const ENTITIES: u64 = 200_000;
    let name = |number: u64| format!("a-name-of-24-{number:0>11}");
    let put = |table: &mut Current, number: u64, sequence: u64| {
        let (name, kind, registrant) = (name(number), Kind::Domain, String::new());
        let put = Put { name, kind, registered: true, sequence, registrant, attributes: Some(print(number)) };
        table.put(KEY.hash(&put.name), &put.name, &put.standing());
    };
    let (mut table, mut still) = (Current::new(KEY), Current::new(KEY));
    for number in 0..ENTITIES {
        [&mut table, &mut still].into_iter().for_each(|table| put(table, number, number + 1));
    }
    let bytes = table.bytes();
    let mut seen = 0;
    let mut walk = table.visit(table.walk(), 70_000, &mut |_, _, _| seen += 1);
    let mut moves = 0;
    while table.may_move() {
        let left = table.move_to(Region::huge().unwrap());
        assert!(left.content::<[u64; 1 << 18]>().iter().any(|item| *item != 0), "it was the one that was in use");
        assert_eq!(table.state_hash(), still.state_hash());
        moves += 1;
    }
    // Of the records four regions and of the index one are full.
    assert_eq!((moves, table.bytes()), (5, bytes));
    for number in 0..2 * ENTITIES {
        [&mut table, &mut still].into_iter().for_each(|table| put(table, number, ENTITIES + number + 1));
    }
    assert!(table.may_move(), "more has been filled");
    while let Some(here) = walk {
        walk = table.visit(here, 1000, &mut |hash, name, _| {
            assert_eq!(hash, KEY.hash(name));
            seen += 1;
        });
    }
    assert_eq!((seen, table.state_hash()), (ENTITIES, still.state_hash()));
    for number in 0..2 * ENTITIES {
        let name = name(number);
        assert_eq!(table.standing(KEY.hash(&name), &name), still.standing(KEY.hash(&name), &name));
    }
}

/// The memory of a million entities is a promise, so its measure is a test.
#[test]
#[cfg_attr(miri, ignore = "too much for an interpreter")]
fn an_entity_takes_few_bytes() {
    const ENTITIES: usize = 200_000;
    let mut table = Current::new(KEY);
    for n in 0..ENTITIES as u64 {
        let put = Put {
            name: format!("a-name-of-24-{n:0>11}"),
            kind: Kind::Domain,
            registered: true,
            sequence: n + 1,
            registrant: String::new(),
            attributes: Some(print(n)),
        };
        table.put(KEY.hash(&put.name), &put.name, &put.standing());
    }
    // 51 of the record; the index has between 10 and 20 bytes.
    assert!(table.bytes() < 75 * ENTITIES, "{} bytes an entity", table.bytes() / ENTITIES);
}

proptest! {
    /// Names looked up together, more than a block of them and some twice, are found as they stand.
    #[test]
    fn looking_up_says_what_stands(puts in prop::collection::vec(any_put(), 0..40), asked in prop::collection::vec("[a-c]{1,2}", 0..80)) {
        let mut table = Current::new(KEY);
        for put in &puts {
            table.put(KEY.hash(&put.name), &put.name, &put.standing());
        }
        let mut lookups = Lookups::new(Principal::Anonymous);
        for (place, name) in (0..).zip(&asked) {
            lookups.push(place, KEY.hash(name), name.as_bytes());
        }
        let saw = table.look_up(&mut lookups);
        let standings: Vec<_> = asked.iter().map(|name| table.standing(KEY.hash(name), name)).collect();
        prop_assert_eq!(saw, standings.iter().flatten().map(|it| it.sequence).max().unwrap_or(Sequence::ZERO));
        for (lookup, standing) in lookups.each().iter().zip(standings) {
            let found = match standing.filter(|standing| standing.registered) {
                None => Found::Nothing,
                Some(Standing { kind, updated, .. }) => {
                    if let Kind::Extension(_) = kind {
                        prop_assert_eq!(lookups.extension(lookup.place), Some(&kind));
                    }
                    Found::Registered { kind: KindCode::new(kind.code()), last_updated: updated }
                }
            };
            prop_assert_eq!(lookup.found, found);
        }
    }
}
