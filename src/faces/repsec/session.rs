//! One connection: messages in, answers out, in the order of the messages (`repsec:O1`, `O2`, `O13`, `O14`).
//!
//! The session keeps a ring of slots, one for each message that is not yet answered. What the store says of a command
//! goes into its slot, and the answer is written only when it is taken, behind all earlier ones; so nothing is copied
//! twice, and the memory of a connection is bounded by its slots.
//!
//! Never: I/O, a clock, or a command that takes effect before its message is complete.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use crate::domain::{Asked, Changed, Changes, Command, Found, Lookups, Order, Outcome, Unavailable, Verified};
use crate::faces::{Face, Record, Step};
use crate::types::{Day, KindCode, Principal, Timestamp};
use crate::wire::Malformed;
use crate::wire::frame::{Scan, Scanner};
use crate::wire::json::Parser;
use crate::wire::shape::Shape;

use super::alike::{self, Known};
use super::answer::{self, Answer};
use super::bulk::Gathering;
use super::id::Id;
use super::lookup;
use super::message::{self, CommandKind, Fault, Meaning, Message, Rejected};
use super::settings::Settings;
use super::status::ErrorCode;
use inbound::Inbound;
use together::Together;

mod inbound;
mod together;

/// Bytes of answers after which no further one is taken at once.
const OUTPUT_BYTES: usize = 64 * 1024;
/// Messages in flight for which an idle session keeps memory.
const KEPT_SLOTS: usize = 4;

/// One connection's conversation.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    parser: Rc<RefCell<Parser>>,
    principal: Principal,
    inbound: Inbound,
    scanner: Scanner,
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    first: u64,
    malformed_in_a_row: u32,
    /// Nothing more is read; what was asked is still answered.
    closing: bool,
    unsent_bytes: usize,
    records: Vec<Record>,
    /// What is asked together.
    together: Together,
    /// What is asked behind that.
    behind: Option<Step>,
    /// What the peer's lookups look like.
    shape: Option<Box<Shape>>,
    /// What its other commands look like.
    known: Known,
}

/// One message that is not yet answered.
#[derive(Debug)]
struct Slot {
    asked: answer::Asked,
    /// The front of the hash of the entity that is meant; 0 for none.
    entity: u64,
    state: State,
    /// What it adds to the session's unsent bytes.
    weight_bytes: usize,
}

#[derive(Debug)]
enum State {
    /// The store has not said anything.
    Waiting,
    /// The store has not said everything.
    Gathering(Gathering),
    /// What a lookup has found, of a kind that is no extension.
    Found(Found),
    /// What came of a change, of those that were decided together the one at this place.
    Changed(Rc<Changes>, usize),
    /// What the store has said. It lies apart, so that slots are small, as does what follows.
    Outcome(Box<Outcome>),
    /// The answer that the face gives.
    Ready(Box<Answer>),
}

impl Session {
    /// A session for a peer that is `principal`. The parser belongs to the thread and is shared by its sessions.
    pub fn new(settings: Arc<Settings>, principal: Principal, parser: Rc<RefCell<Parser>>) -> Session {
        let limits = &settings.limits;
        Session {
            scanner: Scanner::new(limits.bulk_message_bytes_max, limits.depth_max),
            settings,
            parser,
            together: Together::new(principal.clone()),
            principal,
            inbound: Inbound::default(),
            slots: VecDeque::new(),
            first: 0,
            malformed_in_a_row: 0,
            closing: false,
            unsent_bytes: 0,
            records: Vec::new(),
            behind: None,
            shape: None,
            known: Known::default(),
        }
    }

    /// Takes memory for what is received that is lent, unless much of a message waits already.
    pub fn borrow_memory(&mut self, lent: &mut Vec<u8>) {
        self.inbound.borrow_memory(lent);
    }

    /// Gives that memory back, so that the next session finds it in the nearest caches; what is left of a message keeps as
    /// much as it needs.
    pub fn return_memory(&mut self, lent: &mut Vec<u8>) {
        self.forget_consumed();
        self.inbound.return_memory(lent);
    }

