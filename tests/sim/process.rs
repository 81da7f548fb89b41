//! The server between a start and its end: the real cores, committer, readers and recovery, each of which does one small
//! thing when it is told to.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use repsec::domain::apply;
use repsec::engine::{Engine, Sequencer};
use repsec::faces::repsec::{Limits, Settings};
use repsec::log::{
    Append, CommitSink, CommitterOptions, LaneEnd, LogError, ReadJob, ReaderPool, Reading, Recovered, Span,
    SteppedCommitter, SteppedReaders, Store,
};
use repsec::projection::{Current, Nonces, Remembered, Repeatable, StateHash, Used};
use repsec::server::{Answers, SteppedConnection, SteppedCores, SteppedOptions};
use repsec::types::{HashKey, Principal, Sequence};

use crate::bug::Bug;
use crate::dice::{Dice, now, passed_ms};
use crate::disk::{Disk, Fault};

/// Small bounds, so that few events reach them.
const OUTSTANDING_MAX: usize = 12;
const INDEX_ROWS: usize = 10;
const COMMIT_EVENTS_MAX: usize = 6;
const SLICE_ENTITIES: usize = 1;
const SLICES_MAX: usize = 16;
const CHUNK_BYTES: usize = 300;
const READS_MAX: usize = 64;
const LANE_MESSAGES_MAX: usize = 5;
const INBOX_LETTERS_MAX: usize = 3;
const ROUNDS_MAX: usize = 4;
/// How often a core tries again what found no room.
const RETRY_MS: u64 = 250;

/// A connection, with what is on its way on the wire.
pub struct Connection {
    served: SteppedConnection,
    /// The client is gone.
    gone: bool,
    /// From the client.
    pub incoming: VecDeque<u8>,
    /// To the client.
    pub outgoing: VecDeque<u8>,
}

/// What the committer says.
enum Notice {
    Durable(Sequence),
    Failed(LogError),
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

    fn failed(&self, error: &LogError) {
        self.0.borrow_mut().notices.push(Notice::Failed(error.clone()));
    }

    fn snapshot_complete(&self, _: u64, _: Sequence) {
        self.0.borrow_mut().snapshots += 1;
    }

    fn snapshot_abandoned(&self, _: u64) {
        self.0.borrow_mut().abandoned += 1;
    }
}

/// What a reader found, on its way from a slow disk.
struct Found {
    job: ReadJob,
    found: Result<Reading, LogError>,
    due: u64,
}

/// One small thing that the server may do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Bytes of a client arrive.
    Arrive(u64),
    /// Answers leave.
    Leave(u64),
    /// A core's loop takes a turn: letters of other cores, news of the committer.
    Turn(usize),
    /// A core decides and sends what has gathered.
    Settle(usize),
    /// A core sends what had found no room.
    Retry(usize),
    /// A core gives its access journal to the log.
    Journal(usize),
    /// The committer takes a message of a core.
    Append(usize),
    /// The committer commits, or begins to, on a slow disk.
    Commit,
    /// A slow commit ends.
    Synced,
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
    cores: SteppedCores,
    /// What each core has sent to the committer; none once that has failed.
    lanes: Vec<LaneEnd>,
    readers: SteppedReaders,
    sequencer: Arc<Sequencer>,
    committer: SteppedCommitter<Sink>,
    told: Rc<RefCell<Told>>,
    failed: bool,
    /// All connections, by their numbers.
    pub connections: BTreeMap<u64, Connection>,
    reads: Vec<ReadJob>,
    found: Vec<Found>,
    /// Something was taken by the committer since its last commit.
    to_commit: bool,
    /// When the commit ends that the committer is in, in ms.
    syncing: Option<u64>,
    /// Reads that took long, and that failed.
    pub slow_reads: u64,
    pub failed_reads: u64,
    /// When each core tries again what has found no room, in ms, and how often one did.
    retry_at: Vec<u64>,
    pub held_back: u64,
    /// The start had a snapshot to begin with.
    pub from_snapshot: bool,
    bug: Option<Bug>,
    /// Cores that do not hear their bell any more.
    deaf: Vec<usize>,
    /// Cores that do not settle what gathers.
    unsettled: Vec<usize>,
}

