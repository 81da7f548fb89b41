//! The event loop of one core: accepting, hearing from the other cores, looking after what takes too long, stopping.

use std::cell::RefCell;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::faces::Face;
use crate::faces::repsec;
use crate::projection::{Nonces, StateHash};
use crate::runtime::uring::{self, Cancel, Driver, Ear, Listener};
use crate::runtime::{now, topology};
use crate::types::Principal;

use super::certificates::InUse;
use super::connection::{self, Connection, End, LINGER};
use super::core::{Brain, Core};
use super::error::StartError;
use super::journal::Pseudonyms;
use super::pages::Pages;
use super::settings::Settings;
use super::shared::Shared;
use super::snapshot;
use super::tls::Tls;

/// How often a core looks after timeouts, memory of connections that are quiet, its journal and snapshots.
const SWEEP: Duration = Duration::from_millis(250);
/// Rounds of letters after which a core lets its connections run before it goes on.
const ROUNDS_MAX: usize = 16;
/// How long a core waits after the system could not accept (too many open files, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a core gets when the store has been recovered.
pub(super) struct Arrival {
    pub(super) brain: Brain,
    pub(super) nonces: Arc<Nonces>,
    pub(super) pages: Option<Pages>,
}

/// All that a core's thread starts with.
pub(super) struct CoreStart {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) settings: Arc<Settings>,
    pub(super) certificate: Arc<InUse>,
    pub(super) face: Arc<repsec::Settings>,
    pub(super) pseudonyms: Arc<Pseudonyms>,
    pub(super) listener: TcpListener,
    pub(super) ear: UnixStream,
    pub(super) driver: Driver,
    /// Where the entities arrive; the core is woken then.
    pub(super) arrival: Arc<Mutex<Option<Arrival>>>,
    /// Told once the event loop runs.
    pub(super) up: crossbeam::channel::Sender<()>,
}

/// Runs a core until the server stops, and returns the hash of its state.
///
/// # Errors
/// When the kernel gives no event loop.
pub(super) fn run(start: CoreStart) -> Result<StateHash, StartError> {
    topology::pin(start.index);
    let driver = start.driver;
    let failed = |source| StartError::EventLoop { driver: driver.name(), source };
    uring::run(driver, move || serve(start)).map_err(failed)?.map_err(failed)
}

async fn serve(start: CoreStart) -> std::io::Result<StateHash> {
    let CoreStart { index, shared, settings, certificate, face, pseudonyms, listener, ear, driver, arrival, up } =
        start;
    let listener = Listener::new(listener, driver)?;
    let mut ear = Ear::new(ear, driver)?;
    let core = Rc::new(Core::new(index, shared, face, now));
    let accepting = Rc::new(Cancel::default());
    let door = Door { listener, pseudonyms, certificate, connections_max: settings.connections_max };
    uring::spawn(accept(Rc::clone(&core), door, Rc::clone(&accepting)));
    let _ = up.send(());
    let (mut nonces, mut pages) = (None, None);
    let mut sweeper = Sweeper::new(settings);
    uring::spawn(tick(Rc::clone(&core)));
    uring::spawn(settle(Rc::clone(&core)));
    loop {
        core.inbox().hear();
        let arrived = arrival.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(arrived) = arrived {
            (nonces, pages) = (Some(arrived.nonces), arrived.pages);
            core.awake(arrived.brain);
        }
        let more = core.receive_all(ROUNDS_MAX);
        sweeper.sweep(&core, nonces.as_ref(), &accepting);
        pages.iter_mut().for_each(|pages| pages.look_after_table(&core));
        core.flush();
        if sweeper.is_finished(&core) {
            break;
        }
        if core.may_rest(more) {
            ear.listen().await;
            core.inbox().stay_awake();
        }
    }
    core.ended.set(true);
    core.gathered.notify();
    // Tasks that still wait for a timer keep the core alive; the store must close all the same.
    let brain = core.brain.borrow_mut().take();
    Ok(brain.map(|brain| brain.engine.table().state_hash()).unwrap_or_default())
}

/// Rings the core's own bell, so that it sweeps even when nobody writes to it.
async fn tick(core: Rc<Core>) {
    while !core.ended.get() {
        uring::sleep(SWEEP).await;
        core.inbox().ring();
    }
}

/// Has decided and sent what gathers. Tasks run in the order in which they are woken, so this one runs behind all
/// connections whose bytes have come meanwhile: what they ask is decided together, and waits for memory once.
async fn settle(core: Rc<Core>) {
    while !core.ended.get() {
        core.gathered.wait().await;
        core.flush();
    }
}

/// Where connections come in.
struct Door {
    listener: Listener,
    pseudonyms: Arc<Pseudonyms>,
    certificate: Arc<InUse>,
    connections_max: usize,
}

