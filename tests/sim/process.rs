//! The server between a start and its end: real engines, sessions, committer and recovery, with wiring that does one
//! small thing at a time, when it is told to. The wiring follows the server's own core, rule by rule.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use repsec::domain::{Asked, Claim, Command, Lookups, Outcome, apply, decide_claim};
use repsec::engine::{Effect, Engine, Input, Sequencer, sha256};
use repsec::faces::Face;
use repsec::faces::repsec::{Limits, Session, Settings};
use repsec::log::{
    Append, CommitSink, CommitterOptions, History, LogError, Recovered, SnapshotEntry, SnapshotNonce, SnapshotWriter,
    Span, SteppedCommitter, Store,
};
use repsec::projection::{Current, Nonces, Remembered, STRIPES, StateHash, Used, Walk};
use repsec::types::{HashKey, Principal, Sequence};
use repsec::wire::json::Parser;

use crate::bug::Bug;
use crate::dice::{Dice, now, passed_ms};
use crate::disk::{Disk, Fault};

/// Small bounds, so that few events reach them.
const OUTSTANDING_MAX: usize = 12;
const INDEX_ROWS: usize = 10;
const COMMIT_EVENTS_MAX: usize = 6;
const SLICE_ENTITIES: usize = 3;
const CHUNK_BYTES: usize = 300;

/// Whose command it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    core: usize,
    connection: u64,
    slot: u64,
}

/// A connection, with what is on its way on the wire.
pub struct Connection {
    core: usize,
    session: Session,
    held: Option<(u64, Asked)>,
    /// The core that still has to decide changes of this connection, and how many.
    undecided: (usize, usize),
    /// From the client.
    pub incoming: VecDeque<u8>,
    /// To the client.
    pub outgoing: VecDeque<u8>,
}

/// What the committer says.
#[derive(Clone, Copy, Debug)]
enum Notice {
    Durable(Sequence),
    Failed,
}

#[derive(Default)]
struct Told {
    notices: Vec<Notice>,
    snapshots: u64,
    abandoned: u64,
}

struct Sink(Rc<RefCell<Told>>);

impl CommitSink for Sink {
    fn durable(&self, up_to: Sequence) {
        self.0.borrow_mut().notices.push(Notice::Durable(up_to));
    }

    fn failed(&self, _: &LogError) {
        self.0.borrow_mut().notices.push(Notice::Failed);
    }

    fn snapshot_complete(&self, _: u64, _: Sequence) {
        self.0.borrow_mut().snapshots += 1;
    }

    fn snapshot_abandoned(&self, _: u64) {
        self.0.borrow_mut().abandoned += 1;
    }
}

/// All that one core asks of another at one time.
type Questions = Vec<(Tag, Asked)>;
/// What one core has written to another, in order.
type Lanes<T> = BTreeMap<(usize, usize), VecDeque<T>>;

#[derive(Default)]
struct Answers {
    answers: Vec<(Tag, Outcome)>,
    decided: Vec<u64>,
}

struct Read {
    tag: Tag,
    command: Command,
    up_to: Sequence,
}

/// A core's share of a snapshot that is being taken.
struct Copying {
    writer: SnapshotWriter,
    walk: Option<Walk>,
    stripe: usize,
    start: Sequence,
}

/// What a reader found, on its way from a slow disk.
struct Found {
    tag: Tag,
    outcome: Outcome,
    due: u64,
}

/// One small thing that the server may do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Bytes of a client arrive.
    Arrive(u64),
    /// Answers leave.
    Leave(u64),
    /// One core reads the questions of another.
    Question(usize, usize),
    /// One core reads the answers of another.
    Answer(usize, usize),
    /// The committer takes a message of a core.
    Append(usize),
    /// The committer commits, or begins to, on a slow disk.
    Commit,
    /// A slow commit ends.
    Synced,
    /// A core hears from the committer.
    Notice(usize),
    /// A reader reads.
    Read,
    /// What a reader found comes late.
    Found,
    /// A core copies a little of its state.
    Copy(usize),
}