impl Process {
    /// Starts on what the disk has, by the real recovery, and compares what came of it with the log.
    pub fn start(disk: &Disk, shards: usize, bug: Option<Bug>, dice: &mut Dice) -> Result<Process, String> {
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
        let engines = tables.into_iter().map(engine).collect();
        let limits = Limits { outstanding_commands_max: OUTSTANDING_MAX, ..Limits::default() };
        let options = SteppedOptions {
            face: Settings::new(limits, false, key, &store.identity().log_id.0),
            clock: now,
            lane_messages: 1 + dice.below(LANE_MESSAGES_MAX),
            inbox_letters: 1 + dice.below(INBOX_LETTERS_MAX),
        };
        let (pool, readers) = ReaderPool::stepped(&store, READS_MAX);
        let (cores, lanes) =
            SteppedCores::new(options, engines, nonces, pool, recovery.last, recovery.next_snapshot).unwrap();
        let process = Process {
            disk: disk.clone(),
            key,
            cores,
            lanes,
            readers,
            sequencer,
            committer,
            told,
            failed: false,
            connections: BTreeMap::new(),
            reads: Vec::new(),
            found: Vec::new(),
            to_commit: false,
            syncing: None,
            slow_reads: 0,
            failed_reads: 0,
            retry_at: vec![0; shards],
            held_back: 0,
            from_snapshot: recovery.snapshot_records > 0,
            bug,
            deaf: Vec::new(),
            unsettled: Vec::new(),
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
        let held: StateHash = self.cores.state_hash();
        if held == table.state_hash() { Ok(()) } else { Err(format!("the {which} state is not what the log gives")) }
    }

    /// How many cores there are.
    pub fn shards(&self) -> usize {
        self.cores.count()
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
        let served = self.cores.connect(core, id, Principal::from_name(principal));
        let (incoming, outgoing) = (VecDeque::new(), VecDeque::new());
        self.connections.insert(id, Connection { served, gone: false, incoming, outgoing });
    }

    /// A client is gone, with all that was on the wires.
    pub fn cut(&mut self, id: u64) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.gone = true;
            connection.incoming.clear();
            connection.outgoing.clear();
            self.cores.end_input(&connection.served);
        }
    }

    /// Reads no more, and answers what was read.
    pub fn drain(&mut self) {
        for connection in self.connections.values_mut() {
            connection.incoming.clear();
            self.cores.end_input(&connection.served);
        }
    }

    /// Whether all that was read is answered, and the clients have taken it.
    pub fn is_drained(&self) -> bool {
        let said = |one: &Connection| one.served.has_ended() && one.outgoing.is_empty();
        self.cores.is_quiet() && self.connections.values().all(said)
    }

    /// Whether a snapshot could begin.
    pub fn may_snapshot(&self) -> bool {
        self.cores.may_snapshot() && !self.failed
    }

    /// Begins a snapshot of all cores.
    pub fn begin_snapshot(&mut self) {
        self.cores.begin_snapshot();
    }

    /// All that could be done next, in an order that depends on nothing but what happened.
    pub fn acts(&mut self, acts: &mut Vec<Act>) {
        for (id, connection) in &mut self.connections {
            if self.cores.may_read(&mut connection.served) && !connection.incoming.is_empty() {
                acts.push(Act::Arrive(*id));
            }
            if self.cores.may_write(&mut connection.served) {
                acts.push(Act::Leave(*id));
            }
        }
        for core in 0..self.shards() {
            if self.cores.may_turn(core) && !self.deaf.contains(&core) {
                acts.push(Act::Turn(core));
            }
            if self.cores.may_settle(core) && !self.unsettled.contains(&core) {
                acts.push(Act::Settle(core));
            }
            if self.cores.may_retry(core) && passed_ms() >= self.retry_at[core] {
                acts.push(Act::Retry(core));
            }
            if self.cores.has_journal(core) {
                acts.push(Act::Journal(core));
            }
            if self.cores.may_copy(core) && !self.failed {
                acts.push(Act::Copy(core));
            }
        }
        if self.syncing.is_none() {
            let waiting = |(_, lane): &(usize, &LaneEnd)| !lane.is_empty();
            acts.extend(self.lanes.iter().enumerate().filter(waiting).map(|(core, _)| Act::Append(core)));
        }
        match self.syncing {
            Some(end) if end <= passed_ms() => acts.push(Act::Synced),
            None if self.to_commit && !self.failed => acts.push(Act::Commit),
            Some(_) | None => {}
        }
        self.reads.extend(std::iter::from_fn(|| self.readers.take()));
        if !self.reads.is_empty() {
            acts.push(Act::Read);
        }
        if self.found.iter().any(|found| found.due <= passed_ms()) {
            acts.push(Act::Found);
        }
    }

    /// Whether all that was asked is answered.
    pub fn is_quiet(&self) -> bool {
        self.cores.is_quiet() && self.connections.values().all(|one| one.served.is_quiet())
    }

    /// Does one thing.
    pub fn act(&mut self, act: Act, dice: &mut Dice) -> Result<(), String> {
        match act {
            Act::Arrive(id) => self.arrive(id, dice),
            Act::Leave(id) => self.leave(id),
            Act::Turn(core) => self.turn(core, dice),
            Act::Settle(core) => {
                self.cores.settle(core);
                if self.bug == Some(Bug::LostGathering) && dice.chance(50) {
                    self.unsettled.push(core);
                }
            }
            Act::Retry(core) => {
                self.held_back += 1;
                self.retry_at[core] = passed_ms() + RETRY_MS;
                self.cores.retry(core);
            }
            Act::Journal(core) => self.cores.write_journal(core),
            Act::Append(core) => {
                let taken = self.lanes[core].take().map(|append| self.committer.take(self.aged(append)));
                if taken.is_some_and(|taken| taken.is_err()) {
                    return Err("the committer refused what it was handed".to_owned());
                }
                self.to_commit = true;
            }
            Act::Commit => match self.disk.slowness_ms(dice) {
                Some(ms) => self.begin_sync(ms),
                None => self.commit(),
            },
            Act::Synced => {
                self.syncing = None;
                self.commit();
            }
            Act::Read => self.read_history(dice)?,
            Act::Found => {
                if let Some(at) = self.found.iter().position(|found| found.due <= passed_ms()) {
                    let Found { job, found, .. } = self.found.swap_remove(at);
                    (job.reply)(found);
                }
            }
            Act::Copy(core) => {
                for _ in 0..=dice.below(SLICES_MAX) {
                    if self.cores.may_copy(core) {
                        self.cores.copy(core, SLICE_ENTITIES, CHUNK_BYTES);
                    }
                }
            }
        }
        if self.bug == Some(Bug::AnswerBeforeSync) {
            self.cores.durable(self.sequencer.last());
        }
        Ok(())
    }

    fn arrive(&mut self, id: u64, dice: &mut Dice) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let count = 1 + dice.below(connection.incoming.len());
        let bytes: Vec<u8> = connection.incoming.drain(..count).collect();
        let patient = dice.chance(500);
        self.cores.read(&mut connection.served, &bytes, patient);
        if self.bug == Some(Bug::OrderIgnored) {
            // As if whoever has to decide its changes had said so already.
            let decided = vec![connection.served.number(); OUTSTANDING_MAX];
            self.cores.inbox(connection.served.core()).answer(Answers { answers: Vec::new(), decided });
        }
    }

    fn leave(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let mut answers = Vec::new();
        self.cores.write(&mut connection.served, &mut answers);
        if connection.gone && connection.served.has_ended() {
            self.connections.remove(&id);
        } else if !connection.gone {
            connection.outgoing.extend(answers);
        }
    }

    fn turn(&mut self, core: usize, dice: &mut Dice) {
        let inbox = self.cores.inbox(core);
        if self.bug == Some(Bug::LettersReordered) && dice.chance(500) {
            let mut letters: Vec<_> = std::iter::from_fn(|| inbox.take_asking()).collect();
            letters.reverse();
            letters.into_iter().for_each(|letter| assert!(inbox.ask(letter).is_ok(), "there was room for it"));
        }
        if self.bug == Some(Bug::LostDecided) && dice.chance(100) {
            let mut letters: Vec<_> = std::iter::from_fn(|| inbox.take_answering()).collect();
            letters.iter_mut().for_each(|letter| letter.decided.clear());
            letters.into_iter().for_each(|letter| inbox.answer(letter));
        }
        self.cores.turn(core, 1 + dice.below(ROUNDS_MAX));
        if self.bug == Some(Bug::LostWakeUp) && dice.chance(50) {
            self.deaf.push(core);
        }
    }

    /// A message as it arrives at the committer.
    fn aged(&self, append: Append) -> Append {
        match append {
            Append::SnapshotEnd(mut end) if self.bug == Some(Bug::SnapshotTooYoung) => {
                end.start = self.sequencer.last();
                Append::SnapshotEnd(end)
            }
            other => other,
        }
    }

    /// The committer is in its write until then: it takes nothing, and nobody sees or hears of what it writes. So it does
    /// not matter that the write is made only in the end, or when the process dies in it.
    fn begin_sync(&mut self, ms: u64) {
        self.syncing = Some(passed_ms() + ms);
        if self.bug == Some(Bug::SyncNotAwaited) {
            self.cores.durable(self.sequencer.last());
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
            self.commit();
        }
    }

    /// What the committer takes, it commits a part of at a time; it has nothing to do when it says nothing new.
    fn commit(&mut self) {
        // What went wrong it has told to its sink.
        self.to_commit = self.committer.commit().is_ok() && !self.told.borrow().notices.is_empty();
        let notices = std::mem::take(&mut self.told.borrow_mut().notices);
        for notice in notices {
            match notice {
                Notice::Durable(up_to) => self.cores.durable(up_to),
                Notice::Failed(error) => {
                    self.failed = true;
                    // The thread ends, and with it its lanes.
                    self.lanes.clear();
                    if self.bug == Some(Bug::FailureHidden) {
                        self.cores.durable(self.sequencer.last());
                    } else {
                        self.cores.failed(&error);
                    }
                }
            }
        }
    }

    /// Readers take questions in turn and finish in any order.
    fn read_history(&mut self, dice: &mut Dice) -> Result<(), String> {
        let at = dice.below(self.reads.len());
        let job = self.reads.swap_remove(at);
        let mut found = self.readers.read(&job.question, job.up_to);
        if let Err(error) = found {
            return Err(format!("history cannot be read: {error}"));
        }
        if self.disk.fails_to_read(dice) {
            self.failed_reads += 1;
            found = Err(LogError::Io { doing: "reading", detail: "the disk says no".to_owned() });
        }
        match self.disk.slowness_ms(dice) {
            Some(ms) => {
                self.slow_reads += 1;
                self.found.push(Found { job, found, due: passed_ms() + ms });
            }
            None => (job.reply)(found),
        }
        Ok(())
    }

    /// Ends in good order, when all is answered: the state that is left is that of the log (P3).
    pub fn finish(mut self) -> Result<(), String> {
        (0..self.shards()).for_each(|core| self.cores.write_journal(core));
        while !self.cores.is_quiet() || self.lanes.iter().any(|lane| !lane.is_empty()) {
            for core in 0..self.shards() {
                if let Some(append) = self.lanes[core].take() {
                    self.committer.take(self.aged(append)).map_err(|error| error.to_string())?;
                }
                self.cores.retry(core);
            }
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
        Recovered::Snapshot(records) => {
            let each = usize::try_from(records).unwrap().div_ceil(shards);
            tables.iter_mut().for_each(|table| table.reserve(each));
        }
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
                    entity: hash,
                    kind: &event.kind,
                    what: event
                        .attributes
                        .map_or(Repeatable::Removes, |text| Repeatable::Registers(key.fingerprint(text))),
                    sequence: event.sequence,
                    time: event.time,
                };
                nonces.apply(&used, now());
            }
        }
    }
}