/// Takes connections until the server stops.
async fn accept(core: Rc<Core>, door: Door, cancel: Rc<Cancel>) {
    while !core.shared.progress.stopping() {
        let (reader, writer, peer) = match door.listener.accept(&cancel).await {
            Ok(accepted) => accepted,
            Err(_) if core.shared.progress.stopping() => break,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection; trying again");
                uring::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if core.shared.progress.stopping() {
            // Accepted in the very moment in which the stop began: nobody would look after it.
            break;
        }
        if core.shared.connections.fetch_add(1, Ordering::AcqRel) >= door.connections_max {
            core.shared.connections.fetch_sub(1, Ordering::AcqRel);
            tracing::debug!("a connection beyond connections_max was closed");
            continue;
        }
        let tls = match Tls::new(door.certificate.get()) {
            Ok(tls) => tls,
            Err(error) => {
                core.shared.connections.fetch_sub(1, Ordering::AcqRel);
                tracing::error!(%error, "the TLS settings cannot be used");
                continue;
            }
        };
        // The seam for authentication: whoever is known by a certificate or a token gets a name here.
        let connection = core.connect(door.pseudonyms.of(peer.ip()), Principal::Anonymous);
        let tls = Rc::new(RefCell::new(tls));
        uring::spawn(connection::read(Rc::clone(&core), Rc::clone(&connection), Rc::clone(&tls), reader));
        uring::spawn(connection::write(Rc::clone(&core), connection, tls, writer));
    }
}

/// What a core does now and then, and at the end.
struct Sweeper {
    settings: Arc<Settings>,
    swept: Instant,
    snapshot: u64,
    /// When the drain must be over, once it has begun.
    deadline: Option<Instant>,
    drained: bool,
}

impl Sweeper {
    fn new(settings: Arc<Settings>) -> Sweeper {
        Sweeper { settings, swept: Instant::now(), snapshot: 0, deadline: None, drained: false }
    }

    fn sweep(&mut self, core: &Rc<Core>, nonces: Option<&Arc<Nonces>>, accepting: &Cancel) {
        if core.shared.progress.stopping() && self.deadline.is_none() {
            self.deadline = Some(Instant::now() + self.settings.drain_timeout);
            accepting.cancel();
            for connection in core.connections.borrow().values() {
                connection.end_input();
            }
        }
        if self.swept.elapsed() < SWEEP && self.deadline.is_none() {
            return;
        }
        self.swept = Instant::now();
        self.look_after_connections(core);
        core.give_journal(false);
        let Some(nonces) = nonces else { return };
        if core.index == 0 {
            snapshot::begin_if_due(core, self.settings.snapshot_events);
        }
        let wanted = core.shared.snapshot.load(Ordering::Acquire);
        if wanted > self.snapshot && core.shared.snapshot_open.load(Ordering::Acquire) > 0 {
            uring::spawn(snapshot::take(Rc::clone(core), Arc::clone(nonces), wanted));
        }
        self.snapshot = wanted;
    }

    fn look_after_connections(&self, core: &Rc<Core>) {
        let overdue = self.deadline.is_some_and(|deadline| Instant::now() > deadline);
        let connections: Vec<Rc<Connection>> = core.connections.borrow().values().cloned().collect();
        for connection in connections {
            connection.release_if_quiet(SWEEP);
            if connection.writing.get() {
                // The peer takes no answers, perhaps because it sends on without reading; its reader has waited enough.
                connection.written.notify();
            }
            let message_overdue =
                connection.started.get().is_some_and(|since| since.elapsed() > self.settings.message_timeout);
            match connection.end.get() {
                End::Aborted => connection.abort(),
                End::Open if overdue => {
                    let session = connection.session.borrow();
                    core.shared.unanswered.fetch_add(session.waiting(), Ordering::AcqRel);
                    let untaken = session.outstanding() - session.waiting() + usize::from(connection.writing.get());
                    core.shared.untaken.fetch_add(untaken, Ordering::AcqRel);
                    drop(session);
                    connection.abort();
                }
                End::Said(since) if overdue || since.elapsed() > LINGER => connection.abort(),
                End::Said(_) => {}
                End::Open if connection.input_ended.get() || !message_overdue || core.must_wait(&connection) => {
                    self.end_if_idle(&connection);
                }
                End::Open => {
                    connection.session.borrow_mut().time_out();
                    connection.end_input();
                }
            }
        }
    }

    fn end_if_idle(&self, connection: &Connection) {
        if connection.heard.get().elapsed() <= self.settings.idle_timeout {
            return;
        }
        let waits_for_us = connection.session.borrow().outstanding() > 0;
        // A peer that does not take its answers is not waited for; one that waits for ours is.
        if connection.writing.get() {
            connection.abort();
        } else if !waits_for_us && !connection.input_ended.get() {
            connection.end_input();
        }
    }

    /// Whether the core has nothing more to do: its connections are gone, and so are those of all cores, whose
    /// questions it would have to answer.
    fn is_finished(&mut self, core: &Core) -> bool {
        if self.deadline.is_none() || !core.connections.borrow().is_empty() {
            return false;
        }
        if !self.drained {
            self.drained = true;
            core.shared.progress.drain();
        }
        if !core.shared.progress.all_drained() {
            return false;
        }
        core.give_journal(true);
        core.flush();
        core.is_quiet()
            || core.shared.progress.failed()
            || self.deadline.is_some_and(|deadline| Instant::now() > deadline)
    }
}
