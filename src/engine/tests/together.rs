//! Tests of `engine`: changes that travel together.

use super::*;

/// A change, by numbers: the name, the attributes with which its life shall begin, the nonce.
type Ask = (usize, Option<usize>, Option<usize>);

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    prop::collection::vec((0..NAMES.len(), prop::option::of(0..ATTRIBUTES.len()), prop::option::of(0..4_usize)), 0..40)
}

fn together(who: usize, now: Timestamp, asks: &[Ask]) -> Box<Changes> {
    let mut changes = Changes::new(Principal::from_name(WHO[who]));
    for (place, (name, attributes, nonce)) in (0..).zip(asks) {
        let Named { hash, entity } = named(NAMES[*name]);
        let once = once(*nonce, now);
        let subject = (hash, entity.kind().to_static().unwrap(), entity.as_str());
        changes.push(place, subject, attributes.map(|at| ATTRIBUTES[at]), once.as_ref().map(Once::as_ref));
    }
    Box::new(changes)
}

fn alone(who: usize, now: Timestamp, (name, attributes, nonce): Ask) -> Asked {
    let subject = named(NAMES[name]);
    let command = match attributes {
        Some(at) => Command::Register { subject, attributes: Attributes::from_canonical(ATTRIBUTES[at]) },
        None => Command::Remove { subject },
    };
    request(WHO[who], once(nonce, now), command)
}

/// What came of changes, each as the answer to one that was decided alone tells it.
fn told_of(changes: &Changes) -> Vec<Outcome> {
    let each = changes.each().iter().map(|change| {
        let asked = changes.asked(change);
        let entity = Entity::from_canonical(asked.kind.clone(), asked.entity);
        match (change.changed, asked.attributes) {
            (Changed::Undecided, _) => panic!("it was answered and not decided"),
            (Changed::Happened { sequence, time, replayed }, Some(_)) => {
                Outcome::Registered { entity, sequence, time, replayed }
            }
            (Changed::Happened { sequence, time, replayed }, None) => {
                Outcome::Removed { entity, sequence, time, replayed }
            }
            (Changed::Refused(refusal), _) => Outcome::Refused(refusal),
            (Changed::Unavailable(why), _) => Outcome::Unavailable(why),
        }
    });
    each.collect()
}

proptest! {
    /// Changes that come together make the events, and have the answers, of the same changes one by one; and have them
    /// when the last of those would have its own.
    #[test]
    fn changes_together_are_changes_one_by_one(
        groups in prop::collection::vec((0..WHO.len(), asks()), 1..5), durable in 0..60_u64, fails: bool, at_once: bool,
    ) {
        let now = Timestamp::from_unix_s(1_000_000);
        let (mut single, mut grouped) = (fresh(), fresh());
        let (mut expected, mut effects, mut questions) = (Vec::new(), Vec::new(), Vec::new());
        let (mut place, mut ends) = (0, Vec::new());
        for (who, asks) in &groups {
            // Between them a question of which the nonces know nothing.
            questions.push((u64::MAX, Asked::Each(lookups(&[named("never.example")]))));
            questions.push((place, Asked::Changes(together(*who, now, asks))));
            for ask in asks {
                single.step(now, Input::Asked { tag: place, asked: alone(*who, now, *ask) }, &mut expected);
                place += 1;
            }
            ends.push(place);
        }
        if at_once {
            grouped.step_all(now, &mut questions, &mut effects);
        } else {
            for (tag, asked) in questions {
                grouped.step(now, Input::Asked { tag, asked }, &mut effects);
            }
        }
        let size = usize::try_from(place).unwrap();
        let (mut singly, mut told) = (vec![None; size], vec![None; size]);
        let (mut events, mut same) = (Vec::new(), Vec::new());
        for step in 0..3 {
            let input = || match step {
                0 => Input::Durable(Sequence::ZERO),
                1 => Input::Durable(Sequence::new(durable)),
                _ if fails => Input::Failed,
                _ => Input::Durable(Sequence::new(1_000)),
            };
            single.step(now, input(), &mut expected);
            grouped.step(now, input(), &mut effects);
            for effect in expected.drain(..) {
                match effect {
                    Effect::Append { hash, event } => events.push((hash, event)),
                    Effect::Answer { tag, outcome } => singly[usize::try_from(tag).unwrap()] = Some(outcome),
                    other @ Effect::Read { .. } => prop_assert!(false, "{other:?}"),
                }
            }
            for effect in effects.drain(..) {
                match effect {
                    Effect::Append { hash, event } => same.push((hash, event)),
                    Effect::Answer { tag: u64::MAX, .. } => {}
                    Effect::Answer { tag, outcome: Outcome::Changed(changes) } => {
                        for (outcome, place) in told_of(&changes).into_iter().zip(tag..) {
                            let place = usize::try_from(place).unwrap();
                            prop_assert_eq!(told[place].replace(outcome), None, "answered twice");
                        }
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
            }
            let mut begin = 0;
            for end in &ends {
                let group = begin..usize::try_from(*end).unwrap();
                begin = group.end;
                let is_whole = singly[group.clone()].iter().all(Option::is_some);
                for (told, alone) in told[group.clone()].iter().zip(&singly[group]) {
                    // Where the disk fails, all of a group do whose last is not durable.
                    let failed = *told == Some(Outcome::Unavailable(Unavailable::Failed));
                    let fits = if is_whole { told == alone || fails && step == 2 && failed } else { told.is_none() };
                    prop_assert!(fits, "{:?} is not {:?}", told, alone);
                }
            }
        }
        prop_assert_eq!(same, events);
        prop_assert_eq!(grouped.pending(), 0);
        prop_assert_eq!(single.table().state_hash(), grouped.table().state_hash());
    }
}
