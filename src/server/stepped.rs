//! The cores of a server without their threads, sockets and timers: their owner says which of them does what next. For
//! simulations, in which everything happens on one thread and in an order that can be repeated.
//!
//! What is done is what the server does: its cores, its connections, its mailboxes with their bells, its snapshots. Only
//! what waits is written again here, a step for each place where a task of [`connection`](super::connection), the loop of
//! [`shard`](super::shard) or a copying [`snapshot`](super::snapshot) may wait. Left out are accepting, TLS, and what a
//! clock drives: time-outs, the sweep and the drain.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam::channel::unbounded;

use crate::engine::Engine;
use crate::faces::Face;
use crate::faces::repsec::Settings;
use crate::log::{CommitSink, LaneEnd, LogError, ReaderPool};
use crate::projection::{Nonces, StateHash};
use crate::runtime::{Inbox, Mesh};
use crate::types::{Principal, Sequence, Timestamp};

use super::connection::Connection;
use super::core::{Brain, Core};
use super::letter::{Answers, Questions, Tag};
use super::shared::{Shared, Sink};
use super::snapshot::{self, Copying};

/// What the cores are told.
pub struct SteppedOptions {
    /// What peers may send.
    pub face: Settings,
    /// The server's clock.
    pub clock: fn() -> Timestamp,
    /// Messages that may wait in the lane of each core to the committer.
    pub lane_messages: usize,
    /// Letters that ask and may wait in the inbox of each core.
    pub inbox_letters: usize,
}

/// The cores of one server.
pub struct SteppedCores {
    shared: Arc<Shared>,
    nonces: Arc<Nonces>,
    cores: Vec<SteppedCore>,
}

struct SteppedCore {
    core: Rc<Core>,
    ear: UnixStream,
    /// The loop waits for its bell.
    rests: bool,
    /// The task that settles what gathers waits until something does.
    settled: bool,
    /// The newest snapshot that it knows of, and its share while it copies.
    snapshot: u64,
    copying: Option<Copying>,
}

/// A connection of one of the cores, with the two tasks that serve it.
pub struct SteppedConnection {
    core: usize,
    connection: Rc<Connection>,
    /// The reader waits until the connection may ask more.
    reader_waits: bool,
    /// The reader waits until the writer has written what could be answered at once.
    awaits_writer: bool,
    /// The writer waits until there is something to write.
    writer_waits: bool,
    /// Everything is said.
    ended: bool,
}

impl SteppedCores {
    /// Cores that have recovered: an engine for each, all of them knowing `durable`, and the number of the next snapshot.
    /// Each has a lane of its own to the committer, which ends here.
    ///
    /// # Errors
    /// When the system has no more file descriptors.
    pub fn new(
        options: SteppedOptions,
        engines: Vec<Engine<Tag>>,
        nonces: Arc<Nonces>,
        readers: ReaderPool,
        durable: Sequence,
        next_snapshot: u64,
    ) -> io::Result<(SteppedCores, Vec<LaneEnd>)> {
        let (mesh, ears) = Mesh::with_room(engines.len(), options.inbox_letters)?;
        // Nobody waits for what happens: the owner knows.
        let shared = Shared::new(mesh, unbounded().0);
        shared.progress.set_durable(durable);
        shared.snapshot.store(next_snapshot.saturating_sub(1), Ordering::Release);
        let (face, readers) = (Arc::new(options.face), Arc::new(readers));
        let (mut cores, mut ends) = (Vec::new(), Vec::new());
        for (index, (engine, ear)) in engines.into_iter().zip(ears).enumerate() {
            ear.set_nonblocking(true)?;
            let (log, end) = LaneEnd::new(options.lane_messages);
            let core = Rc::new(Core::new(index, Arc::clone(&shared), Arc::clone(&face), options.clock));
            core.awake(Brain { engine, log, readers: Arc::clone(&readers) });
            let snapshot = shared.snapshot.load(Ordering::Acquire);
            cores.push(SteppedCore { core, ear, rests: false, settled: true, snapshot, copying: None });
            ends.push(end);
        }
        Ok((SteppedCores { shared, nonces, cores }, ends))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.cores.len()
    }