    /// The next command that goes alone. Lookups, or changes, before it gather, and go first: then there may be none.
    fn advance(&mut self, now: Timestamp) -> Option<Step> {
        while !self.closing && !self.is_full() {
            if self.lookup().is_some() {
                if self.together.enough_with_lookup() {
                    return None;
                }
                continue;
            }
            if self.known.changes() && self.change().is_some() {
                if self.together.enough_with_change() {
                    return None;
                }
                continue;
            }
            match self.flat(now).or_else(|| self.whole_line(now)) {
                Some(None) => continue,
                Some(step) => return step,
                None => {}
            }
            match self.scanner.scan(self.inbound.bytes()) {
                Scan::Message(range) => {
                    let step = self.message(range, now);
                    if step.is_some() {
                        return step;
                    }
                }
                Scan::Malformed(what) => self.malformed(what),
                Scan::TooLarge => {
                    self.closing = true;
                    self.reject_bytes(message::too_large(self.settings.limits.bulk_message_bytes_max));
                }
                Scan::NeedMore => {
                    self.forget_consumed();
                    return None;
                }
            }
        }
        if self.closing {
            self.inbound = Inbound::default();
        }
        None
    }

    fn forget_consumed(&mut self) {
        let unneeded = self.scanner.consumed();
        self.inbound.forget(unneeded);
        self.scanner.forget(unneeded);
    }

    /// Reads one message if it is like the last VERIFY of one entity, as most are, and adds it to what has gathered. `None` when it
    /// is not: nothing has happened then.
    #[inline]
    fn lookup(&mut self) -> Option<()> {
        let bytes = self.inbound.bytes();
        let begin = self.scanner.next_start(bytes)?;
        let len = bytes.len().checked_sub(begin)?;
        let shape = self.shape.as_deref()?;
        let slot = self.messages();
        let bytes = self.inbound.padded(begin);
        let mut entity = 0;
        let (length, id) = self.together.lookup(slot, |place, lookups| {
            lookup::read_one(shape, bytes, len, &self.settings, |hash, name| {
                entity = hash.front();
                lookups.push(place, hash, name);
            })
        })?;
        self.scanner.accept(begin..begin + length);
        self.malformed_in_a_row = 0;
        self.add_slot(id, CommandKind::Verify, entity);
        Some(())
    }

    /// Reads one message if it asks for a change and is like one before, as most are, and adds it to the changes that have
    /// gathered. `None` when it is not: nothing has happened then.
    #[inline]
    fn change(&mut self) -> Option<()> {
        let bytes = self.inbound.bytes();
        let begin = self.scanner.next_start(bytes)?;
        let len = bytes.len().checked_sub(begin)?;
        let slot = self.messages();
        let bytes = self.inbound.padded(begin);
        let alike::Change { length, id, command, entity } = self
            .together
            .change(slot, |place, changes| self.known.read_change(bytes, len, &self.settings, place, changes))?;
        self.scanner.accept(begin..begin + length);
        self.malformed_in_a_row = 0;
        self.add_slot(id, command, entity);
        Some(())
    }

    /// Appends a slot for what the store will say.
    #[inline(always)]
    fn add_slot(&mut self, id: Option<Id>, command: CommandKind, entity: u64) {
        // What is known is written where it stays. A slot that is put together elsewhere is read there in wider pieces than it
        // was written in, for which a processor waits until all that was written before is in its cache.
        self.slots.push_back(Slot::EMPTY);
        if let Some(slot) = self.slots.back_mut() {
            slot.asked.id = id;
            slot.asked.command = command;
            slot.entity = entity;
        }
    }

    /// Reads one message, and answers it or says what to ask.
    fn message(&mut self, range: Range<usize>, now: Timestamp) -> Option<Step> {
        match self.read(range) {
            Ok(message) => self.ask(message, now),
            Err(rejected) => {
                if rejected.fault.code == ErrorCode::Malformed {
                    self.scanner.discard_line();
                    self.count_malformed();
                } else {
                    self.malformed_in_a_row = 0;
                }
                self.reject(rejected);
                None
            }
        }
    }

