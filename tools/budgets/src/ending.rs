//! What must not outlive this program: the processes that it started, and its scratch directory.
//!
//! Each of them is ended by whoever holds it, also when a panic unwinds. Ctrl-C and SIGTERM unwind nothing, so a thread
//! waits for them, ends what is listed here, by process id, and exits.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Exit status after Ctrl-C, as shells have it.
const INTERRUPTED: i32 = 130;

struct Alive {
    processes: BTreeSet<u32>,
    directories: BTreeSet<PathBuf>,
}

static ALIVE: Mutex<Alive> = Mutex::new(Alive { processes: BTreeSet::new(), directories: BTreeSet::new() });

fn alive() -> MutexGuard<'static, Alive> {
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lists a process that was started.
pub fn started(pid: u32) {
    alive().processes.insert(pid);
}

/// Takes a process off the list, when it has been waited for. Its id may belong to another one from then on.
pub fn ended(pid: u32) {
    alive().processes.remove(&pid);
}

/// Lists a directory that is to be removed.
pub fn made(directory: PathBuf) {
    alive().directories.insert(directory);
}

/// Takes a directory off the list.
pub fn removed(directory: &PathBuf) {
    alive().directories.remove(directory);
}

/// Sends a signal to a process that was started and not waited for yet.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // One that has ended already needs none.
        let _ = kill_process(pid, signal);
    }
}

/// Ends everything that is listed, now.
fn end_all() {
    let alive = alive();
    for pid in &alive.processes {
        signal(*pid, Signal::KILL);
    }
    for directory in &alive.directories {
        // What cannot be removed is in the directory for temporary files anyway.
        let _ = std::fs::remove_dir_all(directory);
    }
}

/// From now on, Ctrl-C and SIGTERM end what is listed, and then this process.
///
/// # Errors
/// When the system has no thread or no handler for it.
pub fn watch_signals() -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if signals.forever().next().is_some() {
            end_all();
            std::process::exit(INTERRUPTED);
        }
    })?;
    Ok(())
}
