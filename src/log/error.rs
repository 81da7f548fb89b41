//! What can go wrong with the log, told to the operator: what happened, and what to do next.
//!
//! Peers never see these texts.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::types::Sequence;

use super::fields::Malformed;

/// Why the log could not be opened, read or written. Cloned freely: one failure is told to many who wait.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogError {
    /// Stored bytes are not what was written.
    Corrupt {
        /// The place in the log, or the first one affected; zero where no place can be named.
        sequence: Sequence,
        /// What is damaged, and how.
        what: String,
    },
    /// The operating system or RocksDB refused.
    Io {
        /// What was attempted, as in "writing a commit".
        doing: &'static str,
        /// Their words.
        detail: String,
    },
    /// The operating system did not let us at the data directory, or at a file in it.
    Path {
        /// What was attempted, as a verb: "create", "read", "lock".
        doing: &'static str,
        /// At what.
        path: PathBuf,
        /// Why it failed.
        kind: io::ErrorKind,
        /// The system's words.
        detail: String,
    },
    /// The store has a format that this program does not know.
    Version {
        /// The store's.
        found: u32,
        /// The newest that this program knows.
        supported: u32,
    },
    /// Another process has the store open.
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// There is no store, and none was to be created.
    Missing {
        /// The data directory.
        path: PathBuf,
    },
    /// The directory holds something else.
    NotAStore {
        /// The data directory.
        path: PathBuf,
        /// What was found there.
        what: String,
    },
    /// A power loss tore the last write, and a reader changes nothing.
    Torn {
        /// The database.
        path: PathBuf,
    },
    /// The store has its index for AUDIT in a form of earlier versions, and a reader changes nothing.
    OldIndex {
        /// The database.
        path: PathBuf,
    },
    /// The newest snapshot has a form of earlier versions. Nothing is damaged.
    OldSnapshot,
    /// The processor is older than the program.
    Processor {
        /// The instructions that it lacks.
        lacks: &'static str,
    },
    /// A write was asked of a store that was opened for reading.
    ReadOnly,
    /// A caller broke the contract of the committer: a place twice, times that run backwards, too large a gap.
    OutOfOrder {
        /// The offending event's place.
        sequence: Sequence,
        /// What is wrong with it.
        what: &'static str,
    },
    /// An earlier write or sync failed; nothing is written ever again (P7).
    Failed,
}

impl LogError {
    pub(super) fn corrupt(sequence: Sequence, thing: &str, why: Malformed) -> LogError {
        LogError::Corrupt { sequence, what: format!("{thing} is damaged: {}", why.0) }
    }

    pub(super) fn io(doing: &'static str, error: &dyn fmt::Display) -> LogError {
        LogError::Io { doing, detail: error.to_string() }
    }

    pub(super) fn path(doing: &'static str, path: &Path, error: &io::Error) -> LogError {
        LogError::Path { doing, path: path.to_owned(), kind: error.kind(), detail: error.to_string() }
    }
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Corrupt { sequence, what } => {
                match *sequence {
                    Sequence::ZERO => write!(f, "the store is damaged: {what}. Restore")?,
                    _ => write!(
                        f,
                        "the log is damaged at sequence {sequence}: {what}. `repsec log verify` lists all damage; restore"
                    )?,
                }
                f.write_str(" the data directory from a copy, and keep this one for analysis")
            }
            LogError::Io { doing, detail } => {
                write!(
                    f,
                    "{doing} failed: {detail}. Check free space, permissions and the health of the disk, then start again"
                )
            }
            LogError::Path { doing, path, kind, detail } => fmt_path(f, doing, path, *kind, detail),
            LogError::Version { found, supported } => write!(
                f,
                "the store has format {found}, and this program reads formats up to {supported}: use the program that wrote it, or a newer one"
            ),
            LogError::Locked { path } => write!(
                f,
                "{} is in use by another process: stop that one, or name another data directory",
                path.display()
            ),
            LogError::Missing { path } => {
                write!(f, "there is no store in {}: check the path; `repsec serve` creates one", path.display())
            }
            LogError::NotAStore { path, what } => write!(
                f,
                "{} is not a data directory of repsec ({what}): name another one, or an empty one",
                path.display()
            ),
            LogError::Torn { path } => write!(
                f,
                "the last write to {} was torn, as a power loss does it: start the server once, which drops what was torn and had never been answered, then try again",
                path.display()
            ),
            LogError::OldIndex { path } => write!(
                f,
                "an earlier version has written {}: start the server once, which builds its index for AUDIT anew from the log, then try again",
                path.display()
            ),
            LogError::OldSnapshot => f.write_str(
                "an earlier version has taken the snapshot, in a form that is not read any more: nothing is lost, and the next snapshot replaces it",
            ),
            LogError::Processor { lacks } => write!(
                f,
                "this processor lacks the instructions {lacks}, which RocksDB's checksums need: use one of 2010 or later"
            ),
            LogError::ReadOnly => f.write_str("the store is open for reading only: open it for writing"),
            LogError::OutOfOrder { sequence, what } => {
                write!(
                    f,
                    "the event with sequence {sequence} cannot be stored: {what}. This is a defect of the program; please report it"
                )
            }
            LogError::Failed => {
                f.write_str("an earlier write failed, so nothing more is written: restart, which keeps what is on disk")
            }
        }
    }
}

/// What could not be done at a path, with advice for its cause.
fn fmt_path(f: &mut fmt::Formatter<'_>, doing: &str, path: &Path, kind: io::ErrorKind, detail: &str) -> fmt::Result {
    write!(f, "cannot {doing} {}: ", path.display())?;
    match kind {
        io::ErrorKind::PermissionDenied => {
            let needed = if doing == "read" { "read" } else { "write" };
            write!(f, "permission denied. Run as a user who may {needed} there, or name another directory with --data")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            f.write_str("the file system is read-only. Name another directory with --data")
        }
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            write!(f, "{detail}. Check the path, or name another directory with --data")
        }
        _ => write!(f, "{detail}. Check free space and the health of the disk, then start again"),
    }
}

impl std::error::Error for LogError {}
