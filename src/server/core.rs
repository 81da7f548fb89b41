//! One core: its connections, its share of the entities, and what it owes the other cores.
//!
//! All methods are synchronous and run on the core's own thread. Two rules of order are kept here. Commands of one
//! connection go out in the order in which they came. And a change goes to another core than the change before it
//! only when that one has its place in the log (or was denied): so the log has the changes of a connection in the
//! connection's order, although the cores work at the same time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crate::domain::{Asked, Command, EventRef, Outcome, Unavailable};
use crate::engine::{Effects, Engine, Input};
use crate::faces::repsec::{self, Session};
use crate::faces::{Face, Record};
use crate::log::{AccessBlock, Append, Encoded, Lane, NotSent, ReaderPool};
use crate::runtime::{Inbox, Notify};
use crate::types::{EntityHash, Principal, Sequence, Timestamp};
use crate::wire::json::Parser;

use super::buffers::Buffers;
use super::connection::Connection;
use super::history;
use super::journal::Journal;
use super::letter::{Answers, Questions, Tag};
use super::moment::{Clock, Moment};
use super::numbered::Numbered;
use super::shared::Shared;

mod asking;

/// Blocks of the access journal that may wait for a log that is behind.
const UNSENT_ACCESS_BLOCKS_MAX: usize = 64;
/// Messages to the committer behind which no block is put any more: 128 MiB, if all of them are blocks.
const WAITING_ACCESS_BLOCKS_MAX: usize = 1024;

/// What a core gets when the store has been recovered; until then it answers PING, and holds everything else.
pub(super) struct Brain {
    pub(super) engine: Engine<Tag>,
    pub(super) log: Lane,
    pub(super) readers: Arc<ReaderPool>,
}

/// One core's state.
pub(super) struct Core {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    face: Arc<repsec::Settings>,
    clock: Clock,
    pub(super) brain: RefCell<Option<Brain>>,
    pub(super) connections: RefCell<Numbered<Rc<Connection>>>,
    pub(super) journal: RefCell<Journal>,
    /// Parses the messages of all connections of this core; its memory is worth sharing.
    parser: Rc<RefCell<Parser>>,
    numbered: Cell<u64>,
    /// What the engine knows to be durable.
    durable: Cell<Sequence>,
    failed: Cell<bool>,
    /// Records of the access journal were lost, and that was said.
    journal_lost: Cell<bool>,
    /// The core's event loop is over.
    pub(super) ended: Cell<bool>,
    /// What this core's connections ask of it, which is decided together.
    own: RefCell<Vec<(Tag, Asked)>>,
    /// How many entities those are about.
    own_entities: Cell<usize>,
    /// Connections that hold a question back behind what is still to be decided.
    holding: RefCell<Vec<Rc<Connection>>>,
    /// Something has gathered that is to be decided or sent, or a moment was read that must be forgotten.
    pub(super) gathered: Notify,
    outboxes: RefCell<Vec<Outbox>>,
    /// What the log has still to be given, in order.
    appends: RefCell<VecDeque<Append>>,
    /// For what is received, which most sessions have worked off when the next one receives something.
    received: RefCell<Vec<u8>>,
    /// For answers on their way to the socket.
    pub(super) buffers: Buffers,
}

/// Does what the engine of a core says while it says it: so a thousand answers need no room before they are given.
struct Doing<'a> {
    core: &'a Core,
    /// How many events there may be.
    events_max: usize,
    events: Encoded,
    /// What is done when the engine is done: reading begins with a look at it.
    reads: Vec<(Tag, Box<Command>, Sequence)>,
}

impl Effects<Tag> for Doing<'_> {
    #[inline]
    fn append(&mut self, hash: EntityHash, event: &EventRef<'_>) {
        if self.events.is_empty() {
            self.events = self.core.begin_events();
            self.events.reserve(self.events_max);
        }
        self.events.push(hash, event);
    }

    fn answer(&mut self, tag: Tag, outcome: Outcome) {
        self.core.answer(tag, outcome);
    }

    fn read(&mut self, tag: Tag, command: Box<Command>, up_to: Sequence) {
        self.reads.push((tag, command, up_to));
    }
}

/// What one core has still to send to another.
#[derive(Default)]
struct Outbox {
    questions: Vec<(Tag, Asked)>,
    letters: VecDeque<Questions>,
    answers: Answers,
}

