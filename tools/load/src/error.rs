//! What ends a run before it has a result, in words for whoever started it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why there is no report.
#[derive(Debug)]
pub enum LoadError {
    /// The plan cannot be run as it is.
    Plan(String),
    /// The lists of names cannot be used.
    Lists {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The authority's certificate cannot be used.
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A connection could not be opened, or not secured.
    Connect {
        /// The server.
        address: SocketAddr,
        /// How many stood already.
        open: usize,
        /// What the system or TLS said.
        source: io::Error,
    },
    /// An answer is not the one that was due.
    Wrong(Box<WrongAnswer>),
    /// A connection ended while answers were due.
    Ended {
        /// Which connection.
        connection: usize,
        /// Answers that were due.
        due: usize,
        /// What the system or TLS said.
        source: io::Error,
    },
    /// The server has not said anything for so long, although answers were due.
    Silent {
        /// For how many seconds.
        seconds: u64,
        /// Answers that were due.
        due: usize,
    },
    /// The run is over and nothing was counted.
    Nothing(String),
    /// The process to be measured cannot be looked at.
    Process {
        /// Its id.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// The echo server cannot start.
    Echo(repsec::server::StartError),
    /// Something else of the system failed.
    System {
        /// What was tried.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// What was asked, what came, and why that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WrongAnswer {
    /// Which connection.
    pub connection: usize,
    /// Which command of that connection, from 0 on.
    pub number: u64,
    /// What was asked, made printable and cut where it is long.
    pub asked: String,
    /// What came, made printable and cut where it is long.
    pub came: String,
    /// What should have come instead.
    pub why: String,
}

/// Bytes of a command or an answer that are shown.
const SHOWN_BYTES: usize = 1000;

/// Bytes of a protocol for a person's eyes: printable ASCII as it is, all else escaped, cut where it is long.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(SHOWN_BYTES) {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.extend(byte.escape_ascii().map(char::from)),
        }
    }
    if bytes.len() > SHOWN_BYTES {
        text.push_str(&format!("... ({} bytes)", bytes.len()));
    }
    text
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Plan(why) | LoadError::Nothing(why) => f.write_str(why),
            LoadError::Lists { path, why } => write!(
                f,
                "the lists of names in {} cannot be used: {why}. Name the folder tests/data of the repository with --lists",
                path.display(),
            ),
            LoadError::Authority { path, why } => write!(
                f,
                "the authority's certificate in {} cannot be used: {why}. For repsec serve --dev it is tls/ca.pem in \
                 the data directory",
                path.display(),
            ),
            LoadError::Connect { address, open, source } => {
                write!(f, "cannot connect to {address}: {source} ({open} connections stood already)")
            }
            LoadError::Wrong(wrong) => wrong.fmt(f),
            LoadError::Ended { connection, due, source } => {
                write!(f, "connection {connection} ended with {due} answers due: {source}. The server's log says more")
            }
            LoadError::Silent { seconds, due } => {
                write!(f, "the server has been silent for {seconds} s with {due} answers due")
            }
            LoadError::Process { pid, source } => write!(f, "cannot look at process {pid}: {source}"),
            LoadError::Echo(error) => error.fmt(f),
            LoadError::System { doing, source } => write!(f, "cannot {doing}: {source}"),
        }
    }
}

impl fmt::Display for WrongAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WrongAnswer { connection, number, asked, came, why } = self;
        write!(
            f,
            "a wrong answer to command {number} of connection {connection}: {why}\n  asked: {asked}\n  came:  {came}"
        )
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            LoadError::Connect { source, .. }
            | LoadError::Ended { source, .. }
            | LoadError::Process { source, .. }
            | LoadError::System { source, .. } => Some(source),
            LoadError::Echo(error) => Some(error),
            LoadError::Plan(_)
            | LoadError::Lists { .. }
            | LoadError::Authority { .. }
            | LoadError::Wrong(_)
            | LoadError::Silent { .. }
            | LoadError::Nothing(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_steers_no_terminal() {
        assert_eq!(printable(b"{\"a\":\"\x1b[31m\xc3\xa4\"}\r\n"), "{\"a\":\"\\x1b[31m\\xc3\\xa4\"}\\r\\n");
        assert_eq!(printable(&[b'a'; 1000]).len(), 1000);
        assert!(printable(&[b'a'; 1001]).ends_with("a... (1001 bytes)"));
    }
}
