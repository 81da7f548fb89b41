//! The command line, run as a user runs it.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use super::{EXECUTABLE, PATIENCE, Server};

/// What a run of the command line said.
#[derive(Debug)]
pub struct Run {
    /// The exit status; 124 when it took too long.
    pub status: i32,
    /// The standard output.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
}

impl Run {
    /// The standard output as JSON, one value a line.
    pub fn json(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The standard output as one JSON value.
    #[track_caller]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("not one JSON value: {self:?}"))
    }

    /// Fails unless the run ended with `status`.
    #[track_caller]
    pub fn ended(self, status: i32) -> Run {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// Runs the executable with these arguments and nothing on standard input.
pub fn run(arguments: &[&str]) -> Run {
    run_with_input(arguments, "")
}

/// Runs the executable with these arguments and this on its standard input. Nothing of the environment's own settings
/// of repsec is handed on.
pub fn run_with_input(arguments: &[&str], input: &str) -> Run {
    let mut child = command(arguments).spawn().unwrap();
    let mut standard_input = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A thread of its own: a program that prints much before it has read all would else wait for ever.
    let writing = thread::spawn(move || drop(standard_input.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writing.join().unwrap();
    Run {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("the standard output is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("the standard error is UTF-8"),
    }
}

/// The executable with these arguments under `timeout`, with pipes.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("timeout");
    command.arg(PATIENCE.as_secs().to_string()).arg(EXECUTABLE).args(arguments);
    without_settings(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Takes from a command what the environment would tell repsec.
pub fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REPSEC_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").env("RUST_BACKTRACE", "0");
}

impl Server {
    /// Asks this server through the command line.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_with_input(arguments, "")
    }

    /// Asks this server through the command line, with standard input.
    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Run {
        let (server, authority) = (self.address().to_string(), self.home().authority());
        let connection = ["--server", &server, "--ca", authority.to_str().unwrap()];
        run_with_input(&[arguments, &connection].concat(), input)
    }
}
