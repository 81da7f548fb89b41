//! One connection: its state, and the two tasks that move its bytes.
//!
//! The reader task takes bytes, the writer task gives bytes; both work on the [`Connection`] and its TLS, and neither holds
//! a borrow of them over an await. The reader stops reading while the connection may not ask more (back-pressure); the
//! writer writes what is answered, in one go, while the next answers gather.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::domain::Asked;
use crate::faces::Face;
use crate::faces::repsec::Session;
use crate::runtime::uring::{self, Cancel, Reader, Writer};
use crate::runtime::{Buffer, Notify};

use super::core::Core;
use super::tls::Tls;

/// Bytes read at once at first. Most connections never need more, and each waits with a buffer of its own.
const READ_BYTES_MIN: usize = 4 * 1024;
/// Bytes read at once at the most: four full records.
const READ_BYTES_MAX: usize = 64 * 1024 + 512;
/// Short reads in a row after which a large buffer is given back.
const SMALL_READS: u32 = 16;
/// Reads of what nobody wants any more, after which others have their turn.
const LINGER_READS: u32 = 64;
/// How long a connection that we have closed is read on, so that the peer gets our last answers: bytes that nobody
/// reads would make the kernel reset the connection, and a reset overtakes answers.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// The state of one connection, shared by its two tasks and the core.
pub(super) struct Connection {
    pub(super) id: u64,
    /// The pseudonym of the peer's address in the access journal.
    pub(super) peer: u64,
    pub(super) session: RefCell<Session>,
    /// A question that may not go out yet; nothing behind it may either.
    pub(super) held: RefCell<Option<(u64, Asked)>>,
    /// The core that still has to decide changes of this connection, and how many.
    pub(super) undecided: Cell<(usize, usize)>,
    /// Slots whose answers are being read from history.
    pub(super) histories: RefCell<Vec<u64>>,
    /// There may be something to write, or to close.
    pub(super) writable: Notify,
    /// There may be room to read.
    pub(super) room: Notify,
    /// The writer has written what could be answered at once.
    pub(super) written: Notify,
    /// The connection will ask nothing more.
    pub(super) input_ended: Cell<bool>,
    /// The session has nothing more to ask of what was received.
    pub(super) asked_all: Cell<bool>,
    /// How far the end has come.
    pub(super) end: Cell<End>,
    /// When the peer last sent, or took, something.
    pub(super) heard: Cell<Instant>,
    /// Since when there is a message (or a handshake) that has begun and not ended.
    pub(super) started: Cell<Option<Instant>>,
    /// The messages that had been received whole when that was looked at, and whether the handshake was over.
    begun: Cell<(u64, bool)>,
    /// Answers are on their way to the socket, which takes them only as fast as the peer does.
    pub(super) writing: Cell<bool>,
    cancel_read: Cancel,
    cancel_write: Cancel,
    tasks: Cell<u8>,
}

/// How far the end of a connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Not at all.
    Open,
    /// Everything is said since then; what still comes is thrown away for a while.
    Said(Instant),
    /// Neither side is waited for any more.
    Aborted,
}

impl Connection {
    pub(super) fn new(id: u64, peer: u64, session: Session) -> Connection {
        let now = Instant::now();
        Connection {
            id,
            peer,
            session: RefCell::new(session),
            held: RefCell::new(None),
            undecided: Cell::new((0, 0)),
            histories: RefCell::new(Vec::new()),
            writable: Notify::default(),
            room: Notify::default(),
            written: Notify::default(),
            input_ended: Cell::new(false),
            asked_all: Cell::new(true),
            end: Cell::new(End::Open),
            heard: Cell::new(now),
            started: Cell::new(Some(now)),
            begun: Cell::new((0, false)),
            writing: Cell::new(false),
            cancel_read: Cancel::default(),
            cancel_write: Cancel::default(),
            tasks: Cell::new(2),
        }
    }