    /// Reads one message if it is flat, as nearly all single commands are. `None` when it is not, or when it is longer
    /// than a message may be: nothing has happened then.
    fn flat(&mut self, now: Timestamp) -> Option<Option<Step>> {
        let bytes = self.inbound.bytes();
        let begin = self.scanner.next_start(bytes)?;
        let len = bytes.len().checked_sub(begin)?.min(self.settings.limits.bulk_message_bytes_max);
        let bytes = self.inbound.padded(begin);
        let (length, read) = match self.known.read(bytes, len, &self.principal, &self.settings) {
            Some(read) => read,
            None => {
                let (length, read) = message::read_flat(bytes, len, &self.principal, &self.settings)?;
                let message = bytes.get(..length).unwrap_or_default();
                let is_lookup = matches!(&read, Ok(Message { meaning: Meaning::One(CommandKind::Verify, _), .. }));
                if let Some(shape) = lookup::shape_of(message).filter(|_| is_lookup) {
                    self.shape = Some(Box::new(shape));
                } else {
                    self.known.learn(message);
                }
                (length, read)
            }
        };
        self.scanner.accept(begin..begin + length);
        match read {
            Ok(message) => Some(self.ask(message, now)),
            Err(rejected) => {
                self.malformed_in_a_row = 0;
                self.reject(rejected);
                Some(None)
            }
        }
    }

    /// Reads one message that probably fills a line, which spares looking for its end byte by byte. `None` when it
    /// does not: nothing has happened then.
    fn whole_line(&mut self, now: Timestamp) -> Option<Option<Step>> {
        let range = self.scanner.guess(self.inbound.bytes())?;
        let line = self.inbound.bytes().get(range.clone()).unwrap_or_default();
        let mut lookups = Lookups::new(self.principal.clone());
        if let Some((id, gathering)) = lookup::read_many(line, &mut lookups, &self.settings) {
            self.scanner.accept(range);
            return Some(self.ask(Message { id, meaning: Meaning::Many(lookups, gathering) }, now));
        }
        match self.read(range.clone()) {
            Ok(message) => {
                self.scanner.accept(range);
                Some(self.ask(message, now))
            }
            Err(rejected) if rejected.fault.code == ErrorCode::Malformed => None,
            Err(rejected) => {
                self.scanner.accept(range);
                self.malformed_in_a_row = 0;
                self.reject(rejected);
                Some(None)
            }
        }
    }

    fn read(&mut self, range: Range<usize>) -> Result<Message, Rejected> {
        let mut parser = self.parser.borrow_mut();
        let bytes = self.inbound.padded_mut(range.start);
        message::read(&mut parser, bytes, range.len(), &self.principal, &self.settings)
    }

    fn ask(&mut self, Message { id, meaning }: Message, now: Timestamp) -> Option<Step> {
        self.malformed_in_a_row = 0;
        match meaning {
            Meaning::One(kind, request) => {
                let slot = self.push(id, kind, State::Waiting);
                if let Some(last) = self.slots.back_mut() {
                    last.entity = request.command.subject().hash.front();
                    if let Command::Audit { page, .. } = &request.command {
                        last.asked.order = page.order;
                    }
                }
                return Some(Step { slot, asked: Asked::One(request) });
            }
            Meaning::Many(lookups, gathering) => {
                let slot = self.push(id, CommandKind::VerifyMany, gathered(gathering));
                let waits = self.slots.back().is_some_and(Slot::waits);
                return waits.then(|| Step { slot, asked: Asked::Many(Box::new(lookups)) });
            }
            Meaning::Ping => self.push(id, CommandKind::Ping, ready(Answer::Pong(now))),
            Meaning::Capabilities => self.push(id, CommandKind::Capabilities, ready(Answer::Capabilities)),
        };
        None
    }

    fn reject(&mut self, rejected: Rejected) {
        let Rejected { id, command, fault } = rejected;
        self.push(id, command, ready(Answer::Rejected(fault)));
    }

    fn reject_bytes(&mut self, fault: Fault) {
        self.reject(Rejected { id: None, command: CommandKind::Unknown, fault });
    }

    fn malformed(&mut self, what: Malformed) {
        self.count_malformed();
        self.reject_bytes(Fault::new(ErrorCode::Malformed, what.as_str()));
    }

    fn count_malformed(&mut self) {
        self.malformed_in_a_row += 1;
        self.closing |= self.malformed_in_a_row >= self.settings.limits.malformed_in_a_row_max;
    }

