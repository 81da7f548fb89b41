//! A server in a process of its own.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::command::without_settings;
use super::{Client, EXECUTABLE, PATIENCE, signal};

/// How often the end of a process is looked for.
const POLL: Duration = Duration::from_millis(2);

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

    /// Starts a server with a new store.
    pub fn start(&self) -> Server {
        self.start_in(&Home::new())
    }

    /// Starts a server with the store of this home.
    pub fn start_in(&self, home: &Arc<Home>) -> Server {
        Server::start(self.clone(), Arc::clone(home)).unwrap_or_else(|why| panic!("the server does not start: {why}"))
    }

    /// Starts a server with a new store, or gives what it said instead.
    pub fn try_start(&self) -> Result<Server, String> {
        Server::start(self.clone(), Home::new())
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

/// A running server. Killed when it is dropped; then its log must hold no warning that the test did not permit.
pub struct Server {
    setup: Setup,
    home: Arc<Home>,
    log: PathBuf,
    child: Child,
    ended: bool,
    address: SocketAddr,
}

impl Server {
    fn start(setup: Setup, home: Arc<Home>) -> Result<Server, String> {
        let log = home.new_log();
        let mut command = setup.command(&home);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log).unwrap());
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (said, hears) = mpsc::channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| said.send(line)));
        let ready = hears.recv_timeout(PATIENCE).ok();
        match ready.as_deref().and_then(|line| line.strip_prefix("repsec: listening on ")?.parse().ok()) {
            Some(address) => Ok(Server { setup, home, log, child, ended: false, address }),
            None => {
                let _ = child.kill();
                let status = child.wait().unwrap();
                Err(format!("{status}, {ready:?}: {}", fs::read_to_string(&log).unwrap()))
            }
        }
    }

    /// Starts a server with the same settings and the same store, once this one has ended.
    pub fn start_again(&mut self) {
        let setup = self.setup.clone();
        self.start_again_as(&setup);
    }

    /// Starts a server with other settings and the same store, once this one has ended.
    pub fn start_again_as(&mut self, setup: &Setup) {
        assert!(self.ended, "the server has not been ended");
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
        self.child.id()
    }

    /// A client that trusts it.
    pub fn client(&self) -> Client {
        Client::connect(self)
    }

    /// What it has logged since it was started.
    pub fn logged(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has logged a line that holds `text`, and gives that line.
    pub fn await_log(&self, text: &str) -> String {
        let began = Instant::now();
        loop {
            if let Some(line) = self.logged().lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(began.elapsed() < PATIENCE, "the log never said {text:?}:\n{}", self.logged());
            thread::sleep(POLL);
        }
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.ended = true;
    }

    /// Asks it to stop, and waits for its exit status.
    pub fn terminate(&mut self) -> i32 {
        signal("TERM", self.process());
        self.wait()
    }

    /// Waits until it ends by itself, and gives its exit status; -1 when a signal ended it.
    pub fn wait(&mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.ended = true;
                return status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < PATIENCE, "the server does not end:\n{}", self.logged());
            thread::sleep(POLL);
        }
    }

    /// The memory of its process that is resident, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn unexpected(&self) -> Vec<String> {
        let alarming = |line: &str| [" WARN ", "ERROR ", "panicked at"].iter().any(|word| line.contains(word));
        let permitted = |line: &str| self.setup.permitted.iter().any(|text| line.contains(text));
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| alarming(line) && !permitted(line)).map(str::to_owned).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() {
            println!("-- the server's log:\n{}", tail(&self.log));
        } else {
            let unexpected = self.unexpected();
            assert!(unexpected.is_empty(), "the server's log holds what no test permits: {unexpected:#?}");
        }
    }
}

/// The last lines of a file.
fn tail(file: &Path) -> String {
    const LINES: usize = 40;
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
