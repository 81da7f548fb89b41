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
    Asked, At, ChangeRef, Changed, Changes, Command, Context, Decision, Event, EventRef, Lookups, Named, Outcome,
    Refusal, Request, Unavailable, decide, decide_change, standing_after,
};
use crate::projection::{AHEAD, Claimed, Current, Nonces, Region, Repeatable};
use crate::types::limits::REPLAY_WINDOW_S;
use crate::types::{EntityHash, Sequence, Timestamp};

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
    fn append(&mut self, hash: EntityHash, event: &EventRef<'_>);

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
    fn append(&mut self, hash: EntityHash, event: &EventRef<'_>) {
        self.push(Effect::Append { hash, event: Event::from(*event) });
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
                Asked::Changes(changes) => soon.extend(changes.each().iter().map(|change| change.hash)),
            }
        }
        for together in soon.chunks(PREFETCHED_TOGETHER) {
            self.table.prefetch(together.iter().copied());
        }
        soon.clear();
        self.soon = soon;
        let mut names = std::mem::take(&mut self.names);
        for (_, asked) in questions.iter() {
            match asked {
                Asked::One(request) => names.push(self.name_of_nonce(request)),
                Asked::Many(_) | Asked::Each(_) => {}
                Asked::Changes(changes) => self.names_of_nonces(changes, &mut names),
            }
        }
        // One right behind the other, and not each behind the hashing of its name: then they are waited for together.
        names.iter().flatten().for_each(|name| self.nonces.prefetch(*name));
        let mut name = names.iter().copied();
        for (tag, asked) in questions.drain(..) {
            match asked {
                Asked::One(request) if !self.failed => {
                    self.one(now, tag, *request, name.next().flatten(), effects);
                }
                Asked::Changes(changes) if !self.failed => self.changes(now, tag, changes, &mut name, effects),
                asked => self.step(now, Input::Asked { tag, asked }, effects),
            }
        }
        names.clear();
        self.names = names;
    }

    /// Takes one input and tells `effects` what is to be done about it.
    pub fn step(&mut self, now: Timestamp, input: Input<T>, effects: &mut impl Effects<T>) {
        match input {
            Input::Asked { tag, asked } if self.failed => {
                let outcome = match asked {
                    Asked::Each(lookups) => failed(Outcome::VerifiedEach(lookups)),
                    Asked::Changes(changes) => failed(Outcome::Changed(changes)),
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
            Input::Asked { tag, asked: Asked::Changes(changes) } => {
                let mut names = Vec::with_capacity(changes.len());
                self.names_of_nonces(&changes, &mut names);
                self.changes(now, tag, changes, &mut names.into_iter(), effects);
            }
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

    /// The same of each of these changes.
    fn names_of_nonces(&self, changes: &Changes, names: &mut Vec<Option<u128>>) {
        let principal = changes.principal.name();
        names.extend(changes.each().iter().map(|change| {
            let once = changes.once(change)?;
            Some(self.nonces.name(principal, once.nonce))
        }));
    }

    fn one(&mut self, now: Timestamp, tag: T, request: Request, nonce: Option<u128>, effects: &mut impl Effects<T>) {
        if let Some(asked) = request.change() {
            let mut changed = Changed::Undecided;
            let depends_on = self.change(now, &asked, nonce, &mut changed, effects);
            return self.answer(tag, depends_on, outcome_of(request.command, changed), effects);
        }
        let subject = request.command.subject();
        let standing = self.table.standing(subject.hash, subject.entity.as_str());
        // What a command saw may be an event that is not durable yet; then its answer waits for that event.
        let saw = standing.as_ref().map_or(Sequence::ZERO, |standing| standing.sequence);
        let context = Context { now, last: self.sequencer.last(), key: self.table.key(), digest_of: &sha256 };
        match decide(standing.as_ref(), &request, &context) {
            // Only a change does.
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

    /// Changes that came together: one after the other. Their answers leave together, when the last event is durable that
    /// one of them depends on; they have one place in the queue of answers, as they have one in the log.
    fn changes(
        &mut self,
        now: Timestamp,
        tag: T,
        mut changes: Box<Changes>,
        nonces: &mut impl Iterator<Item = Option<u128>>,
        effects: &mut impl Effects<T>,
    ) {
        let mut last = Sequence::ZERO;
        for ((asked, noted), nonce) in changes.each_mut().zip(nonces) {
            last = last.max(self.change(now, &asked, nonce, noted, effects));
        }
        if last > self.durable {
            changes.keep_names();
        }
        self.answer(tag, last, Outcome::Changed(changes), effects);
    }

    /// Decides a change and has it happen, if it does. What is noted to have come of it may be told when the event is
    /// durable that it returns.
    fn change(
        &mut self,
        now: Timestamp,
        asked: &ChangeRef<'_>,
        nonce: Option<u128>,
        noted: &mut Changed,
        effects: &mut impl Effects<T>,
    ) -> Sequence {
        let what = match asked.attributes {
            Some(attributes) => Repeatable::Registers(self.table.key().fingerprint(attributes)),
            None => Repeatable::Removes,
        };
        let position = self.table.position(asked.hash, asked.entity);
        let standing = self.table.standing_at(position);
        let saw = standing.as_ref().map_or(Sequence::ZERO, |standing| standing.sequence);
        let refusal = decide_change(standing.as_ref(), asked).err();
        let take = || refusal.is_none().then(|| self.sequencer.take(now));
        let taken = match self.claim(now, asked, nonce, what, take) {
            Ok(taken) => taken,
            Err((changed, depends_on)) => {
                *noted = changed;
                return depends_on;
            }
        };
        let Some((sequence, time)) = taken else {
            // It takes no place only where it is refused.
            *noted = refusal.map_or(Changed::Undecided, Changed::Refused);
            return saw;
        };
        // A removal names no kind: the entity keeps the one that it was registered as.
        let kind = match (asked.attributes, standing) {
            (None, Some(standing)) => standing.kind,
            _ => asked.kind.clone(),
        };
        let ChangeRef { principal, once, hash, entity, attributes, .. } = *asked;
        effects.append(hash, &EventRef { sequence, time, principal, once, entity, kind: &kind, attributes });
        let began = attributes.map(|_| (principal, what.attributes()));
        self.table.put_at(position, hash, entity, &standing_after(sequence, time, kind, began));
        *noted = Changed::Happened { sequence, time, replayed: false };
        sequence
    }

    /// Has a change take its place in the log, if it takes one, and claims its nonce if it has one. `Err`: it ends here, and
    /// what came of it depends on this event.
    fn claim(
        &self,
        now: Timestamp,
        asked: &ChangeRef<'_>,
        nonce: Option<u128>,
        what: Repeatable,
        take: impl FnOnce() -> Option<(Sequence, Timestamp)>,
    ) -> Result<Option<(Sequence, Timestamp)>, (Changed, Sequence)> {
        let (Some(once), Some(nonce)) = (asked.once, nonce) else { return Ok(take()) };
        if is_stale(now, once.made) {
            return Err((Changed::Refused(Refusal::StaleTimestamp { now }), Sequence::ZERO));
        }
        let fingerprint = self.nonces.fingerprint(asked.hash, asked.kind, what);
        match self.nonces.claim(nonce, fingerprint, once.made, now, take) {
            Claimed::Fresh(taken) => Ok(taken),
            // Who is told of the other use must not be told of what a crash could undo.
            Claimed::Other { sequence } => Err((Changed::Refused(Refusal::NonceReused), sequence)),
            // To its sender it is one that was made before the clock is willing to go back to.
            Claimed::Forgotten => Err((Changed::Refused(Refusal::StaleTimestamp { now }), Sequence::ZERO)),
            Claimed::Full => Err((Changed::Refused(Refusal::TooManyNonces), Sequence::ZERO)),
            Claimed::Same { sequence, time } => Err((Changed::Happened { sequence, time, replayed: true }, sequence)),
        }
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
        Outcome::Changed(mut changes) => {
            changes.fail(Unavailable::Failed);
            Outcome::Changed(changes)
        }
        _ => Outcome::Unavailable(Unavailable::Failed),
    }
}

/// What came of a change, as the end of its command.
fn outcome_of(command: Command, changed: Changed) -> Outcome {
    match (changed, command) {
        (Changed::Happened { sequence, time, replayed }, Command::Register { subject: Named { entity, .. }, .. }) => {
            Outcome::Registered { entity, sequence, time, replayed }
        }
        (Changed::Happened { sequence, time, replayed }, Command::Remove { subject: Named { entity, .. } }) => {
            Outcome::Removed { entity, sequence, time, replayed }
        }
        (Changed::Refused(refusal), _) => Outcome::Refused(refusal),
        (Changed::Unavailable(why), _) => Outcome::Unavailable(why),
        // No other command is a change.
        (Changed::Happened { .. } | Changed::Undecided, _) => Outcome::Unavailable(Unavailable::Failed),
    }
}

/// Whether `ts` lies further from the clock than the replay window, before or after.
fn is_stale(now: Timestamp, made: Timestamp) -> bool {
    now.unix_s().abs_diff(made.unix_s()) > REPLAY_WINDOW_S
}

/// SHA-256 of a text, for claims by digest.
pub fn sha256(text: &str) -> [u8; 32] {
    sha2::Sha256::digest(text.as_bytes()).into()
}
