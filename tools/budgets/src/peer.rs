//! The servers that are measured: each a child process on loopback, ended by its process id.
//!
//! Never: measures anything, or leaves a process behind.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use repsec::server::CertificateFiles;
use repsec_load::{Plan, Target, process};
use rustix::process::Signal;

use crate::ending;
use crate::failure::Failure;

/// From the start of a process to its readiness at the most. A server with 10 million entities says that it listens before
/// it has read them.
const READY: Duration = Duration::from_secs(60);
/// From SIGTERM to the end of a process at the most.
const END: Duration = Duration::from_secs(60);
/// How often the end of a process is looked for.
const LOOK: Duration = Duration::from_millis(5);
/// Servers are quiet when they have used less than this share of a core together ...
const QUIET_SHARE: f64 = 0.02;
/// ... in each of so many looks ...
const QUIET_LOOKS: u32 = 3;
/// ... of this length.
const QUIET_LOOK: Duration = Duration::from_millis(100);
/// What it takes to see that servers are quiet.
pub const SETTLED: Duration = Duration::from_millis(300);
/// Lines of a log that are shown when a server fails.
const LOG_LINES: usize = 15;

/// How a Redis keeps what it is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keep {
    /// In memory only.
    Nothing,
    /// In an append-only file, synced before each answer.
    Always,
}

/// Options of a `repsec serve`, but for the data directory and the address.
pub fn repsec_options(shards: usize) -> Vec<String> {
    ["--dev", "--shards", &shards.to_string()].map(str::to_owned).to_vec()
}

/// Options of a Redis, but for its directory, port and certificate.
pub fn redis_options(keep: Keep) -> Vec<&'static str> {
    let mut options = vec!["--port", "0", "--tls-auth-clients", "no", "--save", "", "--maxclients", "12000"];
    options.extend_from_slice(match keep {
        Keep::Nothing => &["--appendonly", "no"],
        // Rewriting the file in the middle of a measurement would only be to Redis' disadvantage.
        Keep::Always => &["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"],
    });
    options
}

/// A running server. It is ended when this is dropped.
#[derive(Debug)]
pub struct Peer {
    /// Who, as the table says it.
    pub name: String,
    /// How it is spoken to.
    pub target: Target,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whom to trust.
    pub ca: PathBuf,
    child: Child,
    log: PathBuf,
    // Closing it would make the server's next line fail.
    _output: Option<ChildStdout>,
    ended: bool,
}

/// A program that stands beside this one.
pub fn beside(program: &str) -> Result<PathBuf, Failure> {
    let here = std::env::current_exe().map_err(Failure::system("find this program"))?;
    let path = here.with_file_name(program);
    if path.is_file() {
        return Ok(path);
    }
    Err(Failure::peer(program, "is not beside this program: tools/bench builds all of them"))
}

impl Peer {
    /// Starts RepSec on a data directory, and returns when it says that it listens.
    ///
    /// # Errors
    /// When it does not.
    pub fn repsec(data: &Path, shards: usize) -> Result<Peer, Failure> {
        Peer::repsec_as(data, shards, None)
    }

    /// The same with a configuration file.
    ///
    /// # Errors
    /// When it does not.
    pub fn repsec_as(data: &Path, shards: usize, config: Option<&Path>) -> Result<Peer, Failure> {
        let mut command = Command::new(beside("repsec")?);
        command.arg("serve").args(repsec_options(shards)).args(["--listen", "127.0.0.1:0", "--data"]).arg(data);
        if let Some(config) = config {
            command.arg("--config").arg(config);
        }
        let name = format!("repsec, {shards} shard{}", if shards == 1 { "" } else { "s" });
        let log = data.with_extension("log");
        let spawned = Spawned::new(&name, command, log)?;
        spawned.announced("repsec: listening on ", Target::RepSec, data.join("tls/ca.pem"))
    }

    /// Starts an echo server with these certificates.
    ///
    /// # Errors
    /// When it does not say that it is ready.
    pub fn echo(scratch: &Path, certificates: &CertificateFiles) -> Result<Peer, Failure> {
        let mut command = Command::new(beside("repsec-load")?);
        command.args(["echo-server", "--listen", "127.0.0.1:0", "--cert"]).arg(&certificates.chain);
        command.arg("--key").arg(&certificates.key);
        let spawned = Spawned::new("echo", command, scratch.join("echo.log"))?;
        spawned.announced("repsec-load: echo on ", Target::Echo, authority(certificates))
    }