/// A server that runs.
pub struct Process {
    store: Store,
    disk: Disk,
    key: HashKey,
    engines: Vec<Engine<Tag>>,
    nonces: Arc<Nonces>,
    sequencer: Arc<Sequencer>,
    committer: SteppedCommitter<Sink>,
    told: Rc<RefCell<Told>>,
    /// What is known to be durable, for those who look.
    durable: Sequence,
    failed: bool,
    settings: Arc<Settings>,
    parser: Rc<RefCell<Parser>>,
    /// All connections, by their numbers.
    pub connections: BTreeMap<u64, Connection>,
    questions: Lanes<Questions>,
    answers: Lanes<Answers>,
    lanes: Vec<VecDeque<Append>>,
    notices: Vec<Vec<Notice>>,
    reads: Vec<Read>,
    found: Vec<Found>,
    copying: Vec<Option<Copying>>,
    next_snapshot: u64,
    /// Something was taken by the committer since its last commit.
    to_commit: bool,
    /// When the commit ends that the committer is in, in ms.
    syncing: Option<u64>,
    /// Reads that took long.
    pub slow_reads: u64,
    /// The start had a snapshot to begin with.
    pub from_snapshot: bool,
    bug: Option<Bug>,
}

impl Process {
    /// Starts on what the disk has, by the real recovery, and compares what came of it with the log.
    pub fn start(disk: &Disk, shards: usize, bug: Option<Bug>) -> Result<Process, String> {
        let store = Store::with_log(Box::new(disk.clone())).map_err(|error| error.to_string())?;
        let key = store.identity().hash_key;
        let nonces = Nonces::new(key, 100_000);
        let mut tables: Vec<Current> = (0..shards).map(|_| Current::new(key)).collect();
        let mut take = |recovered: Recovered<'_>| take_in(recovered, &mut tables, &nonces, key, bug);
        let recovery = store.recover(&mut take, &mut |_, _| ()).map_err(|error| format!("recovery: {error}"))?;
        if bug != Some(Bug::ForgottenForgotten) {
            nonces.complete(recovery.last_time, now());
        }
        if let Some(damage) = &recovery.snapshot_damage {
            return Err(format!("a crash damaged the snapshot: {damage}"));
        }
        let told = Rc::new(RefCell::new(Told::default()));
        let options = CommitterOptions {
            index_rows: INDEX_ROWS,
            commit_events_max: COMMIT_EVENTS_MAX,
            batch_events_max: 4,
            now,
            ..CommitterOptions::default()
        };
        let committer = SteppedCommitter::new(store.clone(), options, Sink(Rc::clone(&told)), 0)
            .map_err(|error| format!("the committer's start: {error}"))?;
        let verification = store.verify(&mut |_, _| ()).map_err(|error| error.to_string())?;
        if let Some(finding) = verification.findings.first() {
            return Err(format!("the log is not sound after a restart: {finding:?}"));
        }
        let (nonces, sequencer) = (Arc::new(nonces), Arc::new(Sequencer::new(recovery.last, recovery.last_time)));
        let engine = |table| Engine::new(table, recovery.last, Arc::clone(&nonces), Arc::clone(&sequencer));
        let limits = Limits { outstanding_commands_max: OUTSTANDING_MAX, ..Limits::default() };
        let settings = Settings::new(limits, false, key, &store.identity().log_id.0);
        let process = Process {
            disk: disk.clone(),
            key,
            engines: tables.into_iter().map(engine).collect(),
            nonces: Arc::clone(&nonces),
            sequencer: Arc::clone(&sequencer),
            committer,
            told,
            durable: recovery.last,
            failed: false,
            parser: Rc::new(RefCell::new(Parser::new(settings.limits.depth_max))),
            settings: Arc::new(settings),
            connections: BTreeMap::new(),
            questions: BTreeMap::new(),
            answers: BTreeMap::new(),
            lanes: (0..shards).map(|_| VecDeque::new()).collect(),
            notices: (0..shards).map(|_| Vec::new()).collect(),
            reads: Vec::new(),
            found: Vec::new(),
            copying: (0..shards).map(|_| None).collect(),
            next_snapshot: recovery.next_snapshot,
            to_commit: false,
            syncing: None,
            slow_reads: 0,
            from_snapshot: recovery.snapshot_records > 0,
            bug,
            store,
        };
        process.compare_with_log("recovered")?;
        Ok(process)
    }

