//! Floor 3, one shard's brain: inputs in, effects out, nothing done.
//!
//! [`Engine::step`] is synchronous. It reads and changes only the shard's own memory (and the two structures that all
//! shards share, the [`Sequencer`] and the memory of nonces), and tells [`Effects`] what is to be done: append this, answer
//! that, read history. Time is an input.
//!
//! Two rules keep the promises P1 and P2. An event is applied at once, so that the next command sees it; and an answer
//! leaves only when every event it depends on is durable. Since a failed append ends the process (P7), nothing is ever
//! rolled back.
//!
//! May use: `types`, `domain`, `projection`. Never: sockets, faces, monoio, RocksDB, a clock, an await.

mod pending;
mod sequencer;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use sha2::Digest as _;

use crate::domain::{
    Asked, At, Change, Command, Context, Decision, Event, Lookups, Named, Outcome, Refusal, Request, Unavailable,
    apply_known, decide,
};
use crate::projection::{AHEAD, Claimed, Current, Nonces, Position, Region, Repeatable};
use crate::types::limits::REPLAY_WINDOW_S;
use crate::types::{Entity, EntityHash, Fingerprint, HashKey, Kind, Once, Sequence, Timestamp};

use pending::{Pending, Waiting};
pub use sequencer::Sequencer;

/// Entities whose memory is asked for together before they are looked at: as many as a core has loads in flight.
const PREFETCHED_TOGETHER: usize = 32;

/// What may happen to a shard.
#[derive(Debug)]
pub enum Input<T> {
    /// Somebody asks; the tag comes back with the answer.
    Asked {
        /// Whose command.
        tag: T,
        /// What is asked. Every entity in it belongs to this shard.
        asked: Asked,
    },
    /// All events up to this one are on disk.
    Durable(Sequence),
    /// A write failed: nothing more will ever be durable.
    Failed,
}

/// Takes what is to be done, in the order in which it is to be done. None of it may ask the engine, which is not done yet.
pub trait Effects<T> {
    /// Append this event to the log. The hash is the entity's, for the index.
    fn append(&mut self, hash: EntityHash, event: &Event);

    /// Give this answer.
    fn answer(&mut self, tag: T, outcome: Outcome);

    /// Read the history that this command asks for, all of which is durable, and answer. It is AUDIT, VERIFY of a moment in
    /// the past, or VERIFY of a claim about attributes, which are in the entity's last event. `up_to` is that event when the
    /// command was decided. What happened later, it does not see: commands take effect in their order, and history is read
    /// after the command behind this one may have been decided.
    fn read(&mut self, tag: T, command: Box<Command>, up_to: Sequence);
}

/// What is to be done, as data, for whoever looks at all of it before it is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect<T> {
    /// [`Effects::append`]
    Append {
        /// The entity's hash.
        hash: EntityHash,
        /// What happened.
        event: Event,
    },
    /// [`Effects::answer`]
    Answer {
        /// To whom.
        tag: T,
        /// What.
        outcome: Outcome,
    },
    /// [`Effects::read`]
    Read {
        /// To whom.
        tag: T,
        /// What is asked.
        command: Box<Command>,
        /// The last event that it sees.
        up_to: Sequence,
    },
}

impl<T> Effects<T> for Vec<Effect<T>> {
    fn append(&mut self, hash: EntityHash, event: &Event) {
        self.push(Effect::Append { hash, event: event.clone() });
    }

    fn answer(&mut self, tag: T, outcome: Outcome) {
        self.push(Effect::Answer { tag, outcome });
    }

    fn read(&mut self, tag: T, command: Box<Command>, up_to: Sequence) {
        self.push(Effect::Read { tag, command, up_to });
    }
}