impl Core {
    /// A core without its entities. It reads the time from `clock`.
    pub(super) fn new(
        index: usize,
        shared: Arc<Shared>,
        face: Arc<repsec::Settings>,
        clock: fn() -> Timestamp,
    ) -> Core {
        let cores = shared.mesh.cores();
        let parser = Parser::new(face.limits.depth_max);
        let journal = Journal::new(u16::try_from(index).unwrap_or(u16::MAX));
        Core {
            index,
            shared,
            face,
            clock: Clock::new(clock),
            brain: RefCell::new(None),
            connections: RefCell::default(),
            journal: RefCell::new(journal),
            parser: Rc::new(RefCell::new(parser)),
            numbered: Cell::new(0),
            durable: Cell::new(Sequence::ZERO),
            failed: Cell::new(false),
            journal_lost: Cell::new(false),
            ended: Cell::new(false),
            own: RefCell::default(),
            own_entities: Cell::new(0),
            holding: RefCell::default(),
            gathered: Notify::default(),
            outboxes: RefCell::new((0..cores).map(|_| Outbox::default()).collect()),
            appends: RefCell::default(),
            received: RefCell::default(),
            buffers: Buffers::default(),
        }
    }

    pub(super) fn inbox(&self) -> &Inbox<Questions, Answers> {
        self.shared.mesh.inbox(self.index)
    }

    /// Takes a peer in, of which the access journal knows the pseudonym. Its number was never given before.
    pub(super) fn connect(&self, peer: u64, principal: Principal) -> Rc<Connection> {
        let number = self.numbered.get() + 1;
        self.numbered.set(number);
        let session = Session::new(Arc::clone(&self.face), principal, Rc::clone(&self.parser));
        let connection = Rc::new(Connection::new(number, peer, session));
        self.connections.borrow_mut().insert(number, Rc::clone(&connection));
        connection
    }

    /// The moment, which is the same for all that gathers until it is settled.
    pub(super) fn moment(&self) -> Moment {
        if !self.clock.stands() {
            self.gathered.notify();
        }
        self.clock.moment()
    }

    fn now(&self) -> Timestamp {
        self.moment().time
    }

    pub(super) fn remove(&self, connection: u64) {
        if self.connections.borrow_mut().remove(&connection).is_some() {
            self.shared.connections.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
        }
        if self.shared.progress.stopping() {
            self.inbox().ring();
        }
    }

    /// Gives the core its entities, and lets go what was held for them.
    pub(super) fn awake(&self, brain: Brain) {
        *self.brain.borrow_mut() = Some(brain);
        // Other cores may have been awake before, and what came of that was not told to an engine that was not there.
        self.step(self.now(), Input::Durable(self.durable.get()));
        if self.failed.get() {
            self.step(self.now(), Input::Failed);
        }
        let waiting: Vec<Rc<Connection>> = self.connections.borrow().values().cloned().collect();
        for connection in waiting {
            self.pump(&connection);
        }
    }

    /// Has the engine of this core decide questions, and does what it says.
    fn decide(&self, now: Timestamp, questions: &mut Vec<(Tag, Asked)>) {
        let events_max = questions.iter().map(|(_, asked)| match asked {
            Asked::One(_) => 1,
            Asked::Many(_) | Asked::Each(_) => 0,
            Asked::Changes(changes) => changes.len(),
        });
        self.with_engine(events_max.sum(), |engine, doing| engine.step_all(now, questions, doing));
    }

    /// Takes one step of this core's engine, and does what it says.
    fn step(&self, now: Timestamp, input: Input<Tag>) {
        self.with_engine(1, |engine, doing| engine.step(now, input, doing));
    }

