//! Tests of `nonces`.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::types::{Nonce, Principal};

const KEY: HashKey = HashKey::new([5; 16]);

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_s(1_000_000 + second)
}

/// Nobody takes a place in the log: the command is denied.
fn denied() -> Option<(Sequence, Timestamp)> {
    None
}

/// The command takes this place.
fn takes(sequence: u64, time: Timestamp) -> impl FnOnce() -> Option<(Sequence, Timestamp)> {
    move || Some((Sequence::new(sequence), time))
}

fn fresh(sequence: u64, time: Timestamp) -> Claimed {
    Claimed::Fresh(Some((Sequence::new(sequence), time)))
}

/// Asks what is known, and changes nothing.
fn known(nonces: &Nonces, nonce: u128, print: u64, made: Timestamp, now: Timestamp) -> Claimed {
    nonces.claim(nonce, print, made, now, denied)
}

const DENIED: Claimed = Claimed::Fresh(None);

/// A use that was taken out of the front keeps none behind it that is over, be it older, since the clock was set back.
#[test]
fn what_was_taken_out_keeps_no_other() {
    let nonces = Nonces::new(KEY, 100_000);
    // All of one stripe.
    let nonce = |number: u128| number * STRIPES as u128;
    let seen = |number, sequence, time| {
        let (nonce, sequence) = (nonce(number), Sequence::new(sequence));
        Remembered { nonce, fingerprint: 0, sequence, time }
    };
    nonces.remember(seen(1, 1, at(1_000)), at(1_000));
    nonces.remember(seen(2, 2, at(500)), at(1_000));
    // Whoever claims looks at the first.
    assert_eq!(nonces.claim(nonce(3), 0, at(1_000), at(1_000), takes(3, at(1_000))), fresh(3, at(1_000)));
    // A younger use takes it out, and stands behind the others.
    nonces.remember(seen(1, 4, at(1_001)), at(1_001));
    let now = at(500 + 2 * REPLAY_WINDOW_S + 2);
    assert_eq!(nonces.claim(nonce(4), 0, now, now, takes(5, now)), fresh(5, now));
    let mut left = Vec::new();
    visit_all(&nonces, 10, |known| left.push((known.nonce / STRIPES as u128, known.sequence.value())));
    left.retain(|(_, sequence)| *sequence > 0);
    left.sort_unstable();
    assert_eq!(left, [(1, 4), (3, 3), (4, 5)]);
}

/// Visits everything, so many at a time.
fn visit_all(nonces: &Nonces, uses: usize, mut visitor: impl FnMut(Remembered)) {
    for stripe in 0..STRIPES {
        let mut here = Some(nonces.walk(stripe));
        while let Some(walk) = here {
            here = nonces.visit(walk, uses, &mut visitor);
        }
    }
}

fn registers(attributes: &str) -> Repeatable {
    Repeatable::Registers(KEY.fingerprint(attributes))
}

#[test]
fn a_nonce_belongs_to_the_command_that_used_it() {
    let nonces = Nonces::new(KEY, 1000);
    let nonce = Nonce::parse("0123456789abcdef01234567").unwrap();
    let name = nonces.name(Principal::Anonymous.name(), nonce.as_str());
    let entity = KEY.hash("a.example");
    let print = nonces.fingerprint(entity, &Kind::Domain, registers(""));
    let other = nonces.fingerprint(entity, &Kind::Domain, registers("{\"a\":1}"));

    assert_eq!(nonces.claim(name, print, at(0), at(0), denied), DENIED);
    let claimed = nonces.claim(name, other, at(1), at(1), takes(7, at(1)));
    assert_eq!(claimed, fresh(7, at(1)), "a denied command leaves its nonce free");
    let same = Claimed::Same { sequence: Sequence::new(7), time: at(1) };
    let nobody = || -> Option<(Sequence, Timestamp)> { panic!("a nonce that was used takes no place") };
    assert_eq!(nonces.claim(name, other, at(2), at(2), nobody), same);
    let other_use = Claimed::Other { sequence: Sequence::new(7) };
    assert_eq!(nonces.claim(name, print, at(2), at(2), nobody), other_use);
    assert_ne!(nonces.name("bob", nonce.as_str()), name, "another principal's nonce is another nonce");

    assert_eq!(nonces.claim(name, other, at(602), at(602), nobody), same);
    assert_eq!(known(&nonces, name, print, at(603), at(603)), DENIED, "forgotten when no repetition is acceptable");
}

