//! A server's life: check, open, listen, recover, serve, drain, close.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::engine::{Engine, Sequencer};
use crate::faces::repsec;
use crate::log::pool::READER_QUEUE;
use crate::log::{Committer, CommitterHandle, CommitterOptions, LogError, OpenOptions, ReaderPool, Store};
use crate::projection::StateHash;
use crate::runtime::uring::Driver;
use crate::runtime::{Mesh, now, topology};
use crate::types::Sequence;

use super::certificates::{self, CertificateFiles, InUse};
use super::core::Brain;
use super::error::StartError;
use super::journal::Pseudonyms;
use super::listener;
use super::pages;
use super::recovery::{self, Start};
use super::settings::Settings;
use super::shard::{self, Arrival, CoreStart};
use super::shared::{Happened, Shared, Sink};

/// After a failed write the answers 500 get this long to leave.
const FAREWELL: Duration = Duration::from_secs(2);

/// From so many events on, that their part of the index for AUDIT is built is said: it takes seconds. A crash leaves fewer.
const INDEX_TOLD: u64 = 4_000_000;

/// How a server ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// Somebody stopped it, and everything that it had accepted is answered.
    Drained,
    /// Somebody stopped it, and the time to drain ran out before all was answered.
    Overdue,
    /// The log could no longer be written, or a thread of the server failed.
    Failed,
}

/// Runs a server until it is stopped by SIGTERM or SIGINT, or fails. Prints one line on standard output when it is
/// ready; logs go through `tracing`.
///
/// # Errors
/// What kept it from starting. Once it is ready it ends with [`Ended`].
pub fn run(settings: Settings) -> Result<Ended, StartError> {
    // Signals are caught from the beginning, so that none ends the process in the middle of a write.
    let (happened_in, happened) = unbounded();
    let recovering = Arc::new(AtomicBool::new(true));
    forward_signals(&happened_in, &recovering)?;
    check_network(&settings)?;
    // Certificates that somebody named are tried before anything is made; those of development belong into the store.
    if let Some(files) = &settings.certificates {
        certificates::server_config(files)?;
    } else if !settings.development {
        return Err(StartError::NoCertificate);
    }
    let store = Store::open(&settings.data, OpenOptions { create: true, read_only: false })?;
    if store.was_torn() {
        tracing::info!("a power loss had torn the last write; it was dropped, and had never been answered");
    }
    let files = certificate_files(&settings)?;
    let tls = certificates::server_config(&files)?;
    let sockets = listener::open(settings.listen, settings.shards)?;
    let address = sockets.first().and_then(|socket| socket.local_addr().ok()).unwrap_or(settings.listen);
    let settings = Arc::new(settings);

    let (mesh, ears) = Mesh::new(settings.shards).map_err(|source| StartError::Listen { listen: address, source })?;
    let shared = Shared::new(mesh, happened_in);
    let certificate = Arc::new(InUse::new(tls));
    let cores = start_cores(&settings, &shared, &certificate, &store, sockets, ears)?;
    tracing::info!(%address, shards = settings.shards, "answering PING; recovering the state");
    let start = recovery::recover(&store, settings.shards, settings.nonces_max)?;
    recovering.store(false, Ordering::Release);
    let committer = hand_over(&settings, &shared, &store, &cores, start)?;
    topology::leave_cores_to(settings.shards);
    say_ready(address);

    let reason = wait(&happened, &certificate, &files);
    let failed = match &reason {
        Happened::Stop | Happened::Reload => {
            tracing::info!("stopping: no new connections, answering what was accepted");
            false
        }
        Happened::Failed(error) => {
            tracing::error!(error, "the log cannot be written: answering 500 to what waits, and ending");
            true
        }
        Happened::ThreadEnded(error) => {
            tracing::error!(error, "a thread of the server failed: ending");
            true
        }
    };
    Ok(close(&shared, cores, committer, settings.drain_timeout, failed))
}

/// Lets nobody in from other machines whom nobody knows.
fn check_network(settings: &Settings) -> Result<(), StartError> {
    let listen = settings.listen;
    if listen.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    if settings.development {
        return Err(StartError::DevelopmentNetwork { listen });
    }
    if !settings.insecure_anonymous {
        return Err(StartError::AnonymousNetwork { listen });
    }
    tracing::warn!(%listen, "--insecure-anonymous: anybody who reaches this address can change the store");
    Ok(())
}

fn certificate_files(settings: &Settings) -> Result<CertificateFiles, StartError> {
    match (&settings.certificates, settings.development) {
        (Some(files), _) => Ok(files.clone()),
        (None, true) => certificates::make_development(&settings.data),
        (None, false) => Err(StartError::NoCertificate),
    }
}

