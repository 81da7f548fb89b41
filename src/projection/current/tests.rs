//! The table against a plain map: whatever is put, both hold the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const KEY: HashKey = HashKey::new([3; 16]);

/// A standing that owns its texts, and the name it belongs to.
#[derive(Clone, PartialEq, Debug)]
struct Put {
    name: String,
    kind: Kind,
    registered: bool,
    sequence: u64,
    registrant: String,
    attributes: String,
}

impl Put {
    fn standing(&self) -> Standing<'_> {
        Standing {
            kind: self.kind.clone(),
            registered: self.registered,
            sequence: Sequence::new(self.sequence),
            updated: Timestamp::from_unix_ms(1_700_000_000_000 + self.sequence),
            registrant: &self.registrant,
            attributes: &self.attributes,
        }
    }
}

fn any_put() -> impl Strategy<Value = Put> {
    let kind = prop_oneof![
        Just(Kind::Domain),
        Just(Kind::Ip),
        Just(Kind::Extension("x-a".into())),
        Just(Kind::Extension("x-long-extension".into())),
    ];
    let (name, registrant) = ("[a-c]{1,2}", "[x-z]{0,1}");
    (name, kind, any::<bool>(), 1_u64..40, registrant, "[a-z]{0,40}").prop_map(
        |(name, kind, registered, sequence, registrant, attributes)| Put {
            name,
            kind,
            registered,
            sequence,
            registrant,
            attributes,
        },
    )
}

proptest! {
    #[test]
    fn the_table_is_a_map_of_the_youngest(puts in prop::collection::vec(any_put(), 0..120)) {
        let mut table = Current::new(KEY);
        let mut model: BTreeMap<String, Put> = BTreeMap::new();
        for put in &puts {
            table.put(KEY.hash(&put.name), &put.name, &put.standing());
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

        let mut changed = (*youngest.values().next().unwrap()).clone();
        changed.sequence += 1000;
        whole.put(KEY.hash(&changed.name), &changed.name, &changed.standing());
        prop_assert_ne!(whole.state_hash(), sum);
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
            attributes: "{\"a\":1}".repeat(usize::try_from(n % 4).unwrap()),
        };
        table.put(KEY.hash(&put.name), &put.name, &put.standing());
    }
    for n in 1..=20_000 {
        let found = table.standing(KEY.hash(&name(n)), &name(n)).unwrap();
        assert_eq!((found.sequence, found.registered), (Sequence::new(n), n % 3 != 0));
    }
}

#[test]
fn attributes_that_grow_do_not_eat_memory() {
    let mut table = Current::new(KEY);
    for n in 1..=20_000_u64 {
        let put = Put {
            name: "busy.example".into(),
            kind: Kind::Domain,
            registered: true,
            sequence: n,
            registrant: String::new(),
            attributes: "x".repeat(usize::try_from(n % 4096).unwrap()),
        };
        table.put(KEY.hash(&put.name), &put.name, &put.standing());
    }
    assert!(table.bytes() < 1 << 20, "{} bytes for one entity", table.bytes());
}

proptest! {
    #[test]
    fn a_standing_without_attributes_differs_in_nothing_else(attributes in "(\\{\"a\":\"[a-z]{0,90}\"\\})?", who in "[a-z]{0,3}") {
        let mut table = Current::new(KEY);
        let name = "a.example";
        let standing = Standing {
            kind: Kind::Extension("x-kind".into()),
            registered: true,
            sequence: Sequence::new(7),
            updated: Timestamp::from_unix_s(8),
            registrant: &who,
            attributes: &attributes,
        };
        table.put(KEY.hash(name), name, &standing);
        prop_assert_eq!(table.standing(KEY.hash(name), name), Some(standing.clone()));
        let bare = table.standing_without_attributes(KEY.hash(name), name);
        prop_assert_eq!(bare, Some(Standing { attributes: "", ..standing }));
    }
}