    /// Starts a Redis on an empty directory, and returns when it accepts a connection.
    ///
    /// # Errors
    /// When it does not.
    pub fn redis(directory: &Path, certificates: &CertificateFiles, keep: Keep) -> Result<Peer, Failure> {
        let name = match keep {
            Keep::Nothing => "redis",
            Keep::Always => "redis, AOF always",
        };
        let address = free_address()?;
        let mut command = Command::new("redis-server");
        command.args(redis_options(keep)).args(["--bind", "127.0.0.1", "--tls-port", &address.port().to_string()]);
        command.arg("--dir").arg(directory).arg("--tls-cert-file").arg(&certificates.chain);
        command.arg("--tls-key-file").arg(&certificates.key).arg("--tls-ca-cert-file").arg(authority(certificates));
        let log = directory.with_extension("log");
        command.arg("--logfile").arg(&log);
        Spawned::new(name, command, log)?.accepting(address, certificates)
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its log.
    pub fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A plan for it, with the client's defaults.
    pub fn plan(&self) -> Plan {
        Plan { pid: Some(self.pid()), ..Plan::new(self.target, self.address, &self.ca) }
    }

    /// A plan that loads it.
    pub fn fill(&self, entities: u64) -> Plan {
        Plan { pid: Some(self.pid()), ..Plan::fill(self.target, self.address, &self.ca, entities) }
    }

    /// Asks it to end, and waits. Returns the seconds that took.
    ///
    /// # Errors
    /// When it has to be killed, or says that it failed.
    pub fn end(mut self) -> Result<f64, Failure> {
        let began = Instant::now();
        let ended = self.terminate();
        match ended {
            Some(true) => Ok(began.elapsed().as_secs_f64()),
            Some(false) => Err(Failure::peer(&self.name, format!("ended with a failure.{}", tail(&self.log)))),
            None => Err(Failure::peer(&self.name, format!("did not end in {} s", END.as_secs()))),
        }
    }

    /// Whether it ended well; `None` when it had to be killed.
    fn terminate(&mut self) -> Option<bool> {
        if self.ended {
            return Some(true);
        }
        self.ended = true;
        let ended = stop(&mut self.child, END);
        ending::ended(self.child.id());
        ended
    }
}

/// Waits until none of these does anything of its own any more, at most so long behind the first looks. Says whether it
/// came to that.
pub fn settle(peers: &[&Peer], at_most: Duration) -> bool {
    let used = || -> u64 { peers.iter().map(|peer| process::cpu_ns(peer.pid()).unwrap_or_default()).sum() };
    let began = Instant::now();
    let mut quiet = 0;
    loop {
        let before = used();
        thread::sleep(QUIET_LOOK);
        let used = Duration::from_nanos(used().saturating_sub(before));
        let is_quiet = used.as_secs_f64() < QUIET_SHARE * QUIET_LOOK.as_secs_f64();
        quiet = if is_quiet { quiet + 1 } else { 0 };
        if quiet == QUIET_LOOKS {
            return true;
        }
        if began.elapsed() > at_most + SETTLED {
            return false;
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.terminate();
    }
}

/// SIGTERM, and SIGKILL where that does not help. Whether it ended well; `None` when it was killed.
fn stop(child: &mut Child, patience: Duration) -> Option<bool> {
    ending::signal(child.id(), Signal::TERM);
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status.success());
        }
        thread::sleep(LOOK);
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// A process that is not ready yet.
struct Spawned {
    name: String,
    child: Option<Child>,
    log: PathBuf,
}

impl Spawned {
    fn new(name: &str, mut command: Command, log: PathBuf) -> Result<Spawned, Failure> {
        let file = File::create(&log).map_err(Failure::system(format!("write {}", log.display())))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        // Settings of the user's own environment must not lead a server to other data.
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("REPSEC_")) {
            command.env_remove(key);
        }
        let child = command.spawn().map_err(Failure::system(format!("start {name}")))?;
        ending::started(child.id());
        Ok(Spawned { name: name.to_owned(), child: Some(child), log })
    }

    /// Waits for the line that tells the address.
    fn announced(mut self, prefix: &str, target: Target, ca: PathBuf) -> Result<Peer, Failure> {
        let output = self.child.as_mut().and_then(|child| child.stdout.take());
        let mut reader = BufReader::new(output.ok_or_else(|| self.failed("has no output"))?);
        let (sender, receiver) = mpsc::channel();
        // Reading has no time limit of its own, so another thread does it; killing the process ends it.
        thread::spawn(move || {
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let _ = sender.send((line, reader.into_inner()));
        });
        let (line, output) = receiver.recv_timeout(READY).map_err(|_| self.failed("did not say that it listens"))?;
        let address = line.trim_end().strip_prefix(prefix).and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| self.failed("did not say where it listens"))?;
        self.peer(target, address, ca, Some(output))
    }

    /// Waits until a connection is accepted.
    fn accepting(mut self, address: SocketAddr, certificates: &CertificateFiles) -> Result<Peer, Failure> {
        let began = Instant::now();
        // Nobody reads what it prints, and it must not stop for that.
        let mut output = self.child.as_mut().and_then(|child| child.stdout.take());
        thread::spawn(move || output.as_mut().map(|output| std::io::copy(output, &mut std::io::sink())));
        while TcpStream::connect_timeout(&address, LOOK).is_err() {
            let over = self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None)));
            if over || began.elapsed() > READY {
                return Err(self.failed("does not accept connections"));
            }
            thread::sleep(LOOK);
        }
        self.peer(Target::Redis, address, authority(certificates), None)
    }

    fn peer(
        mut self,
        target: Target,
        address: SocketAddr,
        ca: PathBuf,
        output: Option<ChildStdout>,
    ) -> Result<Peer, Failure> {
        let child = self.child.take().ok_or_else(|| self.failed("is gone"))?;
        let (name, log) = (std::mem::take(&mut self.name), std::mem::take(&mut self.log));
        Ok(Peer { name, target, address, ca, child, log, _output: output, ended: false })
    }

    fn failed(&self, what: &str) -> Failure {
        Failure::peer(&self.name, format!("{what}.{}", tail(&self.log)))
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            stop(child, Duration::from_secs(5));
            ending::ended(child.id());
        }
    }
}

/// The end of a log, on lines of its own.
fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
    if last.is_empty() { String::new() } else { format!(" The end of its log:\n  {}", last.join("\n  ")) }
}

/// The authority that stands beside development certificates.
fn authority(certificates: &CertificateFiles) -> PathBuf {
    certificates.chain.with_file_name("ca.pem")
}

/// An address of loopback whose port was free a moment ago. (Redis cannot choose one itself.)
fn free_address() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Failure::system("find a free port"))?;
    listener.local_addr().map_err(Failure::system("find a free port"))
}
