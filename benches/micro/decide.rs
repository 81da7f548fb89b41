//! How long does it take to decide a command, once the standing of its entity is known?
//!
//! Workload: an entity with 69 bytes of attributes. "VERIFY" claims that it is registered, "VERIFY of attributes" names
//! all of them, "VERIFY of a part" one of the three, which only its last event can decide; "VERIFY of a digest" likewise. "REGISTER" is of an entity that is not
//! registered, and takes effect, as does "REMOVE"; "REGISTER again" is refused.
//!
//! What the numbers are not: the finding of the standing (`table`), or what follows from the decision.

use std::hint::black_box;

use criterion::Criterion;
use repsec::domain::{Claim, Command, Context, Decision, Named, Refusal, Request, Standing, decide};
use repsec::engine::sha256;
use repsec::types::{Attributes, Digest, Entity, Kind, Sequence};

use crate::workload::{self, ATTRIBUTES, KEY};

const CLAIMED: &str = r#"{"source":"list-9bbbf2da92b5"}"#;

fn subject() -> Named {
    let name = "mailinator.com";
    Named { hash: KEY.hash(name), entity: Entity::from_canonical(Kind::Domain, name) }
}

fn verify(claim: Claim) -> Command {
    Command::Verify { subject: subject(), claim, at: None }
}

fn register() -> Command {
    Command::Register { subject: subject(), attributes: Attributes::from_canonical(ATTRIBUTES) }
}

fn is_verified(decision: &Decision) -> bool {
    matches!(decision, Decision::Answers(verified) if verified.verified)
}

fn is_read(decision: &Decision) -> bool {
    *decision == Decision::ReadHistory
}

fn happens(decision: &Decision) -> bool {
    *decision == Decision::Happens
}

/// Every command that is decided without the log.
pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide");
    let registrant = workload::principal();
    let standing = Standing {
        kind: Kind::Domain,
        registered: true,
        sequence: Sequence::new(1),
        updated: workload::time_of(1),
        registrant: registrant.name(),
        attributes: KEY.fingerprint(ATTRIBUTES),
    };
    let context = Context { now: workload::time_of(2), last: Sequence::new(1), key: KEY, digest_of: &sha256 };
    let attributes = Claim::Attributes(Attributes::from_canonical(ATTRIBUTES));
    let part = Claim::Attributes(Attributes::from_canonical(CLAIMED));
    let digest = Claim::Digest(Box::new(Digest(sha256(ATTRIBUTES))));
    type Expected = fn(&Decision) -> bool;
    let cases: [(&str, Option<&Standing<'_>>, Command, Expected); 7] = [
        ("VERIFY", Some(&standing), verify(Claim::Registered), is_verified),
        ("VERIFY of attributes", Some(&standing), verify(attributes), is_verified),
        ("VERIFY of a part", Some(&standing), verify(part), is_read),
        ("VERIFY of a digest", Some(&standing), verify(digest), is_read),
        ("REGISTER", None, register(), happens),
        ("REGISTER again", Some(&standing), register(), |decision| {
            *decision == Decision::Refused(Refusal::AlreadyRegistered)
        }),
        ("REMOVE", Some(&standing), Command::Remove { subject: subject() }, happens),
    ];
    for (name, standing, command, is_expected) in cases {
        let request = Request { principal: registrant.clone(), once: None, command };
        let decision = decide(standing, &request, &context);
        assert!(is_expected(&decision), "{name}: {decision:?}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| decide(black_box(standing), black_box(&request), &context));
        });
    }
    group.finish();
}