    /// The state in memory is what the log alone gives (P3).
    fn compare_with_log(&self, which: &str) -> Result<(), String> {
        let mut table = Current::new(self.key);
        let replayed = self.store.replay(Span::ALL, &mut |_, _| (), |hash, event| {
            table.put(hash, event.entity.as_str(), &apply(&event, self.key));
            std::ops::ControlFlow::Continue(())
        });
        replayed.map_err(|error| format!("the replay: {error}"))?;
        let mut held = StateHash::default();
        self.engines.iter().for_each(|engine| held.merge(engine.table().state_hash()));
        if held == table.state_hash() { Ok(()) } else { Err(format!("the {which} state is not what the log gives")) }
    }

    /// How many cores there are.
    pub fn shards(&self) -> usize {
        self.engines.len()
    }

    /// Whether a write has failed.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Snapshots that were completed and given up.
    pub fn snapshots(&self) -> (u64, u64) {
        let told = self.told.borrow();
        (told.snapshots, told.abandoned)
    }

    /// Accepts a connection on some core.
    pub fn accept(&mut self, id: u64, core: usize, principal: &str) {
        let session =
            Session::new(Arc::clone(&self.settings), Principal::from_name(principal), Rc::clone(&self.parser));
        let (incoming, outgoing) = (VecDeque::new(), VecDeque::new());
        let connection = Connection { core, session, held: None, undecided: (0, 0), incoming, outgoing };
        self.connections.insert(id, connection);
    }

    /// Whether a snapshot could begin.
    pub fn may_snapshot(&self) -> bool {
        self.copying.iter().all(Option::is_none) && !self.failed
    }

    /// Begins a snapshot of all cores.
    pub fn begin_snapshot(&mut self) {
        for core in 0..self.shards() {
            let writer = SnapshotWriter::new(self.next_snapshot, u16::try_from(core).unwrap());
            let walk = Some(self.engines[core].table().walk());
            self.copying[core] = Some(Copying { writer, walk, stripe: core, start: self.durable });
        }
        self.next_snapshot += 1;
    }

    /// All that could be done next, in an order that depends on nothing but what happened.
    pub fn acts(&self, acts: &mut Vec<Act>) {
        for (id, connection) in &self.connections {
            let reads = connection.held.is_none() && connection.session.wants_input();
            if reads && !connection.incoming.is_empty() {
                acts.push(Act::Arrive(*id));
            }
            if connection.session.output_ready() {
                acts.push(Act::Leave(*id));
            }
        }
        let waiting = |lane: &VecDeque<_>| !lane.is_empty();
        acts.extend(
            self.questions.iter().filter(|(_, lane)| waiting(lane)).map(|((from, to), _)| Act::Question(*from, *to)),
        );
        acts.extend(
            self.answers.iter().filter(|(_, lane)| !lane.is_empty()).map(|((from, to), _)| Act::Answer(*from, *to)),
        );
        for core in 0..self.shards() {
            if !self.lanes[core].is_empty() && self.syncing.is_none() {
                acts.push(Act::Append(core));
            }
            if !self.notices[core].is_empty() {
                acts.push(Act::Notice(core));
            }
            if self.copying[core].is_some() && !self.failed {
                acts.push(Act::Copy(core));
            }
        }
        match self.syncing {
            Some(end) if end <= passed_ms() => acts.push(Act::Synced),
            None if self.to_commit && !self.failed => acts.push(Act::Commit),
            Some(_) | None => {}
        }
        if !self.reads.is_empty() {
            acts.push(Act::Read);
        }
        if self.found.iter().any(|found| found.due <= passed_ms()) {
            acts.push(Act::Found);
        }
    }

    /// Whether all that was asked is answered.
    pub fn is_quiet(&self) -> bool {
        let pending: usize = self.engines.iter().map(Engine::pending).sum();
        pending == 0 && self.connections.values().all(|one| one.session.outstanding() == 0 && one.held.is_none())
    }