    /// The inbox of a core, for whoever wants to do mischief with letters.
    ///
    /// # Panics
    /// As all functions that take the number of a core: when there is no such core.
    pub fn inbox(&self, core: usize) -> &Inbox<Questions, Answers> {
        self.shared.mesh.inbox(core)
    }

    /// What the committer of these cores tells to its sink.
    pub fn durable(&self, up_to: Sequence) {
        Sink(Arc::clone(&self.shared)).durable(up_to);
    }

    /// What the committer of these cores tells to its sink.
    pub fn failed(&self, error: &LogError) {
        Sink(Arc::clone(&self.shared)).failed(error);
    }

    /// Whether a turn of the core's loop may begin: it goes on by itself, or its bell has rung.
    pub fn may_turn(&mut self, core: usize) -> bool {
        let SteppedCore { core, ear, rests, .. } = &mut self.cores[core];
        // Asking the kernel for a bell that nobody can have rung would take most of the time of a simulation.
        if *rests && !core.inbox().is_sleeping() {
            // How often it has rung makes no difference.
            *rests = ear.read(&mut [0; 64]).is_err();
        }
        !*rests
    }

    /// One turn of the core's loop, with so many rounds of letters at the most. It may begin only if
    /// [`may_turn`](Self::may_turn) says so.
    pub fn turn(&mut self, core: usize, rounds_max: usize) {
        let SteppedCore { core, rests, .. } = &mut self.cores[core];
        core.inbox().stay_awake();
        core.inbox().hear();
        let more = core.receive_all(rounds_max);
        core.flush();
        *rests = core.may_rest(more);
    }

    /// Whether something has gathered in the core that it may settle.
    pub fn may_settle(&mut self, core: usize) -> bool {
        let SteppedCore { core, settled, .. } = &mut self.cores[core];
        if core.gathered.take() {
            *settled = false;
        }
        !*settled
    }

    /// Has the core decide and send what has gathered, which it may only if [`may_settle`](Self::may_settle) says so.
    pub fn settle(&mut self, core: usize) {
        let SteppedCore { core, settled, .. } = &mut self.cores[core];
        *settled = true;
        core.flush();
    }

    /// Whether the core holds back something for which there was no room.
    pub fn may_retry(&self, core: usize) -> bool {
        !self.cores[core].core.has_sent_all()
    }

    /// Has the core try again, which the server's does at the latest when its clock wakes it, four times a second.
    pub fn retry(&self, core: usize) {
        self.cores[core].core.flush();
    }

    /// Whether something has gathered for the access journal of a core.
    pub fn has_journal(&self, core: usize) -> bool {
        !self.cores[core].core.journal.borrow().is_empty()
    }

    /// Gives the log what has gathered for the access journal of a core.
    pub fn write_journal(&self, core: usize) {
        let core = &self.cores[core].core;
        core.give_journal(true);
        core.flush();
    }

    /// Whether a snapshot may begin.
    pub fn may_snapshot(&self) -> bool {
        self.shared.snapshot_open.load(Ordering::Acquire) == 0
    }

    /// Begins a snapshot of all cores.
    pub fn begin_snapshot(&self) {
        snapshot::begin(&self.shared);
    }

    /// Whether the core has something to copy into a snapshot.
    pub fn may_copy(&self, core: usize) -> bool {
        let SteppedCore { snapshot, copying, .. } = &self.cores[core];
        copying.is_some() || self.shared.snapshot.load(Ordering::Acquire) > *snapshot
    }

    /// Has the core copy a little of its state: so many entities, or a part of the nonces. What is longer than
    /// `chunk_bytes` is sent.
    pub fn copy(&mut self, core: usize, entities: usize, chunk_bytes: usize) {
        let SteppedCore { core, snapshot, copying, .. } = &mut self.cores[core];
        if core.unsent_appends() > 0 {
            // The committer is behind.
            return core.flush();
        }
        let wanted = self.shared.snapshot.load(Ordering::Acquire);
        *snapshot = wanted;
        let mut share = copying.take().unwrap_or_else(|| Copying::begin(core, &self.nonces, wanted));
        let more = share.copy(core, &self.nonces, entities);
        if !more || share.len_bytes() >= chunk_bytes {
            share.send(core);
        }
        if more {
            *copying = Some(share);
        } else {
            share.end(core);
        }
    }