/// One shard: its entities and the answers that wait.
pub struct Engine<T> {
    table: Current,
    nonces: Arc<Nonces>,
    sequencer: Arc<Sequencer>,
    pending: Pending<T>,
    durable: Sequence,
    failed: bool,
    /// The nonces of the commands that are taken together; kept for its memory.
    names: Vec<Option<u128>>,
    /// The entities of those; kept for its memory.
    soon: Vec<EntityHash>,
}

impl<T: Copy> Engine<T> {
    /// A shard with these entities, for a log that is durable up to `durable`.
    pub fn new(table: Current, durable: Sequence, nonces: Arc<Nonces>, sequencer: Arc<Sequencer>) -> Engine<T> {
        Engine {
            table,
            nonces,
            sequencer,
            pending: Pending::default(),
            durable,
            failed: false,
            names: Vec::new(),
            soon: Vec::new(),
        }
    }

    /// The entities.
    pub fn table(&self) -> &Current {
        &self.table
    }

    /// Moves some of the entities to another page of memory, and returns what they leave ([`Current::move_to`]).
    pub fn move_table_to(&mut self, page: Region) -> Region {
        self.table.move_to(page)
    }

    /// Gives the table memory to grow into ([`Current::give_memory`]).
    pub fn give_table_memory(&mut self, next: Region) {
        self.table.give_memory(next);
    }

    /// Answers that wait for the disk.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Takes many questions, in order. The memory that they will need is asked for first, many at a time, so that one
    /// does not wait for it behind the other; the table does the same for many lookups that come together.
    pub fn step_all(&mut self, now: Timestamp, questions: &mut Vec<(T, Asked)>, effects: &mut impl Effects<T>) {
        let mut soon = std::mem::take(&mut self.soon);
        for (_, asked) in questions.iter() {
            match asked {
                Asked::One(request) => soon.push(request.command.subject().hash),
                // So few that they wait for memory although the table has them ask for that of each other.
                Asked::Many(few) | Asked::Each(few) if few.len() <= AHEAD => {
                    soon.extend(few.each().iter().map(|lookup| lookup.hash));
                }
                Asked::Many(_) | Asked::Each(_) => {}
            }
        }
        for together in soon.chunks(PREFETCHED_TOGETHER) {
            self.table.prefetch(together.iter().copied());
        }
        soon.clear();
        self.soon = soon;
        let mut names = std::mem::take(&mut self.names);
        names.extend(questions.iter().map(|(_, asked)| match asked {
            Asked::One(request) => self.name_of_nonce(request),
            Asked::Many(_) | Asked::Each(_) => None,
        }));
        // One right behind the other, and not each behind the hashing of its name: then they are waited for together.
        names.iter().flatten().for_each(|name| self.nonces.prefetch(*name));
        for ((tag, asked), name) in questions.drain(..).zip(names.drain(..)) {
            match asked {
                Asked::One(request) if !self.failed => self.one(now, tag, *request, name, effects),
                asked => self.step(now, Input::Asked { tag, asked }, effects),
            }
        }
        self.names = names;
    }

    /// Takes one input and tells `effects` what is to be done about it.
    pub fn step(&mut self, now: Timestamp, input: Input<T>, effects: &mut impl Effects<T>) {
        match input {
            Input::Asked { tag, asked } if self.failed => {
                let outcome = match asked {
                    Asked::Each(lookups) => failed(Outcome::VerifiedEach(lookups)),
                    Asked::One(_) | Asked::Many(_) => Outcome::Unavailable(Unavailable::Failed),
                };
                effects.answer(tag, outcome);
            }
            Input::Asked { tag, asked: Asked::One(request) } => {
                let name = self.name_of_nonce(&request);
                self.one(now, tag, *request, name, effects);
            }
            Input::Asked { tag, asked: Asked::Many(mut lookups) } => {
                let saw = self.table.look_up(&mut lookups);
                self.answer(tag, saw, Outcome::VerifiedMany(lookups), effects);
            }
            Input::Asked { tag, asked: Asked::Each(lookups) } => self.each(tag, lookups, effects),
            Input::Durable(up_to) => {
                self.durable = self.durable.max(up_to);
                self.pending.release(self.durable, effects);
            }
            Input::Failed => {
                self.failed = true;
                self.pending.fail(effects);
            }
        }
    }

