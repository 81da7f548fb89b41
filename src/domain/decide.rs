//! What a command means for the standing it meets.

use crate::types::{HashKey, Sequence, Timestamp};

use super::changes::ChangeRef;
use super::command::{At, Claim, Command, Request};
use super::event::{Change, Event};
use super::outcome::Verified;
use super::refusal::Refusal;
use super::standing::Standing;

/// What to do about a command on one entity.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    /// What is asked happens.
    Happens,
    /// The entity's standing answers the question.
    Answers(Verified),
    /// The entity's history answers the question.
    ReadHistory,
    /// The command is denied.
    Refused(Refusal),
}

/// What the deciding needs to know besides the standing.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The server's clock.
    pub now: Timestamp,
    /// The last place of the log that is taken, durable or not.
    pub last: Sequence,
    /// The store's key.
    pub key: HashKey,
    /// SHA-256.
    pub digest_of: &'a dyn Fn(&str) -> [u8; 32],
}

/// Decides a command that concerns one entity, given the entity's standing (`None`: never registered).
///
/// Whether a nonce is fresh is decided before (`projection::nonces`), since it concerns no single entity.
/// [`Lookups`](super::Lookups) need no deciding: what is registered is found.
pub fn decide(standing: Option<&Standing<'_>>, request: &Request, context: &Context<'_>) -> Decision {
    match (request.change(), &request.command) {
        (Some(change), _) => decide_change(standing, &change).map_or_else(Decision::Refused, |()| Decision::Happens),
        (None, Command::Verify { claim, at: None, .. }) => decide_verify(standing, claim, context),
        (None, Command::Verify { at: Some(at), .. }) => decide_verify_at(standing, *at, context),
        (None, _) if standing.is_some() => Decision::ReadHistory,
        (None, _) => Decision::Refused(Refusal::UnknownEntity),
    }
}

/// Decides whether a change that is asked for happens.
///
/// # Errors
/// Why it does not.
pub fn decide_change(standing: Option<&Standing<'_>>, change: &ChangeRef<'_>) -> Result<(), Refusal> {
    match (change.attributes, standing) {
        (Some(_), Some(standing)) if standing.registered => Err(Refusal::AlreadyRegistered),
        (Some(_), _) => Ok(()),
        (None, None) => Err(Refusal::UnknownEntity),
        (None, Some(standing)) if !standing.registered => Err(Refusal::NotRegistered),
        (None, Some(standing)) if standing.registrant != change.principal => Err(Refusal::NotRegistrant),
        (None, Some(_)) => Ok(()),
    }
}

fn decide_verify(standing: Option<&Standing<'_>>, claim: &Claim, context: &Context<'_>) -> Decision {
    match decide_registered(standing) {
        Ok(registered) => match standing.and_then(|it| it.fulfils(claim, context.key, context.digest_of)) {
            Some(verified) => Decision::Answers(Verified { verified, ..registered }),
            None => Decision::ReadHistory,
        },
        Err(refusal) => Decision::Refused(refusal),
    }
}

/// Decides whether an entity is registered, without any claim about its attributes.
///
/// # Errors
/// [`Refusal::NotRegistered`].
fn decide_registered(standing: Option<&Standing<'_>>) -> Result<Verified, Refusal> {
    match standing {
        Some(standing) if standing.registered => {
            Ok(Verified { verified: true, kind: standing.kind.clone(), last_updated: standing.updated })
        }
        _ => Err(Refusal::NotRegistered),
    }
}

/// Decides a claim about an entity after its last event, or after the last one before some moment.
///
/// # Errors
/// [`Refusal::NotRegistered`].
pub fn decide_claim(
    last: Option<&Event>,
    claim: &Claim,
    digest_of: &dyn Fn(&str) -> [u8; 32],
) -> Result<Verified, Refusal> {
    match last.map(|event| (event, &event.change)) {
        Some((event, Change::Registered { attributes })) => Ok(Verified {
            verified: claim.holds_for(attributes, digest_of),
            kind: event.entity.kind().clone(),
            last_updated: event.time,
        }),
        Some((_, Change::Removed)) | None => Err(Refusal::NotRegistered),
    }
}