/// Hands signals on to the main thread. While that one is busy recovering, and nothing was answered but PING, a stop
/// ends the process at once: replaying a long log takes longer than whoever stops us is patient.
fn forward_signals(happened: &Sender<Happened>, recovering: &Arc<AtomicBool>) -> Result<(), StartError> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(|source| StartError::Io {
        doing: "watch for signals",
        path: "/proc/self".into(),
        source,
    })?;
    let (happened, recovering) = (happened.clone(), Arc::clone(recovering));
    let forward = move || {
        for signal in signals.forever() {
            if signal != SIGHUP && recovering.load(Ordering::Acquire) {
                tracing::info!("stopped before it was ready");
                signal_hook::low_level::exit(0);
            }
            let event = if signal == SIGHUP { Happened::Reload } else { Happened::Stop };
            if happened.send(event).is_err() {
                return;
            }
        }
    };
    drop(thread::Builder::new().name("signals".to_owned()).spawn(forward));
    Ok(())
}

/// The threads of the cores, and where each gets its entities.
struct Cores {
    threads: Vec<JoinHandle<Result<StateHash, StartError>>>,
    arrivals: Vec<Arc<Mutex<Option<Arrival>>>>,
}

fn start_cores(
    settings: &Arc<Settings>,
    shared: &Arc<Shared>,
    certificate: &Arc<InUse>,
    store: &Store,
    sockets: Vec<std::net::TcpListener>,
    ears: Vec<std::os::unix::net::UnixStream>,
) -> Result<Cores, StartError> {
    let driver = choose_driver(settings.driver);
    let identity = store.identity();
    let once_required = !settings.development;
    let face = repsec::Settings::new(settings.limits, once_required, identity.hash_key, &identity.log_id.0);
    let face = Arc::new(face);
    let pseudonyms = Pseudonyms::new().map_err(|error| StartError::Io {
        doing: "get randomness",
        path: "/dev/urandom".into(),
        source: std::io::Error::other(error.to_string()),
    })?;
    let pseudonyms = Arc::new(pseudonyms);
    let (up, is_up) = bounded(settings.shards);
    let mut cores = Cores { threads: Vec::new(), arrivals: Vec::new() };
    for (index, (listener, ear)) in sockets.into_iter().zip(ears).enumerate() {
        let arrival = Arc::new(Mutex::new(None));
        cores.arrivals.push(Arc::clone(&arrival));
        let start = CoreStart {
            index,
            shared: Arc::clone(shared),
            settings: Arc::clone(settings),
            certificate: Arc::clone(certificate),
            face: Arc::clone(&face),
            pseudonyms: Arc::clone(&pseudonyms),
            listener,
            ear,
            driver,
            arrival,
            up: up.clone(),
        };
        let guard = Guard { what: format!("shard {index}"), shared: Arc::clone(shared) };
        let body = move || {
            let guard = guard;
            let result = shard::run(start);
            guard.ended(&result);
            result
        };
        let thread = thread::Builder::new().name(format!("shard-{index}")).spawn(body);
        cores.threads.push(thread.map_err(|source| StartError::EventLoop { driver: driver.name(), source })?);
    }
    drop(up);
    for _ in 0..settings.shards {
        if is_up.recv().is_err() {
            return Err(first_error(cores.threads));
        }
    }
    Ok(cores)
}

/// What the thread that did not come up says.
fn first_error(threads: Vec<JoinHandle<Result<StateHash, StartError>>>) -> StartError {
    let ended = threads.into_iter().filter(JoinHandle::is_finished).find_map(|thread| thread.join().ok()?.err());
    ended.unwrap_or_else(|| StartError::EventLoop {
        driver: "any",
        source: std::io::Error::other("a shard's thread ended before it began to listen"),
    })
}

fn choose_driver(asked: Option<Driver>) -> Driver {
    let driver = asked.unwrap_or_else(Driver::best);
    if asked.is_none() && driver == Driver::Epoll {
        tracing::warn!(
            "io_uring is closed here (an old kernel, kernel.io_uring_disabled, or a container's seccomp profile): \
             using epoll, which is slower and otherwise the same",
        );
    }
    tracing::info!(driver = driver.name(), "event loops");
    driver
}

/// Ends the server when a thread of it ends without being told to: then its share of the entities is gone.
struct Guard {
    what: String,
    shared: Arc<Shared>,
}