    /// Under what the nonce of a command is known that has one.
    fn name_of_nonce(&self, request: &Request) -> Option<u128> {
        let once = request.once.as_ref()?;
        Some(self.nonces.name(request.principal.name(), once.nonce.as_str()))
    }

    fn one(&mut self, now: Timestamp, tag: T, request: Request, nonce: Option<u128>, effects: &mut impl Effects<T>) {
        let what = repeatable(&request.command, self.table.key());
        let subject = request.command.subject();
        let position = self.table.position(subject.hash, subject.entity.as_str());
        let standing = self.table.standing_at(position);
        // What a command saw may be an event that is not durable yet; then its answer waits for that event.
        let saw = standing.as_ref().map_or(Sequence::ZERO, |standing| standing.sequence);
        let kind = standing.as_ref().map(|standing| standing.kind.clone());
        let context = Context { now, last: self.sequencer.last(), key: self.table.key(), digest_of: &sha256 };
        let decision = decide(standing.as_ref(), &request, &context);
        let take = || (decision == Decision::Happens).then(|| self.sequencer.take(now));
        let taken = match self.claim(now, &request, nonce, what, take) {
            Ok(taken) => taken,
            Err((outcome, depends_on)) => return self.answer(tag, depends_on, outcome, effects),
        };
        if let Some(taken) = taken {
            let attributes = what.and_then(Repeatable::attributes);
            return self.happens(taken, tag, request, position, kind, attributes, effects);
        }
        match decision {
            // It has its place, and happened above.
            Decision::Happens => {}
            Decision::Answers(verified) => self.answer(tag, saw, Outcome::Verified(verified), effects),
            Decision::Refused(refusal) => self.answer(tag, saw, Outcome::Refused(refusal), effects),
            Decision::ReadHistory => {
                // A question about a place of the log waits for that place, whoever takes it in the end.
                let asked = match &request.command {
                    Command::Verify { at: Some(At::Sequence(at)), .. } => *at,
                    _ => Sequence::ZERO,
                };
                let waiting = Waiting::Read { tag, command: Box::new(request.command), up_to: saw };
                self.pending.push(saw.max(asked), waiting, self.durable, effects);
            }
        }
    }