#[test]
fn the_log_gives_the_memory_back() {
    let nonces = Nonces::new(KEY, 1000);
    let nonce = Nonce::parse("0123456789abcdef01234567").unwrap();
    let (entity, what) = (KEY.hash("a.example"), registers("{\"a\":1}"));
    let used = Used {
        principal: "bob",
        nonce: nonce.as_str(),
        entity,
        kind: &Kind::Domain,
        what,
        sequence: Sequence::new(9),
        time: at(10),
    };
    nonces.apply(&used, at(20));
    let name = nonces.name("bob", nonce.as_str());
    let print = nonces.fingerprint(entity, &Kind::Domain, what);
    let same = Claimed::Same { sequence: Sequence::new(9), time: at(10) };
    assert_eq!(known(&nonces, name, print, at(30), at(30)), same);

    let copy = Nonces::new(KEY, 1000);
    visit_all(&nonces, 1, |seen| copy.remember(seen, at(40)));
    assert_eq!(known(&copy, name, print, at(40), at(40)), same, "a snapshot gives it back too");

    // Who asks for a removal need not know the kind.
    let print = nonces.fingerprint(entity, &Kind::Userid, Repeatable::Removes);
    let removed = Used { sequence: Sequence::new(10), what: Repeatable::Removes, ..used };
    let fresh = Nonces::new(KEY, 1000);
    fresh.apply(&removed, at(20));
    let same = Claimed::Same { sequence: Sequence::new(10), time: at(10) };
    assert_eq!(known(&fresh, name, print, at(30), at(30)), same);
    let late = Nonces::new(KEY, 1000);
    late.apply(&removed, at(612));
    assert_eq!(known(&late, name, print, at(612), at(612)), DENIED, "what is too old is not remembered");
}

/// Snapshots keep names and fingerprints, so they are pinned. They agree with a computation from the hashes that are
/// pinned elsewhere: of "x" as text, of "x-a" as kind, and so on.
#[test]
fn what_snapshots_keep_is_pinned() {
    let nonces = Nonces::new(KEY, 1000);
    let wide = |text| u128::from_be_bytes(KEY.hash(text).to_be_bytes());
    let low = |number| number & ((1_u128 << 96) - 1);
    assert_eq!(nonces.name("", "n"), low(wide("n")));
    let turned = wide("p") << 64 | wide("p") >> 64;
    assert_eq!(nonces.name("p", "n"), low(wide("n") ^ turned));

    let (entity, front) = (KEY.hash("e"), KEY.hash("e").front());
    let print = |kind, what| nonces.fingerprint(entity, &kind, what);
    let extension = || Kind::extension("x-a");
    let attributes = u64::from_le_bytes(KEY.fingerprint("{\"a\":1}").unwrap().to_le_bytes());
    assert_eq!(print(Kind::Domain, registers("")), front ^ u64::from(Kind::Domain.code()));
    assert_eq!(print(Kind::Domain, registers("{\"a\":1}")), front ^ u64::from(Kind::Domain.code()) ^ attributes);
    assert_eq!(print(extension(), registers("")), front ^ KEY.hash("x-a").table_bits());
    assert_eq!(print(extension(), Repeatable::Removes), front ^ 255);
}