fn decide_verify_at(standing: Option<&Standing<'_>>, at: At, context: &Context<'_>) -> Decision {
    let future = match at {
        At::Sequence(sequence) => sequence > context.last,
        At::Time(time) => time > context.now,
    };
    match standing {
        _ if future => Decision::Refused(Refusal::AtInFuture),
        None => Decision::Refused(Refusal::NotRegistered),
        Some(_) => Decision::ReadHistory,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Named, Page, apply};
    use crate::types::{Attributes, Digest, Entity, Once, Principal};

    const KEY: HashKey = HashKey::new([4; 16]);

    fn no_digest(_: &str) -> [u8; 32] {
        [0; 32]
    }

    fn asked(command: impl Fn(Named) -> Command) -> Request {
        let entity = Entity::parse("a.example").unwrap();
        let command = command(Named { hash: KEY.hash(entity.as_str()), entity });
        Request { principal: Principal::Anonymous, once: None::<Once>, command }
    }

    fn event(registered: bool) -> Event {
        let change = if registered { Change::Registered { attributes: Attributes::none() } } else { Change::Removed };
        let (sequence, time) = (Sequence::new(1), Timestamp::from_unix_s(1));
        let entity = Entity::parse("a.example").unwrap();
        Event { sequence, time, principal: Principal::Anonymous, once: None, entity, change }
    }

    /// What the commands that read find, of an entity that was never there, is removed, or registered.
    fn known() -> impl Strategy<Value = Option<Event>> {
        prop::option::of(any::<bool>().prop_map(event))
    }

    proptest! {
        /// The past is in the log, unless it has not come yet, or nothing ever was.
        #[test]
        fn the_past_is_read_from_the_log(known in known(), at in 0..4_u64, end in 0..4_u64, by_time: bool) {
            let standing = known.as_ref().map(|event| apply(event, KEY));
            let (now, last) = (Timestamp::from_unix_s(end), Sequence::new(end));
            let context = Context { now, last, key: KEY, digest_of: &no_digest };
            let moment = if by_time { At::Time(Timestamp::from_unix_s(at)) } else { At::Sequence(Sequence::new(at)) };
            let verify = asked(|subject| Command::Verify { subject, claim: Claim::Registered, at: Some(moment) });
            let expected = match &known {
                _ if at > end => Decision::Refused(Refusal::AtInFuture),
                None => Decision::Refused(Refusal::NotRegistered),
                Some(_) => Decision::ReadHistory,
            };
            prop_assert_eq!(decide(standing.as_ref(), &verify, &context), expected);

            let page = Page { limit: 1, order: super::super::Order::Ascending, after: None, since: None, until: None };
            let audit = asked(|subject| Command::Audit { subject, page: Box::new(page) });
            let expected = if known.is_some() { Decision::ReadHistory } else { Decision::Refused(Refusal::UnknownEntity) };
            prop_assert_eq!(decide(standing.as_ref(), &audit, &context), expected);
        }
    }

    #[test]
    fn what_is_not_registered_fulfils_no_claim() {
        let digest = Claim::Digest(Box::new(Digest([0; 32])));
        for claim in [Claim::Registered, Claim::Attributes(Attributes::none()), digest] {
            assert_eq!(apply(&event(false), KEY).fulfils(&claim, KEY, no_digest), Some(false), "{claim:?}");
            assert_eq!(apply(&event(true), KEY).fulfils(&claim, KEY, no_digest), Some(true), "{claim:?}");
        }
    }

    #[test]
    fn registering_and_removing_change_state_and_asking_does_not() {
        let attributes = Attributes::none();
        assert!(asked(|subject| Command::Register { subject, attributes: attributes.clone() }).command.changes_state());
        assert!(asked(|subject| Command::Remove { subject }).command.changes_state());
        let verify = asked(|subject| Command::Verify { subject, claim: Claim::Registered, at: None });
        assert!(!verify.command.changes_state());
    }
}
