//! Laws of the engine, against a plain model, with the disk as far behind as chance wants it.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::domain::apply;
use crate::domain::{Claim, Found, Verified};
use crate::types::{Attributes, Entity, HashKey, Kind, Nonce, Once, Principal};

mod together;

const KEY: HashKey = HashKey::new([9; 16]);

fn named(name: &str) -> Named {
    let entity = Entity::parse(name).unwrap();
    Named { hash: KEY.hash(entity.as_str()), entity }
}

fn request(principal: &str, once: Option<Once>, command: Command) -> Asked {
    Asked::One(Box::new(Request { principal: Principal::from_name(principal), once, command }))
}

fn fresh() -> Engine<u64> {
    let sequencer = Arc::new(Sequencer::new(Sequence::ZERO, Timestamp::ZERO));
    Engine::new(Current::new(KEY), Sequence::ZERO, Arc::new(Nonces::new(KEY, 10_000)), sequencer)
}

/// One thing that happens to the engine.
#[derive(Clone, Debug)]
enum Move {
    Register {
        name: usize,
        who: usize,
        nonce: Option<usize>,
        attributes: usize,
    },
    Remove {
        name: usize,
        who: usize,
        nonce: Option<usize>,
    },
    Verify {
        name: usize,
        claim: usize,
    },
    /// The disk catches up with this many events.
    Sync(u64),
}

const NAMES: [&str; 3] = ["a.example", "b.example", "192.0.2.1"];
const WHO: [&str; 2] = ["", "bob"];
const ATTRIBUTES: [&str; 3] = ["", "{\"a\":1}", "{\"a\":2,\"b\":\"x\"}"];

/// What is claimed in the laws, and which of `ATTRIBUTES` fulfil it.
fn claims() -> Vec<Claim> {
    let attributes = |text: &str| Claim::Attributes(Attributes::from_canonical(text));
    let digest = |text| Claim::Digest(Box::new(crate::types::Digest(sha256(text))));
    vec![
        Claim::Registered,
        attributes(""),
        attributes("{\"a\":1}"),
        attributes("{\"a\":2,\"b\":\"x\"}"),
        attributes("{\"a\":2}"),
        attributes("{\"c\":2}"),
        digest("{}"),
        digest(ATTRIBUTES[1]),
    ]
}

const CLAIMS: usize = HOLDS.len();
const HOLDS: [[bool; 3]; 8] = [
    [true, true, true],
    [true, true, true],
    [false, true, false],
    [false, false, true],
    [false, false, true],
    [false, false, false],
    [true, false, false],
    [false, true, false],
];

fn any_move() -> impl Strategy<Value = Move> {
    let nonce = || prop::option::of(0..4_usize);
    prop_oneof![
        4 => (0..3_usize, 0..2_usize, nonce(), 0..3_usize)
            .prop_map(|(name, who, nonce, attributes)| Move::Register { name, who, nonce, attributes }),
        3 => (0..3_usize, 0..2_usize, nonce()).prop_map(|(name, who, nonce)| Move::Remove { name, who, nonce }),
        3 => (0..3_usize, 0..CLAIMS).prop_map(|(name, claim)| Move::Verify { name, claim }),
        2 => (1..4_u64).prop_map(Move::Sync),
    ]
}

fn once(nonce: Option<usize>, now: Timestamp) -> Option<Once> {
    let nonce = Nonce::parse(&format!("nonce-{:0>20}", nonce?)).unwrap();
    Some(Once { made: now, nonce })
}

/// The model: what is true of each name, and which nonce was used for what.
#[derive(Default)]
struct Model {
    lives: BTreeMap<usize, Option<(usize, usize)>>,
    nonces: HashMap<(usize, usize), (String, Outcome)>,
    last: u64,
}