    /// Ends the reading, so that the connection answers what it has accepted and closes.
    pub(super) fn end_input(&self) {
        self.input_ended.set(true);
        self.cancel_read.cancel();
        self.room.notify();
        self.written.notify();
        self.writable.notify();
    }

    /// Ends the connection at once. May be called again, since a task may begin another read or write in the moment
    /// in which the one before it is cancelled.
    pub(super) fn abort(&self) {
        self.end.set(End::Aborted);
        self.end_input();
        self.cancel_write.cancel();
    }

    /// Gives memory back that what came so far has taken, where nothing has come for a while: most connections are idle
    /// most of the time.
    pub(super) fn release_if_quiet(&self, quiet: Duration) {
        let mut session = self.session.borrow_mut();
        if session.outstanding() == 0 && self.heard.get().elapsed() > quiet {
            session.release_memory();
        }
    }

    /// Whether a change may go to this core now: changes before it that others have to decide keep it back, so that the log
    /// has them in their order.
    pub(super) fn may_change_at(&self, owner: usize) -> bool {
        let (at, undecided) = self.undecided.get();
        undecided == 0 || at == owner
    }

    fn is_aborted(&self) -> bool {
        self.end.get() == End::Aborted
    }

    /// Whether all that was accepted is answered and written, and nothing more will be accepted.
    pub(super) fn is_done(&self) -> bool {
        let session = self.session.borrow();
        let asked_all = self.asked_all.get() && self.held.borrow().is_none();
        session.finished() || self.input_ended.get() && asked_all && session.outstanding() == 0
    }
}

/// Moves bytes from the socket to the session until the peer or the server ends it.
pub(super) async fn read(core: Rc<Core>, connection: Rc<Connection>, tls: Rc<RefCell<Tls>>, mut reader: Reader) {
    let mut buffer = Vec::with_capacity(READ_BYTES_MIN);
    let (mut filled, mut small_reads) = (0, 0);
    while !connection.input_ended.get() {
        if core.must_wait(&connection) {
            // The time in which we do not read is none that the peer takes.
            connection.started.set(None);
            connection.room.wait().await;
            note_started(&connection, &tls, filled, Instant::now());
            continue;
        }
        if filled == buffer.capacity() {
            // A record is not whole yet, and there is no room for the rest of it.
            buffer.reserve_exact((2 * filled).min(READ_BYTES_MAX) - filled);
        } else if filled == 0 && small_reads >= SMALL_READS && buffer.capacity() > READ_BYTES_MIN {
            buffer = Vec::with_capacity(READ_BYTES_MIN);
        }
        let (result, back) = reader.read(buffer, filled, &connection.cancel_read).await;
        buffer = back;
        match result {
            Ok(0) | Err(_) => break,
            Ok(bytes) => {
                filled += bytes;
                small_reads = if bytes < READ_BYTES_MIN { small_reads + 1 } else { 0 };
            }
        }
        connection.heard.set(core.moment().instant);
        if connection.input_ended.get() {
            // These bytes came while the reading was being ended. The farewell may be said already, so what they ask
            // must not take effect: nobody would be answered.
            break;
        }
        connection.written.take();
        let (done, outcome) = core.take_in(&connection, |session| {
            tls.borrow_mut()
                .receive(buffer.get_mut(..filled).unwrap_or_default(), &mut |plaintext| session.receive(plaintext))
        });
        buffer.copy_within(done..filled, 0);
        filled -= done;
        if let Err(error) = &outcome {
            tracing::debug!(%error, "a peer broke TLS");
        }
        note_started(&connection, &tls, filled, connection.heard.get());
        if outcome.is_err() || tls.borrow().peer_closed() {
            break;
        }
        if small_reads > 0 && connection.started.get().is_none() && !connection.writing.get() {
            // The peer has probably nothing more to say before it has its answers. When it has, its next words have often
            // come already, and to read no earlier spares the kernel and the sender from waiting for and waking us.
            connection.written.wait().await;
        }
    }
    connection.input_ended.set(true);
    connection.writable.notify();
    linger(&connection, reader, buffer).await;
    finish(&core, &connection);
}

