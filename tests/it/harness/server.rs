//! A server in a process of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde_json::json;
use tempfile::TempDir;

use super::command::without_settings;
use super::process::Process;
use super::{Client, EXECUTABLE, Layer, signal, with_once};

/// A directory for one store and what belongs to it. Removed with the last server that uses it.
pub struct Home {
    directory: TempDir,
    logs: AtomicU32,
}

impl Home {
    /// An empty home.
    pub fn new() -> Arc<Home> {
        Arc::new(Home { directory: TempDir::new().unwrap(), logs: AtomicU32::new(0) })
    }

    /// The directory of it all.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// A file beside the store.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.file("data")
    }

    /// The certificate of the authority that `--dev` makes.
    pub fn authority(&self) -> PathBuf {
        self.data().join("tls/ca.pem")
    }

    fn new_log(&self) -> PathBuf {
        self.file(&format!("server.{}.log", self.logs.fetch_add(1, Ordering::Relaxed)))
    }
}

/// How a server is started.
#[derive(Clone)]
pub struct Setup {
    io: &'static str,
    shards: usize,
    development: bool,
    config: Option<String>,
    arguments: Vec<String>,
    wrapper: Vec<String>,
    permitted: Vec<&'static str>,
}

impl Setup {
    /// A server with `--dev`, this driver and this many shards.
    pub fn new(io: &'static str, shards: usize) -> Setup {
        Setup {
            io,
            shards,
            development: true,
            config: None,
            arguments: Vec::new(),
            wrapper: Vec::new(),
            permitted: Vec::new(),
        }
    }

    /// With this configuration file.
    pub fn config(mut self, text: &str) -> Setup {
        self.config = Some(text.to_owned());
        self
    }

    /// Without `--dev`: with the certificate that an earlier start with `--dev` made in this home.
    pub fn strict(mut self, home: &Home) -> Setup {
        let tls = home.data().join("tls");
        self.development = false;
        for (flag, file) in [("--cert", "server.pem"), ("--key", "server.key")] {
            self.arguments.extend([flag.to_owned(), tls.join(file).to_str().unwrap().to_owned()]);
        }
        self
    }

    /// With this many shards.
    pub fn shards(mut self, shards: usize) -> Setup {
        self.shards = shards;
        self
    }

    /// Started by this command, which the server's own command line follows.
    pub fn wrapped(mut self, wrapper: &[String]) -> Setup {
        self.wrapper = wrapper.to_vec();
        self
    }

    /// With warnings and errors in its log that hold this text.
    pub fn permits(mut self, text: &'static str) -> Setup {
        self.permitted.push(text);
        self
    }

    /// With this layer between the server and the file system.
    pub fn watched(self, layer: &Layer) -> Setup {
        self.wrapped(&layer.wrapper())
    }

    /// Starts a server with a new store.
    pub fn start(&self) -> Server {
        self.start_in(&Home::new())
    }

    /// Starts a server with the store of this home.
    pub fn start_in(&self, home: &Arc<Home>) -> Server {
        self.begin_in(home).finish()
    }

    /// Starts a server with the store of this home, without waiting until it is ready.
    pub fn begin_in(&self, home: &Arc<Home>) -> Starting {
        Starting::spawn(self.clone(), Arc::clone(home)).unwrap_or_else(|why| panic!("the server does not start: {why}"))
    }

    /// Starts a server with a new store, or gives what it said instead.
    pub fn try_start(&self) -> Result<Server, String> {
        self.try_start_in(&Home::new())
    }

    /// Starts a server with the store of this home, or gives what it said instead.
    pub fn try_start_in(&self, home: &Arc<Home>) -> Result<Server, String> {
        Starting::spawn(self.clone(), Arc::clone(home))?.ready()
    }

    fn command(&self, home: &Home) -> Command {
        let mut line = self.wrapper.clone();
        line.extend([EXECUTABLE, "serve", "--listen", "127.0.0.1:0", "--io", self.io].map(str::to_owned));
        line.extend(["--shards".to_owned(), self.shards.to_string()]);
        line.extend(["--data".to_owned(), home.data().to_str().unwrap().to_owned()]);
        if self.development {
            line.push("--dev".to_owned());
        }
        if let Some(config) = &self.config {
            let file = home.file("repsec.toml");
            fs::write(&file, config).unwrap();
            line.extend(["--config".to_owned(), file.to_str().unwrap().to_owned()]);
        }
        line.extend(self.arguments.clone());
        let mut command = Command::new(&line[0]);
        command.args(&line[1..]);
        without_settings(&mut command);
        command
    }
}

/// A server that has been started and may not be ready yet.
pub struct Starting {
    setup: Setup,
    home: Arc<Home>,
    process: Process,
}