impl Guard {
    fn ended(&self, result: &Result<StateHash, StartError>) {
        if let Err(error) = result {
            self.shared.tell(Happened::ThreadEnded(format!("{}: {error}", self.what)));
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if thread::panicking() {
            // A shard that panicked may have taken a place in the log and not filled it, so nothing that comes
            // after it can become durable. The process ends here; the log is whole, and a restart goes on with it.
            tracing::error!(thread = self.what, "a thread of the server panicked; the process ends");
            signal_hook::low_level::exit(crate::server::EXIT_PANIC);
        }
    }
}

/// Gives the recovered store to the cores.
fn hand_over(
    settings: &Settings,
    shared: &Arc<Shared>,
    store: &Store,
    cores: &Cores,
    start: Start,
) -> Result<CommitterHandle, StartError> {
    let Start { tables, nonces, recovery, summary } = start;
    match &recovery.snapshot_damage {
        Some(error @ LogError::OldSnapshot) => tracing::info!("{error}; the whole log was replayed"),
        Some(error) => tracing::warn!(%error, "the snapshot cannot be used; the whole log was replayed instead"),
        None => {}
    }
    tracing::info!(
        sequence = recovery.last.value(),
        entities = summary.entities,
        registered = summary.registered,
        tail_events = recovery.tail_events,
        state_hash = %summary.state_hash,
        "state recovered",
    );
    shared.progress.set_durable(recovery.last);
    let last_snapshot = recovery.next_snapshot.saturating_sub(1);
    shared.snapshot.store(last_snapshot, Ordering::Release);
    shared.snapshot_settled.store(last_snapshot, Ordering::Release);
    shared.snapshot_start.store(recovery.snapshot_sequence.value(), Ordering::Release);
    let sequencer = Arc::new(Sequencer::new(recovery.last, recovery.last_time));
    let access_retention_ms = u64::try_from(settings.access_retention.as_millis()).unwrap_or(u64::MAX);
    let options = CommitterOptions { access_retention_ms, now, ..CommitterOptions::default() };
    let unindexed = store.unindexed_events()?;
    if unindexed > INDEX_TOLD {
        tracing::info!(events = unindexed, "the index for AUDIT is built from the log");
    }
    let committer = Committer::start(store.clone(), options, Sink(Arc::clone(shared)))?;
    let readers = Arc::new(ReaderPool::start(store, settings.readers, READER_QUEUE)?);
    let pages = pages::start(shared);
    for (index, ((table, arrival), pages)) in tables.0.into_iter().zip(&cores.arrivals).zip(pages).enumerate() {
        let engine = Engine::new(table, recovery.last, Arc::clone(&nonces), Arc::clone(&sequencer));
        let brain = Brain { engine, log: committer.lane(), readers: Arc::clone(&readers) };
        let arrived = Arrival { brain, nonces: Arc::clone(&nonces), pages };
        *arrival.lock().unwrap_or_else(PoisonError::into_inner) = Some(arrived);
        shared.mesh.inbox(index).tell();
    }
    Ok(committer)
}

fn say_ready(address: SocketAddr) {
    tracing::info!(%address, "ready");
    // Whoever started the server may have closed its standard output; that is no reason not to serve.
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "repsec: listening on {address}").and_then(|()| out.flush());
}

/// Waits for a reason to stop; reloads certificates meanwhile.
fn wait(happened: &Receiver<Happened>, certificate: &InUse, files: &CertificateFiles) -> Happened {
    loop {
        match happened.recv() {
            Ok(Happened::Reload) => match certificates::server_config(files) {
                Ok(config) => {
                    certificate.set(config);
                    tracing::info!(file = %files.chain.display(), "certificate reloaded for new connections");
                }
                Err(error) => tracing::error!(%error, "the old certificate stays in use"),
            },
            Ok(reason) => return reason,
            Err(_) => return Happened::Stop,
        }
    }
}

fn close(
    shared: &Arc<Shared>,
    cores: Cores,
    committer: CommitterHandle,
    drain_timeout: Duration,
    failed: bool,
) -> Ended {
    // After a failure whatever still waits gets its 500; after a stop there is the time to drain. Then the process
    // ends, however slow a peer is, and also when the disk never comes back from a sync.
    let patience = if failed { FAREWELL } else { drain_timeout + FAREWELL };
    let _ = thread::Builder::new().name("farewell".to_owned()).spawn(move || {
        thread::sleep(patience);
        if !failed {
            tracing::error!("the disk takes too long; ending without it, and nothing that was answered is lost");
        }
        // Without the exit handlers of C++: RocksDB's would wait for a thread that hangs in a sync.
        signal_hook::low_level::exit(crate::server::EXIT_FAILED);
    });
    shared.progress.stop();
    let mut state_hash = StateHash::default();
    for thread in cores.threads {
        if let Ok(Ok(hash)) = thread.join() {
            state_hash.merge(hash);
        }
    }
    let unanswered = shared.unanswered.load(Ordering::Acquire);
    let untaken = shared.untaken.load(Ordering::Acquire);
    if untaken > 0 {
        tracing::warn!(untaken, "the time to drain ran out, and peers did not take all their answers");
    }
    let last = committer.stop();
    match (&last, failed) {
        (Ok(last), false) => {
            tracing::info!(sequence = Sequence::value(*last), %state_hash, unanswered, "store closed");
        }
        (Ok(_), true) => {}
        (Err(error), _) => tracing::error!(%error, "the log failed"),
    }
    match (failed || last.is_err(), unanswered) {
        (true, _) => Ended::Failed,
        (false, 0) => Ended::Drained,
        (false, _) => {
            tracing::warn!(unanswered, "the time to drain ran out before every accepted command was answered");
            Ended::Overdue
        }
    }
}