/// Notes since when something has been begun that must be ended in time: a message, a record, a handshake.
fn note_started(connection: &Connection, tls: &RefCell<Tls>, undecrypted: usize, now: Instant) {
    let handshaking = tls.borrow().is_handshaking();
    let session = connection.session.borrow();
    let open = handshaking || undecrypted > 0 || session.message_started();
    // A peer that sends ahead has always begun something; what counts is whether it ever ends.
    let begun = (session.messages(), !handshaking);
    let progress = connection.begun.replace(begun) != begun;
    match (open, connection.started.get()) {
        (true, since) if since.is_none() || progress => connection.started.set(Some(now)),
        (false, Some(_)) => connection.started.set(None),
        _ => {}
    }
}

/// Throws away what still comes, until the peer ends too or the core has lingered long enough.
async fn linger(connection: &Connection, mut reader: Reader, mut buffer: Vec<u8>) {
    let mut reads = 0_u32;
    while !connection.is_aborted() {
        let (result, back) = reader.read(buffer, 0, &connection.cancel_read).await;
        buffer = back;
        if !matches!(result, Ok(bytes) if bytes > 0) {
            break;
        }
        reads += 1;
        if reads.is_multiple_of(LINGER_READS) {
            // On epoll a socket that is never empty is never waited for, and would keep the core to itself.
            uring::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Moves answers from the session to the socket until everything is said.
pub(super) async fn write(core: Rc<Core>, connection: Rc<Connection>, tls: Rc<RefCell<Tls>>, mut writer: Writer) {
    let mut broken = false;
    'connection: loop {
        connection.written.notify();
        connection.writable.wait().await;
        loop {
            if connection.is_aborted() {
                break 'connection;
            }
            let mut plaintext = core.buffers.take();
            core.collect(&connection, plaintext.end());
            let answered = !plaintext.is_empty();
            let done = connection.is_done();
            let mut outgoing = encrypt(&core, &connection, &tls, plaintext.bytes(), done);
            core.buffers.give(plaintext);
            let wrote = !outgoing.is_empty();
            if wrote && !broken {
                connection.writing.set(true);
                let (result, back) = writer.write_all(outgoing, &connection.cancel_write).await;
                connection.writing.set(false);
                connection.written.notify();
                outgoing = back;
                connection.heard.set(core.moment().instant);
                if result.is_err() {
                    // The peer is gone. What it has asked is still brought to its end, for the access journal.
                    broken = true;
                    connection.end_input();
                }
            }
            core.buffers.give(outgoing);
            if done {
                break 'connection;
            }
            if !wrote && !answered {
                break;
            }
            core.pump(&connection);
        }
    }
    writer.shutdown().await;
    connection.input_ended.set(true);
    if !connection.is_aborted() {
        connection.end.set(End::Said(Instant::now()));
    }
    connection.room.notify();
    connection.written.notify();
    finish(&core, &connection);
}

/// Encrypts the answers, and the farewell if nothing will follow.
fn encrypt(core: &Core, connection: &Connection, tls: &RefCell<Tls>, plaintext: &[u8], done: bool) -> Buffer {
    let mut tls = tls.borrow_mut();
    if !plaintext.is_empty() {
        if !tls.has_outgoing() {
            core.buffers.give(tls.take_outgoing(core.buffers.take()));
        }
        if tls.send(plaintext).is_err() {
            connection.input_ended.set(true);
        }
    }
    if done {
        tls.close();
    }
    tls.take_outgoing(Buffer::default())
}

/// The last of the two tasks takes the connection from its core.
fn finish(core: &Core, connection: &Connection) {
    connection.tasks.set(connection.tasks.get() - 1);
    if connection.tasks.get() == 0 {
        core.remove(connection.id);
    }
}