impl Model {
    fn change(
        &mut self,
        now: Timestamp,
        name: usize,
        who: usize,
        nonce: Option<usize>,
        attributes: Option<usize>,
    ) -> Outcome {
        let print = format!("{name} {attributes:?}");
        if let Some((used, first)) = nonce.and_then(|nonce| self.nonces.get(&(who, nonce))) {
            let mut again = first.clone();
            match &mut again {
                Outcome::Registered { replayed, .. } | Outcome::Removed { replayed, .. } => *replayed = true,
                other => panic!("{other:?} was remembered"),
            }
            return if *used == print { again } else { Outcome::Refused(Refusal::NonceReused) };
        }
        let refusal = match (self.lives.get(&name), attributes) {
            (Some(Some(_)), Some(_)) => Some(Refusal::AlreadyRegistered),
            (None, None) => Some(Refusal::UnknownEntity),
            (Some(None), None) => Some(Refusal::NotRegistered),
            (Some(Some((registrant, _))), None) if *registrant != who => Some(Refusal::NotRegistrant),
            _ => None,
        };
        if let Some(refusal) = refusal {
            return Outcome::Refused(refusal);
        }
        self.lives.insert(name, attributes.map(|attributes| (who, attributes)));
        self.last += 1;
        let (entity, sequence) = (Entity::parse(NAMES[name]).unwrap(), Sequence::new(self.last));
        let outcome = match attributes {
            Some(_) => Outcome::Registered { entity, sequence, time: now, replayed: false },
            None => Outcome::Removed { entity, sequence, time: now, replayed: false },
        };
        if let Some(nonce) = nonce {
            self.nonces.insert((who, nonce), (print, outcome.clone()));
        }
        outcome
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Answers are the model's, each exactly once, none before what it depends on is durable; and the events alone
    /// rebuild the table.
    #[test]
    fn the_engine_does_what_the_model_does(moves in prop::collection::vec(any_move(), 1..80)) {
        let mut engine = fresh();
        let mut model = Model::default();
        let mut effects = Vec::new();
        let mut expected: Vec<Option<Outcome>> = Vec::new();
        let mut changed: BTreeMap<usize, u64> = BTreeMap::new();
        let mut depends: Vec<u64> = Vec::new();
        let mut answered = 0;
        let mut events: Vec<Event> = Vec::new();
        let mut durable = 0;
        for (step, happens) in moves.iter().chain([&Move::Sync(u64::MAX)]).enumerate() {
            let now = Timestamp::from_unix_s(1_000_000 + step as u64);
            let before = model.last;
            let (name, asked, outcome) = match *happens {
                Move::Register { name, who, nonce, attributes } => {
                    let command = Command::Register {
                        subject: named(NAMES[name]),
                        attributes: Attributes::from_canonical(ATTRIBUTES[attributes]),
                    };
                    let outcome = model.change(now, name, who, nonce, Some(attributes));
                    (name, request(WHO[who], once(nonce, now), command), outcome)
                }
                Move::Remove { name, who, nonce } => {
                    let command = Command::Remove { subject: named(NAMES[name]) };
                    let outcome = model.change(now, name, who, nonce, None);
                    (name, request(WHO[who], once(nonce, now), command), outcome)
                }
                Move::Verify { name, claim } => {
                    let asked = claim;
                    let claim = claims().swap_remove(asked);
                    let command = Command::Verify { subject: named(NAMES[name]), claim, at: None };
                    let outcome = match model.lives.get(&name) {
                        Some(Some((_, registered))) => Outcome::Verified(crate::domain::Verified {
                            verified: HOLDS[asked][*registered],
                            kind: named(NAMES[name]).entity.kind().clone(),
                            last_updated: Timestamp::ZERO,
                        }),
                        _ => Outcome::Refused(Refusal::NotRegistered),
                    };
                    (name, request("", None, command), outcome)
                }
                Move::Sync(count) => {
                    durable = model.last.min(u64::saturating_add(durable, count));
                    engine.step(now, Input::Durable(Sequence::new(durable)), &mut effects);
                    check(&mut effects, &mut expected, &depends, durable, &mut answered, &mut events)?;
                    continue;
                }
            };
            if model.last > before {
                changed.insert(name, model.last);
            }
            let replayed = match &outcome {
                Outcome::Registered { sequence, replayed: true, .. } | Outcome::Removed { sequence, replayed: true, .. } => {
                    Some(sequence.value())
                }
                Outcome::Refused(Refusal::NonceReused) => Some(0),
                _ => None,
            };
            depends.push(replayed.unwrap_or_else(|| changed.get(&name).copied().unwrap_or(0)));
            expected.push(Some(outcome));
            engine.step(now, Input::Asked { tag: expected.len() as u64 - 1, asked }, &mut effects);
            check(&mut effects, &mut expected, &depends, durable, &mut answered, &mut events)?;
            prop_assert_eq!(engine.pending(), expected.iter().flatten().count(), "what is not answered waits");
        }
        prop_assert_eq!(answered, expected.len(), "everything is answered once all is durable");
        prop_assert_eq!(engine.pending(), 0);

        let mut rebuilt = Current::new(KEY);
        for (place, event) in events.iter().enumerate() {
            prop_assert_eq!(event.sequence, Sequence::new(place as u64 + 1), "dense, in order");
            rebuilt.put(KEY.hash(event.entity.as_str()), event.entity.as_str(), &apply(event, KEY));
        }
        prop_assert_eq!(rebuilt.state_hash(), engine.table().state_hash());
        // Applying part of the log twice, as recovery from a snapshot does, changes nothing.
        for event in events.iter().skip(events.len() / 2) {
            rebuilt.put(KEY.hash(event.entity.as_str()), event.entity.as_str(), &apply(event, KEY));
        }
        prop_assert_eq!(rebuilt.state_hash(), engine.table().state_hash());
    }
}

/// What is registered exactly as it is claimed, or cannot be, is known without the log.
#[test]
fn a_claim_is_decided_in_memory_where_that_is_possible() {
    let now = Timestamp::from_unix_s(1);
    for (registered, attributes) in ATTRIBUTES.into_iter().enumerate() {
        let mut engine = fresh();
        let mut effects = Vec::new();
        let attributes = Attributes::from_canonical(attributes);
        let register = Command::Register { subject: named("a.example"), attributes: attributes.clone() };
        engine.step(now, Input::Asked { tag: 0, asked: request("", None, register) }, &mut effects);
        engine.step(now, Input::Durable(Sequence::new(1)), &mut effects);
        for (number, claim) in claims().into_iter().enumerate() {
            effects.clear();
            let exact = claim == Claim::Attributes(attributes.clone());
            let verify = Command::Verify { subject: named("a.example"), claim, at: None };
            engine.step(now, Input::Asked { tag: 1, asked: request("", None, verify) }, &mut effects);
            let in_memory = exact || registered == 0 || number < 2;
            match &effects[..] {
                [Effect::Answer { outcome: Outcome::Verified(verified), .. }] if in_memory => {
                    assert_eq!(verified.verified, HOLDS[number][registered]);
                }
                [Effect::Read { up_to, .. }] if !in_memory => assert_eq!(*up_to, Sequence::new(1)),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Questions about a few names, single and in bulk.
fn any_asked() -> impl Strategy<Value = Asked> {
    let name = || (0..NAMES.len()).prop_map(|name| named(NAMES[name]));
    prop_oneof![
        3 => name().prop_map(|subject| {
            request("", None, Command::Register { subject, attributes: Attributes::none() })
        }),
        2 => name().prop_map(|subject| request("", None, Command::Remove { subject })),
        3 => name().prop_map(|subject| {
            request("", None, Command::Verify { subject, claim: Claim::Registered, at: None })
        }),
        1 => proptest::collection::vec(name(), 0..80).prop_map(|names| Asked::Many(lookups(&names))),
        1 => proptest::collection::vec(name(), 0..80).prop_map(|names| Asked::Each(lookups(&names))),
    ]
}

fn lookups(names: &[Named]) -> Box<Lookups> {
    let mut lookups = Lookups::new(Principal::Anonymous);
    for (place, Named { hash, entity }) in (0..).zip(names) {
        lookups.push(place, *hash, entity.as_str().as_bytes());
    }
    Box::new(lookups)
}

/// What a lookup found, as the answer to a VERIFY tells it.
fn told(lookups: &Lookups, at: usize) -> Outcome {
    match lookups.each()[at].found {
        Found::Nothing => Outcome::Refused(Refusal::NotRegistered),
        Found::Registered { kind, last_updated } => {
            let closed = kind.name().and_then(Kind::parse);
            let kind = closed.or_else(|| lookups.extension(lookups.each()[at].place).cloned()).unwrap();
            Outcome::Verified(Verified { verified: true, kind, last_updated })
        }
        Found::Unavailable(why) => Outcome::Unavailable(why),
    }
}

proptest! {
    #[test]
    fn many_at_once_is_one_after_the_other(asked in proptest::collection::vec(any_asked(), 0..100)) {
        let now = Timestamp::from_unix_s(1_000_000);
        let (mut single, mut many) = (fresh(), fresh());
        let (mut expected, mut effects) = (Vec::new(), Vec::new());
        for (tag, asked) in (0..).zip(asked.clone()) {
            single.step(now, Input::Asked { tag, asked }, &mut expected);
        }
        let mut questions: Vec<(u64, Asked)> = (0..).zip(asked).collect();
        many.step_all(now, &mut questions, &mut effects);
        prop_assert!(questions.is_empty());
        prop_assert_eq!(effects, expected);
    }

    /// Lookups that come together are answered as the same VERIFYs one by one: with the same words, and not before the
    /// event that each saw is durable, nor behind one that another saw.
    #[test]
    fn lookups_together_are_verifies_one_by_one(
        changes in proptest::collection::vec((0..4_usize, any::<bool>()), 0..12),
        names in proptest::collection::vec(0..5_usize, 0..70),
        durable in 0..12_u64,
        fails: bool,
    ) {
        let now = Timestamp::from_unix_s(1_000_000);
        let known = ["a.example", "b.example", "192.0.2.1", "campaign-7", "never.example"].map(|name| match name {
            "campaign-7" => {
                let entity = Entity::parse_as(name, Kind::parse("x-campaign").unwrap()).unwrap();
                Named { hash: KEY.hash(name), entity }
            }
            _ => named(name),
        });
        let (mut engine, mut effects) = (fresh(), Vec::new());
        for (at, registers) in changes {
            let subject = known[at].clone();
            let attributes = Attributes::none();
            let command = if registers { Command::Register { subject, attributes } } else { Command::Remove { subject } };
            engine.step(now, Input::Asked { tag: u64::MAX, asked: request("", None, command) }, &mut effects);
        }
        engine.step(now, Input::Durable(Sequence::new(durable)), &mut effects);
        effects.clear();
        let asked: Vec<Named> = names.iter().map(|at| known[*at].clone()).collect();
        for (tag, subject) in (0..).zip(asked.clone()) {
            let verify = Command::Verify { subject, claim: Claim::Registered, at: None };
            engine.step(now, Input::Asked { tag, asked: request("", None, verify) }, &mut effects);
        }
        engine.step(now, Input::Asked { tag: u64::MAX, asked: Asked::Each(lookups(&asked)) }, &mut effects);
        let (mut single, mut together) = (vec![None; asked.len()], vec![None; asked.len()]);
        for later in [false, true] {
            if later {
                let end = if fails { Input::Failed } else { Input::Durable(Sequence::new(100)) };
                engine.step(now, end, &mut effects);
            }
            for effect in effects.drain(..) {
                match effect {
                    Effect::Answer { tag: u64::MAX, outcome: Outcome::VerifiedEach(lookups) } => {
                        for (at, lookup) in lookups.each().iter().enumerate() {
                            let place = usize::try_from(lookup.place).unwrap();
                            prop_assert_eq!(together[place].replace(told(&lookups, at)), None, "answered twice");
                        }
                    }
                    // A change of before.
                    Effect::Answer { tag: u64::MAX, .. } => {}
                    Effect::Answer { tag, outcome } => single[usize::try_from(tag).unwrap()] = Some(outcome),
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            prop_assert_eq!(&together, &single, "later: {}", later);
        }
        prop_assert!(together.iter().all(Option::is_some));
    }
}

fn check(
    effects: &mut Vec<Effect<u64>>,
    expected: &mut [Option<Outcome>],
    depends: &[u64],
    durable: u64,
    answered: &mut usize,
    events: &mut Vec<Event>,
) -> Result<(), TestCaseError> {
    for effect in effects.drain(..) {
        match effect {
            Effect::Append { hash, event } => {
                prop_assert_eq!(hash, KEY.hash(event.entity.as_str()));
                events.push(event);
            }
            Effect::Answer { tag, mut outcome } => {
                let tag = usize::try_from(tag).unwrap();
                prop_assert!(depends[tag] <= durable, "answer {} shows event {} before its sync", tag, depends[tag]);
                if let Outcome::Verified(verified) = &mut outcome {
                    verified.last_updated = Timestamp::ZERO;
                }
                prop_assert_eq!(Some(outcome), expected[tag].take());
                *answered += 1;
            }
            // The reader thread: it has the log as far as it is durable, and finds the event that the command saw.
            Effect::Read { tag, command, up_to } => {
                prop_assert!(up_to.value() <= durable, "the log is read before its sync");
                let Command::Verify { subject, claim, at: None } = *command else {
                    prop_assert!(false, "nobody asked for history");
                    continue;
                };
                let tag = usize::try_from(tag).unwrap();
                let last = &events[usize::try_from(up_to.value()).unwrap() - 1];
                prop_assert_eq!(&last.entity, &subject.entity);
                let mut verified = crate::domain::decide_claim(Some(last), &claim, &sha256).unwrap();
                verified.last_updated = Timestamp::ZERO;
                prop_assert_eq!(Some(Outcome::Verified(verified)), expected[tag].take());
                *answered += 1;
            }
        }
    }
    Ok(())
}

#[test]
fn a_timestamp_outside_the_window_is_stale() {
    let now = Timestamp::from_unix_s(1_000_000);
    for (made, stale) in [(999_699, true), (999_700, false), (1_000_300, false), (1_000_301, true)] {
        let mut engine = fresh();
        let mut effects = Vec::new();
        let once = Once { made: Timestamp::from_unix_s(made), nonce: Nonce::parse("abcdefghijklmnopqrstuv").unwrap() };
        let command = Command::Register { subject: named("a.example"), attributes: Attributes::none() };
        engine.step(now, Input::Asked { tag: 0, asked: request("", Some(once), command) }, &mut effects);
        let refused = Effect::Answer { tag: 0, outcome: Outcome::Refused(Refusal::StaleTimestamp { now }) };
        assert_eq!(effects.contains(&refused), stale, "{made}");
    }
}

#[test]
fn after_a_failed_write_everything_that_waits_or_comes_is_unavailable() {
    let mut engine = fresh();
    let mut effects = Vec::new();
    let now = Timestamp::from_unix_s(1);
    let register = Command::Register { subject: named("a.example"), attributes: Attributes::none() };
    engine.step(now, Input::Asked { tag: 1, asked: request("", None, register) }, &mut effects);
    assert_eq!(effects.len(), 1, "appended, not answered");
    effects.clear();
    engine.step(now, Input::Failed, &mut effects);
    let failed = |tag| Effect::Answer { tag, outcome: Outcome::Unavailable(Unavailable::Failed) };
    assert_eq!(effects, [failed(1)]);
    effects.clear();
    let verify = Command::Verify { subject: named("a.example"), claim: Claim::Registered, at: None };
    engine.step(now, Input::Asked { tag: 2, asked: request("", None, verify) }, &mut effects);
    assert_eq!(effects, [failed(2)]);
}

#[test]
fn history_is_read_as_far_as_the_command_saw_and_not_before_that_is_durable() {
    let mut engine = fresh();
    let mut effects = Vec::new();
    let now = Timestamp::from_unix_s(1);
    let subject = named("a.example");
    let page = crate::domain::Page {
        limit: 10,
        order: crate::domain::Order::Ascending,
        after: None,
        since: None,
        until: None,
    };
    let commands = [
        Command::Register { subject: subject.clone(), attributes: Attributes::none() },
        Command::Audit { subject: subject.clone(), page: Box::new(page) },
        Command::Remove { subject: subject.clone() },
        Command::Audit { subject, page: Box::new(page) },
    ];
    for (tag, command) in (0..).zip(commands) {
        engine.step(now, Input::Asked { tag, asked: request("", None, command) }, &mut effects);
    }
    let read = |effects: &mut Vec<Effect<u64>>| -> Vec<(u64, u64)> {
        let reads = effects.drain(..).filter_map(|effect| match effect {
            Effect::Read { tag, up_to, .. } => Some((tag, up_to.value())),
            Effect::Append { .. } | Effect::Answer { .. } => None,
        });
        reads.collect()
    };
    assert_eq!(read(&mut effects), []);
    engine.step(now, Input::Durable(Sequence::new(1)), &mut effects);
    assert_eq!(read(&mut effects), [(1, 1)]);
    engine.step(now, Input::Durable(Sequence::new(2)), &mut effects);
    assert_eq!(read(&mut effects), [(3, 2)]);
}

#[test]
fn the_clock_may_go_back_the_log_does_not() {
    let sequencer = Sequencer::new(Sequence::new(5), Timestamp::from_unix_s(100));
    assert_eq!(sequencer.take(Timestamp::from_unix_s(90)), (Sequence::new(6), Timestamp::from_unix_s(100)));
    assert_eq!(sequencer.take(Timestamp::from_unix_s(110)), (Sequence::new(7), Timestamp::from_unix_s(110)));
    assert_eq!(sequencer.last(), Sequence::new(7));
}

/// An entity keeps the kind that it was registered as, whatever the name alone looks like.
#[test]
fn a_removal_is_of_the_kind_that_was_registered() {
    let mut engine = fresh();
    let mut effects = Vec::new();
    let now = Timestamp::from_unix_s(1);
    let kind = Kind::parse("x-campaign").unwrap();
    let entity = Entity::parse_as("a.example", kind.clone()).unwrap();
    let register = Command::Register {
        subject: Named { hash: KEY.hash(entity.as_str()), entity },
        attributes: Attributes::none(),
    };
    for (tag, command) in (0..).zip([register, Command::Remove { subject: named("a.example") }]) {
        engine.step(now, Input::Asked { tag, asked: request("", None, command) }, &mut effects);
    }
    let kinds: Vec<&Kind> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Append { event, .. } => Some(event.entity.kind()),
            Effect::Answer { .. } | Effect::Read { .. } => None,
        })
        .collect();
    assert_eq!(kinds, [&kind, &kind]);
}

/// A question about a place of the log is not answered before that place is durable, whosever event is there.
#[test]
fn a_place_of_the_log_is_read_when_it_is_durable() {
    let mut engine = fresh();
    let mut effects = Vec::new();
    let now = Timestamp::from_unix_s(1);
    for name in ["a.example", "b.example"] {
        let register = Command::Register { subject: named(name), attributes: Attributes::none() };
        engine.step(now, Input::Asked { tag: 0, asked: request("", None, register) }, &mut effects);
    }
    let at = Some(crate::domain::At::Sequence(Sequence::new(2)));
    let verify = Command::Verify { subject: named("a.example"), claim: Claim::Registered, at };
    engine.step(now, Input::Asked { tag: 1, asked: request("", None, verify) }, &mut effects);
    for (durable, reads) in [(1, false), (2, true)] {
        effects.clear();
        engine.step(now, Input::Durable(Sequence::new(durable)), &mut effects);
        assert_eq!(effects.iter().any(|effect| matches!(effect, Effect::Read { .. })), reads, "{durable}");
    }
}
