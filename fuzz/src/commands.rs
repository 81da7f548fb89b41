//! Sequences of commands against a plain model, with the disk as far behind as the input wants it.

use std::collections::BTreeMap;
use std::sync::Arc;

use repsec::domain::{Asked, Claim, Command, Event, Named, Outcome, Refusal, Request, apply};
use repsec::engine::{Effect, Engine, Input, Sequencer};
use repsec::projection::{Current, Nonces};
use repsec::types::{Attributes, Entity, HashKey, Nonce, Once, Principal, Sequence, Timestamp};

const KEY: HashKey = HashKey::new([9; 16]);
const NAMES: [&str; 4] = ["a.example", "b.example", "192.0.2.1", "AS64500"];
const WHO: [&str; 2] = ["", "bob"];
const ATTRIBUTES: [&str; 2] = ["", "{\"a\":1}"];

/// What is known of a name: since which event, and who registered it if somebody has.
#[derive(Clone, Copy, Default)]
struct Life {
    last: u64,
    registrant: Option<usize>,
}

/// The plain model.
#[derive(Default)]
struct Model {
    lives: [Life; NAMES.len()],
    nonces: BTreeMap<(usize, u8), (String, Outcome, u64)>,
    last: u64,
}

/// A change, as the input spells it.
struct Change {
    name: usize,
    who: usize,
    nonce: Option<u8>,
    /// Which attributes are registered; `None` removes.
    attributes: Option<usize>,
}

impl Model {
    /// What must be answered, and the event on whose sync the answer waits.
    fn change(&mut self, now: Timestamp, change: &Change) -> (Outcome, u64) {
        let Change { name, who, nonce, attributes } = *change;
        let spelled = format!("{name} {attributes:?}");
        if let Some((used, first, at)) = nonce.and_then(|nonce| self.nonces.get(&(who, nonce))) {
            let mut again = first.clone();
            if let Outcome::Registered { replayed, .. } | Outcome::Removed { replayed, .. } = &mut again {
                *replayed = true;
            }
            return if *used == spelled { (again, *at) } else { (Outcome::Refused(Refusal::NonceReused), 0) };
        }
        let life = self.lives[name];
        let refusal = match (life, attributes) {
            (Life { registrant: Some(_), .. }, Some(_)) => Some(Refusal::AlreadyRegistered),
            (Life { last: 0, .. }, None) => Some(Refusal::UnknownEntity),
            (Life { registrant: None, .. }, None) => Some(Refusal::NotRegistered),
            (Life { registrant: Some(registrant), .. }, None) if registrant != who => Some(Refusal::NotRegistrant),
            _ => None,
        };
        if let Some(refusal) = refusal {
            return (Outcome::Refused(refusal), life.last);
        }
        self.last += 1;
        self.lives[name] = Life { last: self.last, registrant: attributes.map(|_| who) };
        let (entity, sequence, time) = (named(name).entity, Sequence::new(self.last), now);
        let outcome = match attributes {
            Some(_) => Outcome::Registered { entity, sequence, time, replayed: false },
            None => Outcome::Removed { entity, sequence, time, replayed: false },
        };
        if let Some(nonce) = nonce {
            self.nonces.insert((who, nonce), (spelled, outcome.clone(), self.last));
        }
        (outcome, self.last)
    }
}

fn named(name: usize) -> Named {
    let entity = Entity::parse(NAMES[name]).expect("a name");
    Named { hash: KEY.hash(entity.as_str()), entity }
}

/// The engine, with what is expected of it and what it did.
struct Run {
    engine: Engine<usize>,
    model: Model,
    effects: Vec<Effect<usize>>,
    expected: Vec<Option<(Outcome, u64)>>,
    events: Vec<Event>,
    durable: u64,
}

