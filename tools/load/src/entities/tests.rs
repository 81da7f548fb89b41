//! Laws of the names: no two are alike, none changes, all are canonical.

use proptest::prelude::*;

use super::*;
use crate::plan::repository_lists;

fn real() -> Entities {
    Entities::load(&repository_lists()).unwrap()
}

#[test]
fn the_real_lists_come_first() {
    let entities = real();
    assert_eq!(entities.listed(), 8_335 + 120_430);
    assert_eq!(entities.text(Name::Entity(0)), "0-mail.com");
    assert_eq!(entities.text(Name::Entity(8_335)), "77.90.185.20");
    let kinds = [0, 8_334, 8_335, 128_764, 128_765].map(|number| entities.kind(number));
    assert_eq!(kinds, ["domain", "domain", "ip", "ip", "domain"]);
}

#[test]
fn no_name_comes_twice() {
    let entities = real();
    let count = 400_000;
    let mut seen = HashSet::new();
    for number in 0..count {
        assert!(seen.insert(entities.text(Name::Entity(number))), "{number}");
        assert!(seen.insert(entities.text(Name::Absent(number))), "absent {number}");
    }
}

#[test]
fn made_names_have_about_24_bytes() {
    let entities = real();
    let count = 100_000;
    let numbers = entities.listed()..entities.listed() + count;
    let bytes: usize = numbers.map(|number| entities.text(Name::Entity(number)).len()).sum();
    #[allow(clippy::cast_precision_loss)]
    let mean = bytes as f64 / count as f64;
    assert!((23.0..25.5).contains(&mean), "{mean}");
}

#[test]
fn a_list_that_is_not_canonical_is_refused() {
    let refused = |domains: [&str; 2], addresses: [&str; 1]| {
        Entities::new(domains.into_iter(), addresses.into_iter()).err().unwrap_or_default()
    };
    assert_eq!(refused(["a.example", "B.example"], ["192.0.2.1"]), "B.example");
    assert_eq!(refused(["a.example", "b.example"], ["192.0.2.01"]), "192.0.2.01");
    assert_eq!(refused(["a.example", "b.example"], ["192.0.2.1"]), "");
    assert!(Entities::new([].into_iter(), [].into_iter()).is_err());
}

#[test]
fn a_domain_with_listed_names_below_it_gets_no_label() {
    let domains = ["example.com", "rabcdefghi.example.com", "example.org"];
    let entities = Entities::new(domains.into_iter(), [].into_iter()).unwrap();
    assert_eq!(entities.bases, [1, 2]);
}

#[test]
fn values_are_canonical_attributes_of_one_size() {
    let mut out = Vec::new();
    for number in [0, 1, 128_765, ENTITIES_MAX - 1] {
        out.clear();
        write_value(number, &mut out);
        assert_eq!(out.len(), VALUE_BYTES);
        let parsed: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(serde_json::to_vec(&parsed).unwrap(), out, "members in order, no white space");
    }
}

proptest! {
    /// Any two numbers have different names, wherever they lie; the same number has the same name in another table.
    #[test]
    fn numbers_and_names_belong_together(a in 0..ENTITIES_MAX, b in 0..ENTITIES_MAX) {
        let domains = ["0-mail.com", "example.com", "a.example.com", "example.org"];
        let table = || Entities::new(domains.into_iter(), ["192.0.2.1"].into_iter()).unwrap();
        let (first, second) = (table(), table());
        prop_assert_eq!(first.text(Name::Entity(a)), second.text(Name::Entity(a)));
        prop_assert_eq!(first.text(Name::Entity(a)) == first.text(Name::Entity(b)), a == b);
        prop_assert_eq!(first.text(Name::Absent(a)) == first.text(Name::Absent(b)), a == b);
        prop_assert_ne!(first.text(Name::Entity(a)), first.text(Name::Absent(b)));
    }

    /// Nothing is asked under a spelling that the server would have to change.
    #[test]
    fn every_name_is_canonical(number in 0..ENTITIES_MAX) {
        let entities = Entities::new(["0-mail.com", "example.org"].into_iter(), [].into_iter()).unwrap();
        for name in [Name::Entity(number), Name::Absent(number)] {
            let text = entities.text(name);
            let entity = Entity::parse(&text).unwrap();
            prop_assert_eq!(entity.as_str(), text.as_str());
            prop_assert_eq!(entity.kind().name(), "domain");
        }
    }

    /// Labels of all numbers differ, since the spreading can be undone.
    #[test]
    fn scattering_is_one_to_one(a in 0..ENTITIES_MAX, b in 0..ENTITIES_MAX) {
        prop_assert_eq!(scatter(a) == scatter(b), a == b);
    }
}
