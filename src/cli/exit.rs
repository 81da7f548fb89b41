//! How a run ends: the exit status, and what is said when it ends badly. The only place that knows the numbers.
//!
//! May use: the client's errors. Never: prints, or ends the process itself.

use std::fmt;
use std::io;
use std::process::ExitCode;

use super::client::ClientError;

/// The table of exit statuses as the help shows it.
pub const EXIT_STATUS_HELP: &str = "\
EXIT STATUS:
  0  yes: done, verified, alive
  1  no: not registered, not as claimed, registered already (404, false, 409)
  2  usage: the command line is wrong
  3  refused or failed: any other answer, no answer, or no connection";

/// What a run says to the shell. Ordered from best to worst, so that the worst of several answers is their maximum.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Exit {
    /// Done, or what was asked is so.
    Yes,
    /// What was asked is not so.
    No,
    /// The command line is wrong.
    Usage,
    /// The server refused, or something broke.
    Failed,
}

impl Exit {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Yes => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Failed => 3,
        }
    }

    /// What an answer's status means, with its `verified` where it has one.
    pub const fn of_status(status: u16, verified: Option<bool>) -> Exit {
        match (status, verified) {
            (200, Some(false)) | (404 | 409, _) => Exit::No,
            (200, _) => Exit::Yes,
            _ => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a run ended before it had its result.
#[derive(Debug)]
pub enum Failure {
    /// What was typed cannot be meant; clap could not see it.
    Usage(String),
    /// The server could not be asked, or its answers not be had.
    Client(ClientError),
    /// A file or the standard input could not be read.
    Input {
        /// Which.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The standard output could not be written.
    Output(io::Error),
    /// Anything else, in words.
    Failed(String),
}

impl Failure {
    /// The exit status of this failure.
    pub const fn exit(&self) -> Exit {
        match self {
            Failure::Usage(_) => Exit::Usage,
            Failure::Client(_) | Failure::Input { .. } | Failure::Output(_) | Failure::Failed(_) => Exit::Failed,
        }
    }

    /// Whether nothing is to be said: the reader of our output has gone, which `repsec audit NAME | head` does on
    /// purpose. The status is still that of a failure, since a "yes" that was not written out is none; only `log dump`,
    /// which says neither yes nor no, ends well.
    pub fn is_silent(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Failed(text) => f.write_str(text),
            Failure::Client(error) => error.fmt(f),
            Failure::Input { name, source } => write!(f, "cannot read {name}: {source}"),
            Failure::Output(source) => write!(f, "cannot write the output: {source}"),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Failure::Client(error)
    }
}

/// Every `io::Error` that is passed on with `?` comes from writing results; reading names its source.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Output(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_the_draft_has_its_exit() {
        for (status, verified, code) in [
            (200, None, 0),
            (200, Some(true), 0),
            (200, Some(false), 1),
            (404, Some(false), 1),
            (404, None, 1),
            (409, None, 1),
            (400, None, 3),
            (401, None, 3),
            (403, None, 3),
            (429, None, 3),
            (500, None, 3),
            (0, None, 3),
            (201, Some(true), 3),
        ] {
            assert_eq!(Exit::of_status(status, verified).code(), code, "{status} {verified:?}");
        }
    }

    #[test]
    fn failures_have_their_exit_and_a_gone_reader_is_silent() {
        let gone = Failure::Output(io::ErrorKind::BrokenPipe.into());
        let full = Failure::Output(io::ErrorKind::StorageFull.into());
        assert_eq!((gone.exit().code(), gone.is_silent()), (3, true));
        assert_eq!((full.exit().code(), full.is_silent()), (3, false));
        assert_eq!(Failure::Usage(String::new()).exit().code(), 2);
        assert_eq!(Failure::Failed(String::new()).exit().code(), 3);
    }

    #[test]
    fn the_help_lists_each_code() {
        for exit in [Exit::Yes, Exit::No, Exit::Usage, Exit::Failed] {
            assert!(EXIT_STATUS_HELP.contains(&format!("\n  {}  ", exit.code())), "{exit:?}");
        }
    }
}