    /// A peer connects to a core.
    pub fn connect(&self, core: usize, peer: u64, principal: Principal) -> SteppedConnection {
        let connection = self.cores[core].core.connect(peer, principal);
        self.shared.connections.fetch_add(1, Ordering::AcqRel);
        SteppedConnection {
            core,
            connection,
            reader_waits: false,
            awaits_writer: false,
            writer_waits: true,
            ended: false,
        }
    }

    /// Whether the connection would take bytes that come now.
    pub fn may_read(&self, connection: &mut SteppedConnection) -> bool {
        let SteppedConnection { core, connection, reader_waits, awaits_writer, .. } = connection;
        if *awaits_writer {
            *awaits_writer = !connection.written.take();
        }
        if *awaits_writer {
            return false;
        }
        if *reader_waits && connection.room.take() {
            *reader_waits = false;
        }
        if !*reader_waits && self.cores[*core].core.must_wait(connection) {
            *reader_waits = true;
        }
        !*reader_waits && !connection.input_ended.get()
    }

    /// The connection takes bytes, which it may only if [`may_read`](Self::may_read) says so, and reads on before they are
    /// answered, or if it is `patient`, does not.
    pub fn read(&self, connection: &mut SteppedConnection, bytes: &[u8], patient: bool) {
        let SteppedConnection { core, connection, awaits_writer, .. } = connection;
        connection.written.take();
        self.cores[*core].core.take_in(connection, |session| session.receive(bytes));
        *awaits_writer = patient;
    }

    /// The peer is gone: nothing more will come. What was asked is still brought to its end.
    pub fn end_input(&self, connection: &SteppedConnection) {
        connection.connection.end_input();
    }

    /// Whether the connection may have something to say.
    pub fn may_write(&self, connection: &mut SteppedConnection) -> bool {
        let SteppedConnection { connection, writer_waits, ended, .. } = connection;
        if *writer_waits && connection.writable.take() {
            *writer_waits = false;
        }
        !*writer_waits && !*ended
    }

    /// The connection adds what it has to say, which it may only if [`may_write`](Self::may_write) says so. Behind its
    /// last word the core knows it no longer.
    pub fn write(&self, connection: &mut SteppedConnection, answers: &mut Vec<u8>) {
        let SteppedConnection { core, connection, writer_waits, ended, .. } = connection;
        let core = &self.cores[*core].core;
        let before = answers.len();
        core.collect(connection, answers);
        if connection.is_done() {
            *ended = true;
            core.remove(connection.id);
        } else if answers.len() == before {
            *writer_waits = true;
            connection.written.notify();
        } else {
            connection.written.notify();
            core.pump(connection);
        }
    }

    /// Whether everything that was asked is answered and given to the log.
    pub fn is_quiet(&self) -> bool {
        self.cores.iter().all(|one| one.core.is_quiet())
    }

    /// The hash of the state of all cores.
    pub fn state_hash(&self) -> StateHash {
        let mut hash = StateHash::default();
        for SteppedCore { core, .. } in &self.cores {
            let brain = core.brain.borrow();
            hash.merge(brain.as_ref().map(|brain| brain.engine.table().state_hash()).unwrap_or_default());
        }
        hash
    }
}

impl SteppedConnection {
    /// The core that it belongs to.
    pub fn core(&self) -> usize {
        self.core
    }

    /// Its number, under which letters speak of it.
    pub fn number(&self) -> u64 {
        self.connection.id
    }

    /// Whether its last word is said.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether all that was received whole is answered, and the answers were taken.
    pub fn is_quiet(&self) -> bool {
        self.connection.held.borrow().is_none() && self.connection.session.borrow().outstanding() == 0
    }
}
