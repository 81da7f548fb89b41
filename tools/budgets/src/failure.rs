//! What keeps a budget from being measured, in words for whoever started the run.

use std::fmt;
use std::io;

use repsec_load::LoadError;

/// Why there is no number.
#[derive(Debug)]
pub enum Failure {
    /// The client ended without a report.
    Load {
        /// What was being measured.
        doing: String,
        /// What the client said.
        source: LoadError,
    },
    /// The system refused something.
    System {
        /// What was tried.
        doing: String,
        /// What it said.
        source: io::Error,
    },
    /// A peer did not start, ended early, or said what it should not.
    Peer {
        /// Who.
        who: String,
        /// What it did, and the end of its log.
        what: String,
    },
    /// A result that cannot be.
    Result(String),
}

impl Failure {
    /// The system refused this.
    pub fn system(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
        |source| Failure::System { doing: doing.into(), source }
    }

    /// The client failed at this.
    pub fn load(doing: impl Into<String>) -> impl FnOnce(LoadError) -> Failure {
        |source| Failure::Load { doing: doing.into(), source }
    }

    /// A peer did this.
    pub fn peer(who: impl Into<String>, what: impl Into<String>) -> Failure {
        Failure::Peer { who: who.into(), what: what.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Load { doing, source } => write!(f, "{doing}: {source}"),
            Failure::System { doing, source } => write!(f, "cannot {doing}: {source}"),
            Failure::Peer { who, what } => write!(f, "{who} {what}"),
            Failure::Result(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Failure::Load { source, .. } => Some(source),
            Failure::System { source, .. } => Some(source),
            Failure::Peer { .. } | Failure::Result(_) => None,
        }
    }
}