    /// Does one thing.
    pub fn act(&mut self, act: Act, dice: &mut Dice) -> Result<(), String> {
        match act {
            Act::Arrive(id) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    let count = 1 + dice.below(connection.incoming.len());
                    let bytes: Vec<u8> = connection.incoming.drain(..count).collect();
                    connection.session.receive(&bytes);
                }
                self.pump(id, dice);
            }
            Act::Leave(id) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    let mut out = Vec::new();
                    connection.session.take_output(&mut out);
                    connection.session.take_records(&mut |_| ());
                    connection.outgoing.extend(out);
                }
                self.pump(id, dice);
            }
            Act::Question(from, to) => self.read_questions(from, to, dice),
            Act::Answer(from, to) => self.read_answers(from, to, dice),
            Act::Append(core) => {
                if let Some(append) = self.lanes[core].pop_front() {
                    // Behind a failure the lane is closed, and what is in it will never be durable.
                    if !self.failed && self.committer.take(append).is_err() {
                        return Err("the committer refused what it was handed".to_owned());
                    }
                    self.to_commit = true;
                }
            }
            Act::Commit => match self.disk.slowness_ms(dice) {
                Some(ms) => self.begin_sync(ms),
                None => self.commit(dice),
            },
            Act::Synced => {
                self.syncing = None;
                self.commit(dice);
            }
            Act::Notice(core) => {
                let at = dice.below(self.notices[core].len());
                let input = match self.notices[core].swap_remove(at) {
                    Notice::Durable(up_to) => Input::Durable(up_to),
                    Notice::Failed => Input::Failed,
                };
                self.with_engine(core, |engine, effects| engine.step(now(), input, effects));
            }
            Act::Read => self.read_history(dice)?,
            Act::Found => {
                if let Some(at) = self.found.iter().position(|found| found.due <= passed_ms()) {
                    let Found { tag, outcome, .. } = self.found.swap_remove(at);
                    self.tell(tag, outcome);
                }
            }
            Act::Copy(core) => self.copy(core),
        }
        Ok(())
    }

    /// The committer is in its write until then: it takes nothing, and nobody sees or hears of what it writes. So it does
    /// not matter that the write is made only in the end, or when the process dies in it.
    fn begin_sync(&mut self, ms: u64) {
        self.syncing = Some(passed_ms() + ms);
        if self.bug == Some(Bug::SyncNotAwaited) {
            self.notices.iter_mut().for_each(|waiting| waiting.push(Notice::Durable(self.sequencer.last())));
        }
    }

    /// Whether the committer is in a slow commit.
    pub fn is_syncing(&self) -> bool {
        self.syncing.is_some()
    }

    /// The process dies. If it does so in a slow commit, that one is on the disk in part.
    pub fn die(&mut self, dice: &mut Dice) {
        if self.syncing.take().is_some() {
            let after = dice.chance(300);
            self.disk.arm(Some(if after { Fault::PowerAfterSync } else { Fault::PowerBeforeSync }));
            self.commit(dice);
        }
    }

    /// What the committer takes, it commits a part of at a time; it has nothing to do when it says nothing new.
    fn commit(&mut self, dice: &mut Dice) {
        // What went wrong it has told to its sink.
        self.to_commit = self.committer.commit().is_ok() && !self.told.borrow().notices.is_empty();
        let notices = std::mem::take(&mut self.told.borrow_mut().notices);
        for mut notice in notices {
            match notice {
                Notice::Durable(up_to) => self.durable = self.durable.max(up_to),
                Notice::Failed => {
                    self.failed = true;
                    if self.bug == Some(Bug::FailureHidden) {
                        notice = Notice::Durable(self.sequencer.last());
                    }
                }
            }
            for waiting in &mut self.notices {
                if self.bug != Some(Bug::LostNotice) || !dice.chance(300) {
                    waiting.push(notice);
                }
            }
        }
    }

    /// Sends out what a connection asks, as far as it may.
    fn pump(&mut self, id: u64, dice: &mut Dice) {
        let Some(mut connection) = self.connections.remove(&id) else { return };
        let mut letters: BTreeMap<usize, Questions> = BTreeMap::new();
        loop {
            let next = match connection.held.take() {
                None if !connection.session.wants_input() => None,
                None => connection.session.next(now()).map(|step| (step.slot, step.asked)),
                held => held,
            };
            let Some((slot, asked)) = next else { break };
            let tag = Tag { core: connection.core, connection: id, slot };
            if let Some(asked) = self.dispatch(&mut connection, tag, asked, &mut letters) {
                connection.held = Some((slot, asked));
                break;
            }
        }
        let core = connection.core;
        self.connections.insert(id, connection);
        if let Some(mut own) = letters.remove(&core) {
            self.with_engine(core, |engine, effects| engine.step_all(now(), &mut own, effects));
        }
        for (owner, letter) in letters {
            let lane = self.questions.entry((core, owner)).or_default();
            if self.bug == Some(Bug::LettersReordered) && dice.chance(500) {
                lane.push_front(letter);
            } else {
                lane.push_back(letter);
            }
        }
    }

    /// Puts a question into the letters to its owners, or gives it back if it may not go yet.
    fn dispatch(
        &self,
        connection: &mut Connection,
        tag: Tag,
        asked: Asked,
        letters: &mut BTreeMap<usize, Questions>,
    ) -> Option<Asked> {
        let shards = self.shards();
        let mut split = |lookups: &Lookups, asked: fn(Lookups) -> Asked| {
            for owner in 0..shards {
                let part = lookups.part(|lookup| lookup.hash.shard(shards) == owner);
                if !part.is_empty() {
                    letters.entry(owner).or_default().push((tag, asked(part)));
                }
            }
        };
        match asked {
            Asked::Many(lookups) => split(&lookups, Asked::Many),
            Asked::Each(lookups) => split(&lookups, Asked::Each),
            Asked::One(request) => {
                let owner = request.command.subject().hash.shard(shards);
                let (undecided_at, undecided) = connection.undecided;
                if request.command.changes_state() {
                    if undecided > 0 && undecided_at != owner && self.bug != Some(Bug::OrderIgnored) {
                        return Some(Asked::One(request));
                    }
                    if owner != tag.core {
                        connection.undecided = (owner, undecided + 1);
                    }
                }
                letters.entry(owner).or_default().push((tag, Asked::One(request)));
            }
        }
        None
    }

    fn with_engine(&mut self, core: usize, work: impl FnOnce(&mut Engine<Tag>, &mut Vec<Effect<Tag>>)) {
        let mut effects = Vec::new();
        work(&mut self.engines[core], &mut effects);
        let mut events = Vec::new();
        let mut letters: BTreeMap<usize, Answers> = BTreeMap::new();
        for effect in effects {
            match effect {
                Effect::Append { hash, event } => events.push((hash, *event)),
                Effect::Answer { tag, outcome } if tag.core == core => self.complete(tag, outcome),
                Effect::Answer { tag, outcome } => letters.entry(tag.core).or_default().answers.push((tag, outcome)),
                Effect::Read { tag, command, up_to } => self.reads.push(Read { tag, command: *command, up_to }),
            }
        }
        for (to, letter) in letters {
            self.answers.entry((core, to)).or_default().push_back(letter);
        }
        if !events.is_empty() {
            self.lanes[core].push_back(Append::Events(events));
            if self.bug == Some(Bug::AnswerBeforeSync) {
                self.notices[core].push(Notice::Durable(self.sequencer.last()));
            }
        }
    }

    fn complete(&mut self, tag: Tag, outcome: Outcome) {
        if let Some(connection) = self.connections.get_mut(&tag.connection) {
            connection.session.complete(tag.slot, outcome);
        }
    }

    fn read_questions(&mut self, from: usize, to: usize, dice: &mut Dice) {
        let letter = self.questions.get_mut(&(from, to)).and_then(VecDeque::pop_front);
        let Some(mut questions) = letter else { return };
        let changes = |asked: &Asked| matches!(asked, Asked::One(request) if request.command.changes_state());
        let decided = questions.iter().filter(|(_, asked)| changes(asked)).map(|(tag, _)| tag.connection).collect();
        self.with_engine(to, |engine, effects| engine.step_all(now(), &mut questions, effects));
        if self.bug != Some(Bug::LostDecided) || !dice.chance(100) {
            self.answers.entry((to, from)).or_default().push_back(Answers { answers: Vec::new(), decided });
        }
    }

    fn read_answers(&mut self, from: usize, to: usize, dice: &mut Dice) {
        let letter = self.answers.get_mut(&(from, to)).and_then(VecDeque::pop_front);
        let Some(Answers { answers, decided }) = letter else { return };
        for (tag, outcome) in answers {
            self.complete(tag, outcome);
        }
        for id in decided {
            if let Some(connection) = self.connections.get_mut(&id) {
                let (owner, undecided) = connection.undecided;
                connection.undecided = (owner, undecided.saturating_sub(1));
                if connection.held.is_some() {
                    self.pump(id, dice);
                }
            }
        }
    }

    /// Readers take questions in turn and finish in any order.
    fn read_history(&mut self, dice: &mut Dice) -> Result<(), String> {
        let at = dice.below(self.reads.len());
        let Read { tag, command, up_to } = self.reads.swap_remove(at);
        let history = History::new(self.store.clone());
        let found = match &command {
            Command::Audit { subject, page } => history.page(subject, page, up_to).map(Outcome::Audited),
            Command::Verify { subject, claim, at: Some(at) } => {
                history.standing_at(subject, *at, up_to).map(|event| claimed(event.as_ref(), claim))
            }
            Command::Verify { subject, claim, at: None } => {
                history.event_at(subject, up_to).map(|event| claimed(Some(&event), claim))
            }
            Command::Register { .. } | Command::Remove { .. } => return Err("a change asks for history".to_owned()),
        };
        let outcome = found.map_err(|error| format!("history cannot be read: {error}"))?;
        match self.disk.slowness_ms(dice) {
            Some(ms) => {
                self.slow_reads += 1;
                self.found.push(Found { tag, outcome, due: passed_ms() + ms });
            }
            None => self.tell(tag, outcome),
        }
        Ok(())
    }

    /// A reader's answer goes to the core that asked.
    fn tell(&mut self, tag: Tag, outcome: Outcome) {
        let answers = Answers { answers: vec![(tag, outcome)], decided: Vec::new() };
        self.answers.entry((tag.core, tag.core)).or_default().push_back(answers);
    }

    /// Copies a few entities or nonces, and ends a core's share of the snapshot behind the last of them.
    fn copy(&mut self, core: usize) {
        let Some(mut copying) = self.copying[core].take() else { return };
        let writer = &mut copying.writer;
        if let Some(walk) = copying.walk {
            copying.walk = self.engines[core].table().visit(walk, SLICE_ENTITIES, &mut |hash, text, standing| {
                writer.entry(&SnapshotEntry::of(hash, text, standing));
            });
        } else if copying.stripe < STRIPES {
            for _ in 0..8 {
                self.nonces.visit(copying.stripe, &mut |seen| {
                    let Remembered { nonce, fingerprint, sequence, time } = seen;
                    writer.nonce(&SnapshotNonce { nonce, fingerprint, sequence, time });
                });
                copying.stripe += self.engines.len();
            }
        }
        let done = copying.walk.is_none() && copying.stripe >= STRIPES;
        if done || writer.len_bytes() >= CHUNK_BYTES {
            self.lanes[core].extend(writer.take_chunk().map(Append::Snapshot));
        }
        if done {
            let young = self.bug == Some(Bug::SnapshotTooYoung);
            let start = if young { self.sequencer.last() } else { copying.start };
            let shards = u16::try_from(self.engines.len()).unwrap();
            self.lanes[core].push_back(Append::SnapshotEnd(writer.end(shards, start)));
        } else {
            self.copying[core] = Some(copying);
        }
    }

    /// Ends in good order, when all is answered: the state that is left is that of the log (P3).
    pub fn finish(mut self) -> Result<(), String> {
        while let Some(append) = self.lanes.iter_mut().find_map(VecDeque::pop_front) {
            self.committer.take(append).map_err(|error| error.to_string())?;
        }
        self.committer.finish().map_err(|error| error.to_string())?;
        self.compare_with_log("last")
    }
}