impl Run {
    /// One byte is one command, or a sync.
    fn step(&mut self, now: Timestamp, byte: u8) {
        let bits = |from: u32, count: u32| usize::from(byte >> from) & ((1 << count) - 1);
        let (name, who) = (bits(2, 2), bits(4, 1));
        // Half of the changes carry one of two nonces.
        let nonce = (bits(5, 1) == 1).then_some(if bits(6, 1) == 1 { 1_u8 } else { 0 });
        let attributes = Some(bits(7, 1));
        let (command, once, expected) = match bits(0, 2) {
            0 => {
                let expected = self.model.change(now, &Change { name, who, nonce, attributes });
                let attributes = Attributes::from_canonical(ATTRIBUTES[bits(7, 1)]);
                (Command::Register { subject: named(name), attributes }, nonce, expected)
            }
            1 => {
                let expected = self.model.change(now, &Change { name, who, nonce, attributes: None });
                (Command::Remove { subject: named(name) }, nonce, expected)
            }
            2 => {
                let life = self.model.lives[name];
                let verified = |_| Outcome::Unavailable(repsec::domain::Unavailable::Failed);
                let outcome = life.registrant.map_or(Outcome::Refused(Refusal::NotRegistered), verified);
                let command = Command::Verify { subject: named(name), claim: Claim::Registered, at: None };
                (command, None, (outcome, life.last))
            }
            _ => return self.sync(now, u64::from(byte >> 2)),
        };
        let once =
            once.map(|nonce| Once { made: now, nonce: Nonce::parse(&format!("nonce-{nonce:0>20}")).expect("a nonce") });
        let request = Request { principal: Principal::from_name(WHO[who]), once, command };
        self.expected.push(Some(expected));
        let input = Input::Asked { tag: self.expected.len() - 1, asked: Asked::One(Box::new(request)) };
        self.engine.step(now, input, &mut self.effects);
        self.check();
    }

    fn sync(&mut self, now: Timestamp, count: u64) {
        self.durable = self.model.last.min(self.durable.saturating_add(count));
        self.engine.step(now, Input::Durable(Sequence::new(self.durable)), &mut self.effects);
        self.check();
    }

    fn check(&mut self) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Append { hash, event } => {
                    assert_eq!(hash, KEY.hash(event.entity.as_str()));
                    self.events.push(event);
                }
                Effect::Answer { tag, outcome } => {
                    let (expected, depends_on) = self.expected[tag].take().expect("answered once");
                    assert!(depends_on <= self.durable, "answer {tag} shows event {depends_on} before its sync");
                    match (outcome, expected) {
                        // The model has no words for a yes.
                        (Outcome::Verified(verified), Outcome::Unavailable(_)) => assert!(verified.verified),
                        (outcome, expected) => assert_eq!(outcome, expected),
                    }
                }
                Effect::Read { .. } => panic!("nobody asked for history"),
            }
        }
    }
}

/// Each byte is one step.
pub fn run(data: &[u8]) {
    let sequencer = Arc::new(Sequencer::new(Sequence::ZERO, Timestamp::ZERO));
    let nonces = Arc::new(Nonces::new(KEY, 10_000));
    let engine = Engine::new(Current::new(KEY), Sequence::ZERO, nonces, sequencer);
    let mut run = Run {
        engine,
        model: Model::default(),
        effects: Vec::new(),
        expected: Vec::new(),
        events: Vec::new(),
        durable: 0,
    };
    // Within the window of nonces, so that none is forgotten.
    let steps = data.get(..data.len().min(250)).unwrap_or_default();
    let mut now = Timestamp::from_unix_s(1_000_000);
    for (second, byte) in (1_000_000..).zip(steps) {
        now = Timestamp::from_unix_s(second);
        run.step(now, *byte);
    }
    run.sync(now, u64::MAX);
    assert!(run.expected.iter().all(Option::is_none), "everything is answered once all is durable");
    assert_eq!(run.engine.pending(), 0);
    let mut rebuilt = Current::new(KEY);
    for (place, event) in (1..).zip(&run.events) {
        assert_eq!(event.sequence, Sequence::new(place), "dense, in order");
        rebuilt.put(KEY.hash(event.entity.as_str()), event.entity.as_str(), &apply(event, KEY));
    }
    assert_eq!(rebuilt.state_hash(), run.engine.table().state_hash(), "the events alone rebuild the table");
}