    /// Has a command take its place in the log, if it takes one, and claims the nonce of one that has a nonce. `Err`: the
    /// command ends here, with this outcome, which depends on this event.
    fn claim(
        &self,
        now: Timestamp,
        request: &Request,
        nonce: Option<u128>,
        what: Option<Repeatable>,
        take: impl FnOnce() -> Option<(Sequence, Timestamp)>,
    ) -> Result<Option<(Sequence, Timestamp)>, (Outcome, Sequence)> {
        let (Some(once), Some(nonce), Some(what)) = (&request.once, nonce, what) else { return Ok(take()) };
        let Named { hash, entity } = request.command.subject();
        let fingerprint = self.nonces.fingerprint(*hash, entity.kind(), what);
        if is_stale(now, once) {
            return Err((Outcome::Refused(Refusal::StaleTimestamp { now }), Sequence::ZERO));
        }
        match self.nonces.claim(nonce, fingerprint, once.made, now, take) {
            Claimed::Fresh(taken) => Ok(taken),
            // Who is told of the other use must not be told of what a crash could undo.
            Claimed::Other { sequence } => Err((Outcome::Refused(Refusal::NonceReused), sequence)),
            // To its sender it is one that was made before the clock is willing to go back to.
            Claimed::Forgotten => Err((Outcome::Refused(Refusal::StaleTimestamp { now }), Sequence::ZERO)),
            Claimed::Full => Err((Outcome::Refused(Refusal::TooManyNonces), Sequence::ZERO)),
            Claimed::Same { sequence, time } => {
                let entity = request.command.subject().entity.clone();
                let outcome = match &request.command {
                    Command::Remove { .. } => Outcome::Removed { entity, sequence, time, replayed: true },
                    _ => Outcome::Registered { entity, sequence, time, replayed: true },
                };
                Err((outcome, sequence))
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one command that took effect")]
    fn happens(
        &mut self,
        (sequence, time): (Sequence, Timestamp),
        tag: T,
        request: Request,
        position: Position,
        kind: Option<Kind>,
        attributes: Option<Fingerprint>,
        effects: &mut impl Effects<T>,
    ) {
        let Request { principal, once, command } = request;
        let (Named { hash, entity }, change) = match command {
            Command::Register { subject, attributes } => (subject, Change::Registered { attributes }),
            other => (subject_of(other), Change::Removed),
        };
        // A removal names no kind: the entity keeps the one that it was registered as.
        let entity = match (&change, kind) {
            (Change::Removed, Some(kind)) => Entity::from_canonical(kind, entity.as_str()),
            _ => entity,
        };
        let event = Event { sequence, time, principal, once, entity, change };
        self.table.put_at(position, hash, event.entity.as_str(), &apply_known(&event, attributes));
        effects.append(hash, &event);
        let entity = event.entity;
        let outcome = match event.change {
            Change::Registered { .. } => Outcome::Registered { entity, sequence, time, replayed: false },
            Change::Removed => Outcome::Removed { entity, sequence, time, replayed: false },
        };
        self.answer(tag, sequence, outcome, effects);
    }

    /// Lookups of which each has an answer of its own: those that saw what is durable do not wait for the others.
    fn each(&mut self, tag: T, mut lookups: Box<Lookups>, effects: &mut impl Effects<T>) {
        let saw = self.table.look_up(&mut lookups);
        if saw <= self.durable {
            return self.answer(tag, saw, Outcome::VerifiedEach(lookups), effects);
        }
        for mut one in lookups.singly() {
            let saw = self.table.look_up(&mut one);
            self.answer(tag, saw, Outcome::VerifiedEach(Box::new(one)), effects);
        }
    }

    /// Gives an answer as soon as the event that it depends on is durable.
    fn answer(&mut self, tag: T, depends_on: Sequence, outcome: Outcome, effects: &mut impl Effects<T>) {
        self.pending.push(depends_on, Waiting::Answer { tag, outcome }, self.durable, effects);
    }
}

/// What is said in place of an outcome that will never be durable.
fn failed(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::VerifiedEach(mut lookups) => {
            lookups.fail(Unavailable::Failed);
            Outcome::VerifiedEach(lookups)
        }
        _ => Outcome::Unavailable(Unavailable::Failed),
    }
}

/// What a command does that may take effect but once; `None` for one that changes nothing.
fn repeatable(command: &Command, key: HashKey) -> Option<Repeatable> {
    match command {
        Command::Register { attributes, .. } => Some(Repeatable::Registers(key.fingerprint(attributes.as_str()))),
        Command::Remove { .. } => Some(Repeatable::Removes),
        Command::Verify { .. } | Command::Audit { .. } => None,
    }
}

/// Whether `ts` lies further from the clock than the replay window, before or after.
fn is_stale(now: Timestamp, once: &Once) -> bool {
    now.unix_s().abs_diff(once.made.unix_s()) > REPLAY_WINDOW_S
}

fn subject_of(command: Command) -> Named {
    match command {
        Command::Register { subject, .. }
        | Command::Remove { subject }
        | Command::Verify { subject, .. }
        | Command::Audit { subject, .. } => subject,
    }
}

/// SHA-256 of a text, for claims by digest.
pub fn sha256(text: &str) -> [u8; 32] {
    sha2::Sha256::digest(text.as_bytes()).into()
}
