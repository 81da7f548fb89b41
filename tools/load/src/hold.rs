//! Many idle connections, and what each costs the server.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::dialogue::Dialogue;
use crate::entities::Entities;
use crate::error::{LoadError, WrongAnswer};
use crate::link::Link;
use crate::plan::{Plan, Target, repository_lists};
use crate::process::Usage;
use crate::protocol::Protocol;
use crate::report::{float, mib, write_rows};
use crate::run::allow_files;
use crate::script::Command;
use crate::tally::{Counting, Tally};
use crate::tls::Trust;

/// Which connections to hold.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Hold {
    /// Who is measured.
    pub target: Target,
    /// Where it listens.
    pub address: SocketAddr,
    /// The name that its certificate must be good for.
    pub server_name: String,
    /// The authority to trust (PEM).
    pub ca: PathBuf,
    /// How many.
    pub connections: usize,
    /// Seconds from the last PING to the look at the server's memory.
    pub seconds: f64,
    /// The server's process.
    pub pid: u32,
}

/// What holding connections costs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HoldReport {
    /// How it was made.
    pub hold: Hold,
    /// Seconds for opening and asking all of them, one after the other.
    pub opening_s: f64,
    /// The server before the first.
    pub before: Usage,
    /// The server with all of them open and idle.
    pub after: Usage,
    /// Resident memory that the server gained for each.
    pub rss_bytes_per_connection: f64,
    /// CPU that the server spent for each on accepting, the handshake and one PING, in nanoseconds.
    pub cpu_ns_per_connection: f64,
}

impl Hold {
    /// So many connections, looked at after two seconds.
    pub fn new(target: Target, address: SocketAddr, ca: impl Into<PathBuf>, connections: usize, pid: u32) -> Hold {
        let (server_name, ca) = ("localhost".to_owned(), ca.into());
        Hold { target, address, server_name, ca, connections, seconds: 2.0, pid }
    }
}

/// Opens connections, asks a PING on each, holds them, looks at the server's memory, asks a second PING on each (so that
/// none counts that the server had closed), and closes them.
///
/// # Errors
/// When the server or its process cannot be reached, or a PING is not answered rightly.
pub fn hold(hold: &Hold) -> Result<HoldReport, LoadError> {
    let mut plan = Plan::new(hold.target, hold.address, &hold.ca);
    plan.connections = hold.connections;
    plan.warmup_s = hold.seconds;
    plan.check()?;
    let trust = Trust::new(&hold.ca, &hold.server_name)?;
    allow_files(hold.connections)?;
    // A PING names nobody, so any list of names will do.
    let entities = Entities::load(&repository_lists())
        .or_else(|_| Entities::new(["example.com"].into_iter(), [].into_iter()).map_err(LoadError::Plan))?;
    let mut protocol = Protocol::new(&plan, Arc::new(entities));
    let mut tally = Tally::new(Counting::Marked)?;

    let before = Usage::of(hold.pid)?;
    let began = Instant::now();
    let mut held = Vec::with_capacity(hold.connections);
    for open in 0..hold.connections {
        let address = hold.address;
        let link = Link::open(address, &trust).map_err(|source| LoadError::Connect { address, open, source })?;
        let mut one = (link, Dialogue::default());
        ping(open, &mut one, &mut protocol, &mut tally)?;
        held.push(one);
    }
    let opening_s = began.elapsed().as_secs_f64();
    thread::sleep(Duration::from_secs_f64(hold.seconds));
    let after = Usage::of(hold.pid)?;
    for (number, one) in held.iter_mut().enumerate() {
        ping(number, one, &mut protocol, &mut tally)?;
    }
    held.into_iter().for_each(|(link, _)| link.close());

    let count = float(u64::try_from(hold.connections).unwrap_or(u64::MAX));
    Ok(HoldReport {
        hold: hold.clone(),
        opening_s,
        before,
        after,
        rss_bytes_per_connection: (float(after.rss_bytes) - float(before.rss_bytes)) / count,
        cpu_ns_per_connection: float(after.cpu_ns.saturating_sub(before.cpu_ns)) / count,
    })
}

/// Asks a PING and waits for its answer.
fn ping(
    number: usize,
    (link, dialogue): &mut (Link, Dialogue),
    protocol: &mut Protocol,
    tally: &mut Tally,
) -> Result<(), LoadError> {
    dialogue.ask(protocol, Command::Ping, 0, true, 0);
    let ended = |source| LoadError::Ended { connection: number, due: 1, source };
    link.send(dialogue.take_unsent()).map_err(ended)?;
    let mut wrong = None;
    while dialogue.due() > 0 && wrong.is_none() {
        link.receive(&mut |bytes| wrong = dialogue.take(protocol, bytes, 0, tally).err().or(wrong.take()))
            .map_err(ended)?;
    }
    match wrong {
        None => Ok(()),
        Some(wrong) => Err(LoadError::Wrong(Box::new(WrongAnswer { connection: number, ..wrong }))),
    }
}

impl fmt::Display for HoldReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (mib(self.before.rss_bytes), mib(self.after.rss_bytes));
        let rows = [
            ("connections", format!("{}, opened in {:.1} s", self.hold.connections, self.opening_s)),
            ("server memory", format!("{before:.1} MiB before, {after:.1} MiB with them")),
            ("each", format!("{:.2} KiB", self.rss_bytes_per_connection / 1024.0)),
            ("server cpu", format!("{:.0} us each for handshake and PING", self.cpu_ns_per_connection / 1000.0)),
        ];
        write_rows(f, &rows)
    }
}