/// Takes a piece of state in, as the server's own start does.
fn take_in(recovered: Recovered<'_>, tables: &mut [Current], nonces: &Nonces, key: HashKey, bug: Option<Bug>) {
    let shards = tables.len();
    let forgets = bug == Some(Bug::NonceForgotten);
    match recovered {
        Recovered::Entry(entry) => {
            tables[entry.hash.shard(shards)].put(entry.hash, entry.text, &entry.standing());
        }
        Recovered::Nonce(seen) if !forgets => {
            let (nonce, fingerprint, sequence, time) = (seen.nonce, seen.fingerprint, seen.sequence, seen.time);
            nonces.remember(Remembered { nonce, fingerprint, sequence, time }, now());
        }
        Recovered::Nonce(_) => {}
        Recovered::Event(hash, event) => {
            tables[hash.shard(shards)].put(hash, event.entity, &event.standing(key));
            if !forgets && !event.nonce.is_empty() {
                let used = Used {
                    principal: event.actor,
                    nonce: event.nonce,
                    entity: event.entity,
                    kind: &event.kind,
                    attributes: event.attributes,
                    sequence: event.sequence,
                    time: event.time,
                };
                nonces.apply(&used, now());
            }
        }
    }
}

fn claimed(last: Option<&repsec::domain::Event>, claim: &Claim) -> Outcome {
    decide_claim(last, claim, &sha256).map_or_else(Outcome::Refused, Outcome::Verified)
}