    /// Has the engine work, which may bring so many events.
    fn with_engine(&self, events_max: usize, work: impl FnOnce(&mut Engine<Tag>, &mut Doing<'_>)) {
        let mut doing = Doing { core: self, events_max, events: Encoded::default(), reads: Vec::new() };
        if let Some(brain) = self.brain.borrow_mut().as_mut() {
            work(&mut brain.engine, &mut doing);
        }
        let Doing { events, reads, .. } = doing;
        for (tag, command, up_to) in reads {
            self.read_history(tag, *command, up_to);
        }
        if !events.is_empty() {
            self.append(Append::Events(events));
        }
    }

    /// What events are added to: one message to the committer for all that was decided since the last flush.
    fn begin_events(&self) -> Encoded {
        let mut appends = self.appends.borrow_mut();
        match appends.pop_back() {
            Some(Append::Events(events)) => events,
            other => {
                appends.extend(other);
                Encoded::default()
            }
        }
    }

    fn read_history(&self, tag: Tag, command: Command, up_to: Sequence) {
        let mesh = Arc::clone(&self.shared.mesh);
        let reply = move |outcome: Outcome| {
            mesh.inbox(tag.core).answer(Answers { answers: vec![(tag, outcome)], decided: Vec::new() });
        };
        let submitted = match self.brain.borrow().as_ref() {
            Some(brain) => history::job(command, up_to, reply).is_some_and(|job| brain.readers.try_submit(job).is_ok()),
            None => false,
        };
        if !submitted {
            self.answer(tag, Outcome::Unavailable(Unavailable::Overloaded));
        }
    }

    fn answer(&self, tag: Tag, outcome: Outcome) {
        if tag.core == self.index {
            self.complete(tag, outcome);
        } else {
            self.outboxes.borrow_mut()[tag.core].answers.answers.push((tag, outcome));
        }
    }

    /// Gives a connection of this core the answer to one of its questions.
    fn complete(&self, tag: Tag, outcome: Outcome) {
        let Some(connection) = self.connection(tag.connection) else { return };
        connection.session.borrow_mut().complete(tag.slot, outcome);
        connection.histories.borrow_mut().retain(|slot| *slot != tag.slot);
        connection.writable.notify();
    }

    fn connection(&self, number: u64) -> Option<Rc<Connection>> {
        self.connections.borrow().get(&number).cloned()
    }

    /// Has a connection's session take what was received, and asks what it asks, as [`pump`](Self::pump) does.
    pub(super) fn take_in<R>(&self, connection: &Rc<Connection>, receive: impl FnOnce(&mut Session) -> R) -> R {
        let outcome = {
            let mut session = connection.session.borrow_mut();
            session.borrow_memory(&mut self.received.borrow_mut());
            receive(&mut session)
        };
        self.pump(connection);
        connection.session.borrow_mut().return_memory(&mut self.received.borrow_mut());
        outcome
    }

    /// Takes the answers that can be written, in order, and notes them in the access journal.
    pub(super) fn collect(&self, connection: &Connection, plaintext: &mut Vec<u8>) {
        let mut session = connection.session.borrow_mut();
        let before = plaintext.len();
        session.take_output(plaintext);
        if plaintext.len() == before {
            return;
        }
        let mut journal = self.journal.borrow_mut();
        let now = self.now();
        session.take_records(&mut |record: Record| journal.note(now, connection.peer, &record));
        if journal.is_full() {
            drop(journal);
            self.give_journal(false);
            self.gathered.notify();
        }
    }

    /// Queues what has gathered of the access journal for the log, if it is full or old enough, or in any case with `all`.
    pub(super) fn give_journal(&self, all: bool) {
        let block = self.journal.borrow_mut().take(all);
        if let Some(block) = block {
            self.append_access(block);
        }
    }

    /// Works off what other cores have written, in so many rounds at the most. Returns whether there may be more.
    pub(super) fn receive_all(&self, rounds_max: usize) -> bool {
        self.clock.forget();
        (0..rounds_max).all(|_| self.receive())
    }

    /// Ends a turn of the core's loop. If this returns true the core MUST wait for its bell, else go on at once.
    pub(super) fn may_rest(&self, more: bool) -> bool {
        if more {
            // Other tasks of this core first; the bell brings the loop back.
            self.inbox().ring();
            return true;
        }
        self.inbox().prepare_to_sleep()
    }

    /// Works off what other cores have written. Returns whether there was anything.
    fn receive(&self) -> bool {
        let mut progress = false;
        while let Some(letter) = self.inbox().take_answering() {
            progress = true;
            self.receive_answers(letter);
        }
        progress |= self.receive_progress();
        if self.brain.borrow().is_some()
            && let Some(letter) = self.inbox().take_asking()
        {
            progress = true;
            self.receive_questions(letter);
        }
        progress
    }

    fn receive_questions(&self, letter: Questions) {
        let Questions { from, mut questions } = letter;
        let changes = questions.iter().filter_map(|(tag, asked)| match asked {
            Asked::One(request) if request.command.changes_state() => Some(tag.connection),
            Asked::Changes(_) => Some(tag.connection),
            Asked::One(_) | Asked::Many(_) | Asked::Each(_) => None,
        });
        let decided: Vec<u64> = changes.collect();
        self.decide(self.now(), &mut questions);
        self.outboxes.borrow_mut()[from].answers.decided.extend(decided);
    }

    fn receive_answers(&self, letter: Answers) {
        let mut touched: Vec<u64> = Vec::new();
        for (tag, outcome) in letter.answers {
            self.complete(tag, outcome);
            touched.push(tag.connection);
        }
        for number in letter.decided {
            if let Some(connection) = self.connection(number) {
                let (owner, undecided) = connection.undecided.get();
                connection.undecided.set((owner, undecided.saturating_sub(1)));
                touched.push(number);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        // What was held for these may go out now.
        for connection in touched.into_iter().filter_map(|number| self.connection(number)) {
            if connection.held.borrow().is_some() {
                self.pump(&connection);
            }
        }
    }

    /// Tells the engine what has become durable, or that nothing will any more.
    fn receive_progress(&self) -> bool {
        // Looked at first: whatever became durable before the failure is then seen as durable.
        let has_failed = self.shared.progress.failed();
        let durable = self.shared.progress.durable();
        let news = durable > self.durable.get();
        if news {
            self.durable.set(durable);
            self.step(self.now(), Input::Durable(durable));
        }
        let failed = has_failed && !self.failed.replace(true);
        if failed {
            self.step(self.now(), Input::Failed);
        }
        news || failed
    }

    /// Has decided what was asked of this core, hears what has become durable, and sends what has gathered for other cores
    /// and for the log.
    pub(super) fn flush(&self) {
        self.clock.forget();
        self.decide_own();
        self.receive_progress();
        for (core, outbox) in self.outboxes.borrow_mut().iter_mut().enumerate() {
            if !outbox.answers.is_empty() {
                self.shared.mesh.inbox(core).answer(std::mem::take(&mut outbox.answers));
            }
            if !outbox.questions.is_empty() {
                let questions = std::mem::take(&mut outbox.questions);
                outbox.letters.push_back(Questions { from: self.index, questions });
            }
            while let Some(letter) = outbox.letters.pop_front() {
                if let Err(letter) = self.shared.mesh.inbox(core).ask(letter) {
                    outbox.letters.push_front(letter);
                    break;
                }
            }
        }
        self.flush_log();
    }

    fn flush_log(&self) {
        let brain = self.brain.borrow();
        let Some(brain) = brain.as_ref() else { return };
        let mut appends = self.appends.borrow_mut();
        while let Some(append) = appends.pop_front() {
            match brain.log.try_send(append) {
                Ok(()) => {}
                // The committer is behind; its next sync wakes this core, which then tries again.
                Err(NotSent::Full(append)) => {
                    appends.push_front(append);
                    break;
                }
                // The committer has failed, and said so: what was appended will never be durable.
                Err(NotSent::Closed(_)) => {}
            }
        }
    }

    /// Queues something for the log behind what is queued.
    pub(super) fn append(&self, append: Append) {
        self.appends.borrow_mut().push_back(append);
    }

    /// How many messages the log has not been given yet, since it is behind.
    pub(super) fn unsent_appends(&self) -> usize {
        self.appends.borrow().len()
    }

    /// How many messages the committer has not taken out of its lane.
    pub(super) fn lane_waiting(&self) -> usize {
        self.brain.borrow().as_ref().map_or(0, |brain| brain.log.waiting())
    }

    /// Gives the log a block of the access journal; drops it, and says so, where the log is so far behind that memory
    /// would run out first. The promise of the journal is weaker than that of the events for this reason.
    pub(super) fn append_access(&self, block: AccessBlock) {
        if self.unsent_appends() < UNSENT_ACCESS_BLOCKS_MAX && self.lane_waiting() < WAITING_ACCESS_BLOCKS_MAX {
            self.append(Append::Access(block));
        } else if !self.journal_lost.replace(true) {
            tracing::warn!("the disk does not keep up: records of the access journal are being lost");
        }
    }

    /// Whether nothing waits to be sent to other cores or to the log.
    pub(super) fn has_sent_all(&self) -> bool {
        let sent = self.outboxes.borrow().iter().all(|outbox| outbox.letters.is_empty() && outbox.answers.is_empty());
        sent && self.appends.borrow().is_empty()
    }

    /// Whether nothing waits to be decided, to be sent, or to become durable.
    pub(super) fn is_quiet(&self) -> bool {
        let pending = self.brain.borrow().as_ref().map_or(0, |brain| brain.engine.pending());
        pending == 0 && self.own.borrow().is_empty() && self.has_sent_all()
    }
}