proptest! {
    /// Also where a text stands in another's place, or is the same as another.
    #[test]
    fn what_differs_has_another_name(
        texts in prop::collection::vec("[a-c]{0,2}", 4),
        entities in prop::collection::vec("x-[ab]|e", 2),
        whats in prop::collection::vec((0..4_usize, "x-[ab]|[{]\"a\":[12][}]|"), 2),
    ) {
        let nonces = Nonces::new(KEY, 1000);
        let [p, n, q, m] = [0, 1, 2, 3].map(|at: usize| texts[at].as_str());
        prop_assert_eq!(nonces.name(p, n) == nonces.name(q, m), (p, n) == (q, m));

        let asked: Vec<_> = entities.iter().zip(&whats).map(|(entity, (kind, attributes))| {
            let kind = match kind {
                0 => Some(Kind::Domain),
                1 => Some(Kind::Userid),
                2 => Some(Kind::extension(entity.as_str())),
                _ => None,
            };
            let what = kind.as_ref().map_or(Repeatable::Removes, |_| registers(attributes));
            let print = nonces.fingerprint(KEY.hash(entity), kind.as_ref().unwrap_or(&Kind::Url), what);
            (print, (entity, kind, what))
        }).collect();
        prop_assert_eq!(asked[0].0 == asked[1].0, asked[0].1 == asked[1].1);
    }
}

#[test]
fn of_two_uses_the_younger_counts_in_whatever_order_they_come() {
    let seen = |sequence| Remembered {
        nonce: 5,
        fingerprint: sequence,
        sequence: Sequence::new(sequence),
        time: at(sequence),
    };
    for order in [[3, 8], [8, 3]] {
        let nonces = Nonces::new(KEY, 1000);
        order.iter().for_each(|sequence| nonces.remember(seen(*sequence), at(20)));
        let same = Claimed::Same { sequence: Sequence::new(8), time: at(8) };
        assert_eq!(known(&nonces, 5, 8, at(20), at(20)), same, "{order:?}");
    }
}

proptest! {
    /// Against a plain map that forgets at once, with times that go on by chance, and commands that were made whenever
    /// the window allows.
    #[test]
    fn the_memory_is_a_map_of_what_is_not_over(
        moves in prop::collection::vec((0..12_u128, 0..3_u64, 0..200_u64, 0..=600_u64, any::<bool>()), 1..300),
    ) {
        let nonces = Nonces::new(KEY, 100_000);
        let mut model: BTreeMap<u128, (u64, Sequence, Timestamp)> = BTreeMap::new();
        let mut second = REPLAY_WINDOW_S;
        for (number, (nonce, print, later, made, is_denied)) in (1..).zip(moves) {
            second += later;
            let (nonce, now, sequence) = (nonce << 90 | nonce, at(second), Sequence::new(number));
            model.retain(|_, (_, _, used)| used.unix_ms() + REMEMBERED_MS >= now.unix_ms());
            let take = || (!is_denied).then_some((sequence, now));
            let claimed = nonces.claim(nonce, print, at(second + made - REPLAY_WINDOW_S), now, take);
            match model.get(&nonce) {
                Some((known, sequence, time)) if *known == print => {
                    prop_assert_eq!(claimed, Claimed::Same { sequence: *sequence, time: *time });
                }
                Some((_, sequence, _)) => prop_assert_eq!(claimed, Claimed::Other { sequence: *sequence }),
                None if is_denied => prop_assert_eq!(claimed, DENIED),
                None => {
                    prop_assert_eq!(claimed, Claimed::Fresh(Some((sequence, now))));
                    model.insert(nonce, (print, sequence, now));
                }
            }
        }
        let mut seen = BTreeMap::new();
        visit_all(&nonces, 3, |it| {
            if it.sequence > Sequence::ZERO {
                seen.insert(it.nonce, it.sequence);
            }
        });
        prop_assert!(model.iter().all(|(nonce, (_, sequence, _))| seen.get(nonce) == Some(sequence)));
    }
}

