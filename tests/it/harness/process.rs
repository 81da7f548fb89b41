//! A process of a test: never left behind, whatever becomes of the test.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, unbounded};

use super::PATIENCE;

/// How often the end of a process, or a line of its log, is looked for.
const POLL: Duration = Duration::from_millis(2);

/// A process whose standard error is a file, and whose standard output is read line by line.
pub struct Process {
    child: Child,
    log: PathBuf,
    said: Receiver<String>,
    ended: bool,
}

impl Process {
    /// Starts a process in a group of its own, so that what it starts itself ends with it.
    pub fn spawn(mut command: Command, log: PathBuf) -> Result<Process, String> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log).unwrap()).process_group(0);
        let mut child = command.spawn().map_err(|error| format!("{command:?}: {error}"))?;
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (saying, said) = unbounded();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| saying.send(line)));
        Ok(Process { child, log, said, ended: false })
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.child.id()
    }

    /// Whether it was seen to end.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next line of its standard output, if one comes.
    pub fn said(&self) -> Option<String> {
        self.said.recv_timeout(PATIENCE).ok()
    }

    /// What it has written to standard error.
    pub fn logged(&self) -> String {
        read(&self.log)
    }

    /// Waits for a line on standard error that holds `text`, and gives that line.
    pub fn await_log(&self, text: &str) -> String {
        let began = Instant::now();
        loop {
            let logged = self.logged();
            // A line is there when its end is.
            if let Some(line) = logged.split_inclusive('\n').find(|line| line.ends_with('\n') && line.contains(text)) {
                return line.trim_end().to_owned();
            }
            assert!(began.elapsed() < PATIENCE, "the log never said {text:?}:\n{logged}");
            thread::sleep(POLL);
        }
    }

    /// Ends it, and all that it has started, at once.
    pub fn kill(&mut self) {
        let group = format!("-{}", self.number());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.kill();
        self.child.wait().unwrap();
        self.ended = true;
    }

    /// Waits until it ends by itself, and gives its exit status; -1 when a signal ended it.
    pub fn wait(&mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.ended = true;
                return status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < PATIENCE, "it does not end:\n{}", self.logged());
            thread::sleep(POLL);
        }
    }

    /// Waits until it has nothing to do: all its threads sleep, in many looks in a row. A thread that waits for its
    /// turn on a busy machine does not count as asleep.
    pub fn await_quiet(&self) {
        const LOOKS: u32 = 25;
        let began = Instant::now();
        let mut quiet = 0;
        while quiet < LOOKS {
            thread::sleep(5 * POLL);
            let tasks = fs::read_dir(format!("/proc/{}/task", self.number())).unwrap();
            // The state follows the name, which stands in parentheses. A thread that has ended meanwhile does nothing.
            let mut states = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("stat")).ok());
            let asleep = states.all(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S')));
            quiet = if asleep { quiet + 1 } else { 0 };
            assert!(began.elapsed() < PATIENCE, "it has always something to do:\n{}", self.logged());
        }
    }

    /// The memory of the process that is resident, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.number())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.ended {
            self.kill();
        }
        if thread::panicking() {
            const LINES: usize = 40;
            let log = self.logged();
            let lines: Vec<&str> = log.lines().collect();
            println!("-- the log of the process:\n{}", lines[lines.len().saturating_sub(LINES)..].join("\n"));
        }
    }
}

fn read(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}