    /// Appends a slot and gives its number.
    fn push(&mut self, id: Option<Id>, command: CommandKind, state: State) -> u64 {
        let weight_bytes = state.weight_bytes();
        self.unsent_bytes += weight_bytes;
        let asked = answer::Asked { id, command, order: Order::default() };
        self.slots.push_back(Slot { asked, entity: 0, state, weight_bytes });
        self.messages() - 1
    }

    /// The slot with this number, if its answer was not taken.
    fn slot_mut(&mut self, number: u64) -> Option<&mut Slot> {
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok())?;
        self.slots.get_mut(place)
    }

    /// Brings what was found by lookups that were asked together, and keeps their memory.
    fn complete_each(&mut self, first: u64, lookups: Box<Lookups>) {
        let mut found_bytes = 0;
        for lookup in lookups.each() {
            let Some(slot) = self.slot_mut(first + u64::from(lookup.place)).filter(|slot| slot.is_asked()) else {
                continue;
            };
            slot.state = match lookup.found {
                Found::Registered { kind, last_updated } if kind == KindCode::EXTENSION => {
                    let kind = lookups.extension(lookup.place).cloned();
                    let verified = |kind| Outcome::Verified(Verified { verified: true, kind, last_updated });
                    // A table that finds an extension names it.
                    State::Outcome(Box::new(kind.map_or(Outcome::Unavailable(Unavailable::Failed), verified)))
                }
                found => State::Found(found),
            };
            slot.weight_bytes = answer::SHORT;
            found_bytes += answer::SHORT;
        }
        self.unsent_bytes += found_bytes;
        self.together.keep_lookups(lookups);
    }

    /// Brings what came of changes that were asked together.
    fn complete_changes(&mut self, first: u64, changes: Box<Changes>) {
        let changes: Rc<Changes> = Rc::from(changes);
        for (at, change) in changes.each().iter().enumerate() {
            let slot = self.slot_mut(first + u64::from(change.place)).filter(|slot| slot.is_asked());
            if let Some(slot) = slot {
                slot.state = State::Changed(Rc::clone(&changes), at);
                slot.weight_bytes = answer::SHORT;
                self.unsent_bytes += answer::SHORT;
            }
        }
    }

    fn is_full(&self) -> bool {
        self.slots.len() >= self.settings.limits.outstanding_commands_max
    }
}

impl State {
    /// Roughly how many bytes it keeps until its answer is taken.
    fn weight_bytes(&self) -> usize {
        match self {
            State::Waiting => 0,
            State::Gathering(gathering) => gathering.weight_bytes(),
            State::Found(_) | State::Changed(..) => answer::SHORT,
            State::Outcome(outcome) => answer::estimated_bytes_of(outcome),
            State::Ready(answer) => answer::estimated_bytes(answer),
        }
    }
}

impl Slot {
    /// Of a message of which nothing is known.
    const EMPTY: Slot = Slot {
        asked: answer::Asked { id: None, command: CommandKind::Unknown, order: Order::Ascending },
        entity: 0,
        state: State::Waiting,
        weight_bytes: 0,
    };

    fn waits(&self) -> bool {
        matches!(self.state, State::Waiting | State::Gathering(_))
    }

    fn is_asked(&self) -> bool {
        matches!(self.state, State::Waiting)
    }
}

fn ready(answer: Answer) -> State {
    State::Ready(Box::new(answer))
}

/// A bulk lookup is answered when every name is.
fn gathered(gathering: Gathering) -> State {
    if gathering.is_complete() { ready(Answer::Names(gathering.into_results())) } else { State::Gathering(gathering) }
}

impl Face for Session {
    fn buffer_mut(&mut self) -> &mut [u8] {
        self.inbound.room_mut()
    }

    fn commit(&mut self, count: usize) {
        // Behind a message without an end there is nothing to be understood.
        if !self.closing {
            self.inbound.commit(count);
        }
    }

    fn next(&mut self, now: Timestamp) -> Option<Step> {
        if let Some(step) = self.behind.take() {
            return Some(step);
        }
        let step = self.advance(now);
        let Some(first) = self.together.take() else { return step };
        self.behind = step;
        Some(first)
    }