proptest! {
    /// Wherever the clock is set, and however often the server starts anew from a snapshot.
    #[test]
    fn no_command_takes_effect_twice(
        moves in prop::collection::vec((0..40_usize, -900..900_i64, 0..=600_u64, 0..8_u8), 1..200),
    ) {
        let mut nonces = Nonces::new(KEY, 100_000);
        let mut commands: Vec<(u128, Timestamp, bool)> = Vec::new();
        let (mut second, mut last) = (10_000_u64, Timestamp::ZERO);
        for (number, (which, passed, made, what)) in (1..).zip(moves) {
            second = second.saturating_add_signed(passed).max(REPLAY_WINDOW_S);
            let now = at(second);
            if what == 0 {
                let copy = Nonces::new(KEY, 100_000);
                visit_all(&nonces, 2, |seen| copy.remember(seen, now));
                copy.complete(last, now);
                nonces = copy;
                continue;
            }
            if which >= commands.len() {
                // Few stripes, so that what one forgets concerns others; and now and then a nonce that was used before.
                let nonce = u128::from(number % 29) << 40 | u128::from(number % 3);
                commands.push((nonce, at(second + made - REPLAY_WINDOW_S), false));
            }
            let which = which.min(commands.len() - 1);
            let (nonce, made, happened) = &mut commands[which];
            if now.unix_s().abs_diff(made.unix_s()) > REPLAY_WINDOW_S {
                continue;
            }
            let time = last.max(now);
            let take = || (what != 1).then_some((Sequence::new(number), time));
            match nonces.claim(*nonce, 1, *made, now, take) {
                Claimed::Fresh(taken) => {
                    prop_assert!(!*happened, "made at {made:?}, and now again at {now:?}");
                    if taken.is_some() {
                        last = time;
                        *happened = true;
                    }
                }
                Claimed::Same { .. } | Claimed::Forgotten => {}
                other => prop_assert!(false, "{other:?}"),
            }
        }
    }
}

#[test]
fn a_clock_that_is_set_back_brings_no_nonce_back() {
    let nonces = Nonces::new(KEY, 1000);
    assert_eq!(nonces.claim(64, 1, at(240), at(0), takes(1, at(0))), fresh(1, at(0)));
    assert_eq!(known(&nonces, 128, 1, at(602), at(602)), DENIED);
    assert_eq!(known(&nonces, 64, 1, at(240), at(540)), Claimed::Forgotten);
    assert_eq!(known(&nonces, 128, 1, at(300), at(540)), Claimed::Forgotten, "nobody knows whether it was another");
    assert_eq!(known(&nonces, 128, 1, at(301), at(540)), DENIED, "what is younger was never forgotten");
}

#[test]
fn what_a_denied_command_takes_the_place_of_is_forgotten_too() {
    let nonces = Nonces::new(KEY, 1000 * STRIPES);
    // So many that those which are over are not all swept at once.
    for other in 1..=100 {
        assert_eq!(nonces.claim(other << 40, 1, at(0), at(0), takes(1, at(0))), fresh(1, at(0)));
    }
    let nonce = 200 << 40;
    assert_eq!(nonces.claim(nonce, 1, at(301), at(1), takes(2, at(1))), fresh(2, at(1)));
    assert_eq!(known(&nonces, nonce, 2, at(603), at(603)), DENIED);
    assert_eq!(known(&nonces, nonce, 1, at(301), at(540)), Claimed::Forgotten);
}