impl Starting {
    fn spawn(setup: Setup, home: Arc<Home>) -> Result<Starting, String> {
        let process = Process::spawn(setup.command(&home), home.new_log())?;
        Ok(Starting { setup, home, process })
    }

    /// Waits until it listens, which is before it is ready, and gives the address.
    pub fn listens(&self) -> SocketAddr {
        let line = self.process.await_log("answering PING");
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("address="));
        address.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no address in {line:?}"))
    }

    /// Whether it has said that it is ready.
    pub fn is_ready(&self) -> bool {
        self.process.logged().contains(" ready ")
    }

    /// Asks it to stop, and waits for its exit status.
    pub fn terminate(mut self) -> i32 {
        signal("TERM", self.process.number());
        self.process.wait()
    }

    /// Waits until it is ready.
    pub fn finish(self) -> Server {
        self.ready().unwrap_or_else(|why| panic!("the server does not start: {why}"))
    }

    /// Waits until it says on standard output that it is ready, or gives what it says instead.
    fn ready(mut self) -> Result<Server, String> {
        let line = self.process.said();
        let address = line.as_deref().and_then(|line| line.strip_prefix("repsec: listening on ")?.parse().ok());
        let Some(address) = address else {
            // Without a word it is about to end by itself.
            let status = if line.is_none() { self.process.wait() } else { -1 };
            return Err(format!("{line:?}, status {status}: {}", self.process.logged()));
        };
        let Starting { setup, home, process } = self;
        Ok(Server { setup, home, process, address })
    }
}

/// A running server. Killed when it is dropped; then its log must hold no warning that the test did not permit.
pub struct Server {
    setup: Setup,
    home: Arc<Home>,
    process: Process,
    address: SocketAddr,
}

impl Server {
    /// Starts a server with the same settings and the same store, once this one has ended.
    pub fn start_again(&mut self) {
        let setup = self.setup.clone();
        self.start_again_as(&setup);
    }

    /// Starts a server with other settings and the same store, once this one has ended.
    pub fn start_again_as(&mut self, setup: &Setup) {
        assert!(self.process.has_ended(), "the server has not been ended");
        *self = setup.start_in(&self.home);
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its store lives.
    pub fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// Its data directory, as the command line wants it.
    pub fn data(&self) -> String {
        self.home.data().to_str().unwrap().to_owned()
    }

    /// The number of its process.
    pub fn process(&self) -> u32 {
        self.process.number()
    }

    /// A client that trusts it.
    pub fn client(&self) -> Client {
        Client::connect(self)
    }

    /// What it has logged since it was started.
    pub fn logged(&self) -> String {
        self.process.logged()
    }

    /// Waits until it has logged a line that holds `text`, and gives that line.
    pub fn await_log(&self, text: &str) -> String {
        self.process.await_log(text)
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to stop, and waits for its exit status.
    pub fn terminate(&mut self) -> i32 {
        signal("TERM", self.process());
        self.wait()
    }

    /// Waits until it ends by itself, and gives its exit status; -1 when a signal ended it.
    pub fn wait(&mut self) -> i32 {
        self.process.wait()
    }

    /// Waits until it has nothing to do: see [`Process::await_quiet`].
    pub fn await_quiet(&self) {
        self.process.await_quiet();
    }

    /// The memory of its process that is resident, in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.process.resident_kib()
    }

    /// Makes changes until a snapshot of the state has been written whole. Their number is not known beforehand.
    pub fn await_snapshot(&self) {
        const BATCH: usize = 500;
        const BATCHES_MAX: usize = 2000;
        // A snapshot begins only when the one before it is complete.
        let begun = |server: &Server| server.logged().matches("snapshot begun").count();
        let complete = begun(self) + 2;
        let mut client = self.client();
        for batch in 0..BATCHES_MAX {
            if begun(self) >= complete {
                return;
            }
            let entity = |at: usize| format!("snapshot{batch}-{}.example", at / 2);
            let command = |at: usize| if at.is_multiple_of(2) { "REGISTER" } else { "REMOVE" };
            let change = |at: usize| with_once(json!({"command": command(at), "entity": entity(at)}));
            client.ask_all((0..BATCH).map(change));
        }
        panic!("no snapshot is taken:\n{}", self.logged());
    }

    fn unexpected(&self) -> Vec<String> {
        let alarming = |line: &str| [" WARN ", "ERROR ", "panicked at"].iter().any(|word| line.contains(word));
        let permitted = |line: &str| self.setup.permitted.iter().any(|text| line.contains(text));
        let log = self.logged();
        log.lines().filter(|line| alarming(line) && !permitted(line)).map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.process.has_ended() {
            self.process.kill();
        }
        if !thread::panicking() {
            let unexpected = self.unexpected();
            assert!(unexpected.is_empty(), "the server's log holds what no test permits: {unexpected:#?}");
        }
    }
}