    fn complete(&mut self, slot: u64, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::VerifiedEach(lookups) => return self.complete_each(slot, lookups),
            Outcome::Changed(changes) => return self.complete_changes(slot, changes),
            outcome => outcome,
        };
        let Some(slot) = self.slot_mut(slot) else { return };
        slot.state = match (mem::replace(&mut slot.state, State::Waiting), outcome) {
            // Answered already: the end of another part has failed the whole.
            (answered @ (State::Ready(_) | State::Outcome(_) | State::Found(_) | State::Changed(..)), _) => {
                slot.state = answered;
                return;
            }
            (State::Gathering(mut gathering), Outcome::VerifiedMany(part)) if !gathering.is_all_in(&part) => {
                gathering.fill(&part);
                gathered(gathering)
            }
            (State::Waiting | State::Gathering(_), outcome) => State::Outcome(Box::new(outcome)),
        };
        let before = mem::replace(&mut slot.weight_bytes, slot.state.weight_bytes());
        let weight_bytes = slot.weight_bytes;
        self.unsent_bytes = (self.unsent_bytes + weight_bytes).saturating_sub(before);
    }

    fn take_output(&mut self, out: &mut Vec<u8>) {
        let enough = out.len().saturating_add(OUTPUT_BYTES);
        let mut day = Day::EPOCH;
        while out.len() < enough
            && let Some(Slot { asked, entity, state, weight_bytes }) = self.slots.front()
        {
            let (status, changed) = match state {
                State::Found(found) => (answer::write_found(out, asked.id.as_ref(), *found, &mut day), false),
                State::Changed(changes, at) => match changes.each().get(*at) {
                    Some(change) => {
                        let happened = matches!(change.changed, Changed::Happened { replayed: false, .. });
                        (answer::write_changed(out, asked, changes, change), happened)
                    }
                    // No slot was told so.
                    None => break,
                },
                State::Outcome(outcome) => (answer::write_outcome(out, asked, outcome), tells_of_change(outcome)),
                State::Ready(answer) => (answer::write(out, asked, answer, &self.settings), false),
                State::Waiting | State::Gathering(_) => break,
            };
            self.records.push(Record { command: asked.command as u8, status: status.code(), entity: *entity, changed });
            self.unsent_bytes = self.unsent_bytes.saturating_sub(*weight_bytes);
            if let Some(Slot { state: State::Changed(changes, _), .. }) = self.slots.pop_front() {
                self.together.keep_changes(changes);
            }
            self.first += 1;
        }
    }

    fn output_ready(&self) -> bool {
        self.slots.front().is_some_and(|slot| !slot.waits())
    }

    fn unsent_bytes(&self) -> usize {
        self.unsent_bytes
    }

    fn take_records(&mut self, sink: &mut dyn FnMut(Record)) {
        self.records.drain(..).for_each(sink);
    }

    fn outstanding(&self) -> usize {
        self.slots.len()
    }

    fn waiting(&self) -> usize {
        self.slots.iter().filter(|slot| slot.waits()).count()
    }

    fn messages(&self) -> u64 {
        self.first + to_u64(self.slots.len())
    }

    fn wants_input(&self) -> bool {
        !self.closing && !self.is_full()
    }

    fn pending_bytes(&self) -> usize {
        self.inbound.bytes().len().saturating_sub(self.scanner.consumed())
    }

    fn message_started(&self) -> bool {
        self.scanner.in_message() && !self.closing
    }

    fn time_out(&mut self) {
        if self.message_started() {
            self.reject_bytes(message::too_slow(self.settings.limits.message_timeout_s));
        }
        self.closing = true;
    }

    fn finished(&self) -> bool {
        self.closing && self.slots.is_empty()
    }

    fn release_memory(&mut self) {
        self.inbound.release_memory();
        if self.slots.is_empty() && self.slots.capacity() > KEPT_SLOTS {
            self.slots = VecDeque::new();
            self.together.release_memory();
        }
        if self.records.is_empty() && self.records.capacity() > KEPT_SLOTS {
            self.records = Vec::new();
        }
    }
}

/// Whether the command was a change, and took effect.
fn tells_of_change(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Registered { replayed: false, .. } | Outcome::Removed { replayed: false, .. })
}

#[allow(clippy::cast_possible_truncation, reason = "no machine has addresses of more than 64 bits")]
const fn to_u64(value: usize) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests;