#[test]
#[cfg_attr(miri, ignore = "too much for an interpreter")]
fn what_is_over_does_not_stay() {
    const EACH_SECOND: u64 = 100;
    let nonces = Nonces::new(KEY, 10_000_000);
    let remembered = || {
        let mut count = 0;
        visit_all(&nonces, 1000, |_| count += 1);
        count
    };
    let name = |number| nonces.name("", &u64::to_string(&number));
    for number in 0..2000 * EACH_SECOND {
        let now = at(number / EACH_SECOND);
        nonces.claim(name(number), 1, now, now, takes(1, now));
    }
    let live = 601 * EACH_SECOND;
    assert!((live..2 * live).contains(&remembered()), "{} of {live}", remembered());
    for number in 0..40_000 {
        nonces.claim(name(number), 1, at(3000 + number), at(3000 + number), denied);
    }
    assert!(remembered() < live / 100, "a burst is forgotten by what little comes behind it: {}", remembered());
}

#[test]
fn memory_is_bounded() {
    let nonces = Nonces::new(KEY, 64);
    let mut full = 0;
    for n in 0..1000_u128 {
        match nonces.claim(n, 1, at(0), at(0), takes(1, at(0))) {
            Claimed::Fresh(_) => {}
            Claimed::Full => full += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(full, 1000 - 64);
    assert_eq!(known(&nonces, 5000, 1, at(700), at(700)), DENIED, "forgetting makes room");
}

proptest! {
    /// A stripe against a plain map, whatever is taken out, set back, or moved behind the others, where many names have
    /// the same place in the index.
    #[test]
    fn nothing_leaves_a_stripe_before_it_is_over(
        moves in prop::collection::vec((0..60_u128, prop::sample::select(vec![0, 1, 7, u64::from(u32::MAX)]), -700..900_i64, 0..6_u8), 1..400),
    ) {
        let mut stripe = Stripe::default();
        let mut model: BTreeMap<u128, Timestamp> = BTreeMap::new();
        let mut second = 10_000_u64;
        for (number, (nonce, tag, passed, what)) in (1..).zip(moves) {
            let nonce = u128::from(tag) << 32 | nonce;
            match what {
                0 => {
                    second = second.saturating_add_signed(passed);
                    let (forgotten, now) = (stripe.forgotten, at(second));
                    stripe.forget(now, 4, number % 3 == 0);
                    let left: Vec<_> = model.keys().copied().filter(|nonce| stripe.find(*nonce).is_none()).collect();
                    for nonce in &left {
                        let time = model.remove(nonce).unwrap();
                        prop_assert!(super::is_over(time, now), "{nonce} of {time:?} left at {now:?}");
                        prop_assert!(stripe.forgotten >= time);
                    }
                    prop_assert!(!left.is_empty() || stripe.forgotten == forgotten);
                }
                1 => {
                    stripe.take(nonce);
                    model.remove(&nonce);
                }
                _ => {
                    let seen = Remembered { nonce, fingerprint: number, sequence: Sequence::new(number), time: at(second) };
                    stripe.take(nonce);
                    stripe.put(&seen);
                    model.insert(nonce, at(second));
                    prop_assert_eq!(stripe.find(nonce).map(Use::remembered), Some(seen));
                }
            }
            prop_assert_eq!(stripe.len(), model.len());
            let mut there = BTreeMap::new();
            let rest = stripe.visit(stripe.walk(), 1000, &mut |known| {
                there.insert(known.remembered().nonce, known.time());
            });
            prop_assert!(rest.is_none());
            prop_assert_eq!(&there, &model);
            prop_assert!(model.keys().all(|nonce| stripe.find(*nonce).is_some_and(|known| known.is_named(*nonce))));
            prop_assert!(stripe.find(nonce ^ 1 << 90).is_none());
        }
    }
}

proptest! {
    /// A walk that goes on while uses come, go, and are put behind the others: what stays until its end was seen, and of
    /// what did not, nothing that was forgotten is younger than what is said to be.
    #[test]
    fn a_walk_sees_all_that_stay(
        before in 0..200_u64,
        slices in prop::collection::vec((1..40_usize, 0..20_u64, 0..400_u64, any::<bool>(), 0..200_u64), 1..30),
    ) {
        let mut stripe = Stripe::default();
        let mut second = 10_000_u64;
        let mut number = 0_u64;
        let mut put = |stripe: &mut Stripe, second| {
            number += 1;
            let nonce = u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            stripe.put(&Remembered { nonce, fingerprint: number, sequence: Sequence::new(number), time: at(second) });
            (nonce, at(second))
        };
        let known: Vec<_> = (0..before).map(|later| put(&mut stripe, second - later % 7)).collect();
        let mut seen = std::collections::BTreeSet::new();
        let mut given_back = std::collections::BTreeSet::new();
        let mut here = Some(stripe.walk());
        let slices = slices.into_iter().chain([(usize::MAX, 0, 0, false, 0)]);
        for (uses, come, later, all, given) in slices {
            let Some(walk) = here else { break };
            second += later;
            stripe.forget(at(second), 4, all);
            (0..come).for_each(|_| {
                put(&mut stripe, second);
            });
            if let Some((nonce, _)) = known.get(usize::try_from(given).unwrap()) {
                stripe.take(*nonce);
                given_back.insert(*nonce);
            }
            here = stripe.visit(walk, uses, &mut |known| {
                seen.insert(known.remembered().nonce);
            });
        }
        prop_assert!(here.is_none());
        for (nonce, time) in known {
            match stripe.find(nonce) {
                Some(_) => prop_assert!(seen.contains(&nonce), "{nonce} stayed and was not seen"),
                None => prop_assert!(given_back.contains(&nonce) || time <= stripe.forgotten),
            }
        }
    }
}

/// The first is not always the oldest.
#[test]
fn what_is_younger_keeps_what_is_over_from_leaving_only_where_there_is_room() {
    let seen = |nonce: u128, second| Remembered {
        nonce: nonce << 32,
        fingerprint: 1,
        sequence: Sequence::new(1),
        time: at(second),
    };
    for (first, full, leaves) in [(600, false, false), (600, true, true), (100_000, false, true)] {
        let mut stripe = Stripe::default();
        stripe.put(&seen(1, first));
        (2..6).for_each(|nonce| stripe.put(&seen(nonce, 0)));
        (0..4).for_each(|_| stripe.forget(at(700), 4, full));
        assert_eq!(stripe.len(), if leaves { 1 } else { 5 }, "first at {first}, full: {full}");
        assert_eq!(stripe.find(1 << 32).map(Use::remembered), Some(seen(1, first)));
    }
}

/// However many are noted and taken out again, one after the other.
#[test]
fn what_is_given_back_takes_no_memory() {
    let mut stripe = Stripe::default();
    let seen = |nonce| Remembered { nonce, fingerprint: 1, sequence: Sequence::ZERO, time: at(5) };
    stripe.put(&seen(1 << 32));
    let empty = stripe.bytes();
    for nonce in 2..100_000_u128 {
        stripe.put(&seen(nonce << 32 | nonce));
        stripe.take(nonce << 32 | nonce);
    }
    assert_eq!((stripe.len(), stripe.bytes()), (1, empty));
}

#[test]
#[cfg_attr(miri, ignore = "too much for an interpreter")]
fn a_nonce_takes_little_memory() {
    let mut stripe = Stripe::default();
    for number in 0..200_000_u64 {
        let nonce = u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15)) << 20;
        let seen = |nonce| Remembered { nonce, fingerprint: 1, sequence: Sequence::new(1), time: at(number / 1000) };
        // Most are taken out again at once.
        for other in 1..8 {
            stripe.put(&seen(nonce ^ other << 50));
            stripe.take(nonce ^ other << 50);
        }
        stripe.put(&seen(nonce));
        if number > 10_000 {
            let each = stripe.bytes() / stripe.len();
            assert!((40..=50).contains(&each), "{each} bytes each of {number}");
        }
    }
    while stripe.len() > 0 {
        stripe.forget(at(10_000), 4, false);
    }
    assert!(stripe.bytes() < 4096, "{}", stripe.bytes());
}
