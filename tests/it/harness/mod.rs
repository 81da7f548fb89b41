//! What the tests share: a server to start and to end, a client that sends exactly the bytes it is told to, and the
//! command line.
//!
//! The server is always the built executable, in a process of its own, with a data directory of its own.

mod client;
mod command;
mod dice;
mod layer;
mod log;
mod peer;
mod plain;
mod process;
mod server;

pub use client::{Client, End, Trust};
pub use command::{Run, command, run};
pub use dice::Dice;
pub use layer::{KINDS, Layer};
pub use peer::{Certificate, Peer};
pub use plain::PlainPeer;
pub use server::{Home, Server, Setup};

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

/// The executable that is tested.
pub const EXECUTABLE: &str = env!("CARGO_BIN_EXE_repsec");

/// How long anything may take before the test fails. Far beyond what is expected, so that a busy machine fails none.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The drivers of the event loop that this machine has. Where io_uring is closed, that is said, and epoll is left.
pub fn drivers() -> &'static [&'static str] {
    static DRIVERS: OnceLock<&'static [&'static str]> = OnceLock::new();
    DRIVERS.get_or_init(|| match Setup::new("uring", 1).try_start() {
        Ok(_) => &["uring", "epoll"],
        Err(why) if why.contains("event loop") => {
            println!("io_uring is closed here, so the tests run with epoll only: {why}");
            &["epoll"]
        }
        Err(why) => panic!("the server does not start: {why}"),
    })
}

/// Runs a test with each driver and each of these numbers of shards.
pub fn each(shards: &[usize], mut test: impl FnMut(&Setup)) {
    for io in drivers() {
        for count in shards {
            println!("-- driver {io}, {count} shards");
            test(&Setup::new(io, *count));
        }
    }
}

/// The seconds since 1970.
pub fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A nonce that no other command of this run has, in hex.
pub fn nonce() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("{started:024x}{:08x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Adds `ts` and a new `nonce` to a command.
pub fn with_once(mut command: Value) -> Value {
    command["ts"] = now_s().into();
    command["nonce"] = nonce().into();
    command
}

/// A file of `tests/data`.
pub fn data_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A number from the environment, for longer runs than the usual.
pub fn cycles(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().expect("a number of cycles"))
}

/// Sends a signal, by name, to one process.
///
/// Any of its threads may take it. ThreadSanitizer forgets it where the main thread does, which waits in a call that it
/// does not know; so `REPSEC_SIGNAL_THREAD` may name the thread that the kernel asks first.
pub fn signal(name: &str, process: u32) {
    let wanted = std::env::var("REPSEC_SIGNAL_THREAD").ok();
    let target = wanted.and_then(|wanted| thread_named(&wanted, process)).unwrap_or_else(|| process.to_string());
    let status = Command::new("kill").arg(format!("-{name}")).arg(&target).status().unwrap();
    assert!(status.success(), "kill -{name} {target}");
}

/// The number of the first thread of a process that has this name, if one has.
fn thread_named(name: &str, process: u32) -> Option<String> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let named = |task: &PathBuf| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim_end() == name);
    let task = tasks.filter_map(|task| Some(task.ok()?.path())).find(named)?;
    Some(task.file_name()?.to_str()?.to_owned())
}

/// The status of an answer, and its error code if it has one.
pub fn outcome(answer: &Value) -> (u64, &str) {
    (answer["status"].as_u64().unwrap(), answer["error"].as_str().unwrap_or(""))
}
