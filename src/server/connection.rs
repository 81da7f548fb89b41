//! One connection: its state, and the two tasks that move its bytes.
//!
//! The reader task takes bytes, the writer task gives bytes; both work on the [`Connection`], and neither holds a
//! borrow of it over an await. The reader stops reading while the connection may not ask more (back-pressure); the
//! writer writes what is answered, in one go, while the next answers gather.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::domain::Asked;
use crate::faces::Face;
use crate::faces::repsec::Session;
use crate::runtime::uring::{Cancel, Reader, Writer};
use crate::runtime::{Notify, now};
use crate::types::Timestamp;

use super::core::Core;
use super::tls::Tls;

/// Bytes read at once at first. Most connections never need more, and each waits with a buffer of its own.
const READ_BYTES_MIN: usize = 4 * 1024;
/// Bytes read at once at the most: four full records.
const READ_BYTES_MAX: usize = 64 * 1024 + 512;
/// How long a connection that we have closed is read on, so that the peer gets our last answers: bytes that nobody
/// reads would make the kernel reset the connection, and a reset overtakes answers.
pub(super) const LINGER: Duration = Duration::from_secs(1);

/// The state of one connection, shared by its two tasks and the core.
pub(super) struct Connection {
    pub(super) id: u64,
    /// The pseudonym of the peer's address in the access journal.
    pub(super) peer: u64,
    pub(super) session: RefCell<Session>,
    pub(super) tls: RefCell<Tls>,
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
    /// The connection will ask nothing more.
    pub(super) input_ended: Cell<bool>,
    /// Everything is said; what still comes is thrown away until then.
    pub(super) closed: Cell<Option<Timestamp>>,
    /// When the peer last sent, or took, something.
    pub(super) heard: Cell<Timestamp>,
    /// Since when there is a message (or a handshake) that has begun and not ended.
    pub(super) started: Cell<Option<Timestamp>>,
    cancel_read: Cancel,
    cancel_write: Cancel,
    tasks: Cell<u8>,
}

impl Connection {
    pub(super) fn new(id: u64, peer: u64, session: Session, tls: Tls) -> Connection {
        let now = now();
        Connection {
            id,
            peer,
            session: RefCell::new(session),
            tls: RefCell::new(tls),
            held: RefCell::new(None),
            undecided: Cell::new((0, 0)),
            histories: RefCell::new(Vec::new()),
            writable: Notify::default(),
            room: Notify::default(),
            input_ended: Cell::new(false),
            closed: Cell::new(None),
            heard: Cell::new(now),
            started: Cell::new(Some(now)),
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
        self.writable.notify();
    }

    /// Ends the connection at once.
    pub(super) fn abort(&self) {
        self.closed.set(Some(Timestamp::ZERO));
        self.end_input();
        self.cancel_write.cancel();
    }

    /// Whether all that was accepted is answered and written, and nothing more will be accepted.
    fn is_done(&self) -> bool {
        let session = self.session.borrow();
        let ended = self.input_ended.get() || session.finished();
        ended && session.outstanding() == 0 && self.held.borrow().is_none()
    }
}

/// Moves bytes from the socket to the session until the peer or the server ends it.
pub(super) async fn read(core: Rc<Core>, connection: Rc<Connection>, mut reader: Reader) {
    let mut buffer = vec![0; READ_BYTES_MIN];
    let mut filled = 0;
    while !connection.input_ended.get() {
        if core.must_wait(&connection) {
            connection.room.wait().await;
            continue;
        }
        if filled == buffer.len() {
            buffer.resize((2 * buffer.len()).min(READ_BYTES_MAX), 0);
        }
        let (result, back) = reader.read(buffer, filled, &connection.cancel_read).await;
        buffer = back;
        match result {
            Ok(0) | Err(_) => break,
            Ok(bytes) => filled += bytes,
        }
        connection.heard.set(now());
        let (done, outcome) = {
            let (mut tls, mut session) = (connection.tls.borrow_mut(), connection.session.borrow_mut());
            tls.receive(buffer.get_mut(..filled).unwrap_or_default(), &mut |plaintext| session.receive(plaintext))
        };
        buffer.copy_within(done..filled, 0);
        filled -= done;
        if let Err(error) = &outcome {
            tracing::debug!(%error, "a peer broke TLS");
        }
        core.pump(&connection);
        note_started(&connection, filled);
        if outcome.is_err() || connection.tls.borrow().peer_closed() {
            break;
        }
    }
    connection.input_ended.set(true);
    connection.writable.notify();
    linger(&connection, reader, buffer).await;
    finish(&core, &connection);
}

/// Notes since when something has been begun that must be ended in time: a message, a record, a handshake.
fn note_started(connection: &Connection, undecrypted: usize) {
    let handshaking = connection.tls.borrow().is_handshaking();
    let open = handshaking || undecrypted > 0 || connection.session.borrow().message_started();
    match (open, connection.started.get()) {
        (true, None) => connection.started.set(Some(connection.heard.get())),
        (false, Some(_)) => connection.started.set(None),
        _ => {}
    }
}

/// Throws away what still comes, until the peer ends too or the core has lingered long enough.
async fn linger(connection: &Connection, mut reader: Reader, mut buffer: Vec<u8>) {
    while connection.closed.get() != Some(Timestamp::ZERO) {
        let (result, back) = reader.read(buffer, 0, &connection.cancel_read).await;
        buffer = back;
        if !matches!(result, Ok(bytes) if bytes > 0) {
            break;
        }
    }
}

/// Moves answers from the session to the socket until everything is said.
pub(super) async fn write(core: Rc<Core>, connection: Rc<Connection>, mut writer: Writer) {
    let mut spare = Vec::new();
    let mut plaintext = Vec::new();
    let mut alive = true;
    while alive {
        connection.writable.wait().await;
        loop {
            core.collect(&connection, &mut plaintext);
            let done = connection.is_done();
            let outgoing = encrypt(&connection, &mut plaintext, spare, done);
            if !outgoing.is_empty() {
                let (result, back) = writer.write_all(outgoing, &connection.cancel_write).await;
                alive &= result.is_ok();
                connection.heard.set(now());
                spare = back;
                spare.clear();
                core.pump(&connection);
            } else {
                spare = outgoing;
                alive &= !done;
                break;
            }
            if done || !alive {
                alive = false;
                break;
            }
        }
    }
    writer.shutdown().await;
    connection.input_ended.set(true);
    connection.closed.set(connection.closed.get().or(Some(now())));
    connection.room.notify();
    finish(&core, &connection);
}

/// Encrypts the answers, and the farewell if nothing will follow.
fn encrypt(connection: &Connection, plaintext: &mut Vec<u8>, spare: Vec<u8>, done: bool) -> Vec<u8> {
    let mut tls = connection.tls.borrow_mut();
    if !plaintext.is_empty() && tls.send(plaintext).is_err() {
        connection.input_ended.set(true);
    }
    plaintext.clear();
    if done {
        tls.close();
    }
    tls.take_outgoing(spare)
}

/// The last of the two tasks takes the connection from its core.
fn finish(core: &Core, connection: &Connection) {
    connection.tasks.set(connection.tasks.get() - 1);
    if connection.tasks.get() == 0 {
        core.remove(connection.id);
    }
}
