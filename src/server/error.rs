//! Why a server could not start, in words for whoever starts it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::log::LogError;

/// What kept the server from starting. Each says what happened, where, and what to do next.
#[derive(Debug)]
pub enum StartError {
    /// The store could not be opened or recovered.
    Log(LogError),
    /// A certificate or key cannot be used.
    Certificate {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no certificate, and this is not development.
    NoCertificate,
    /// Anonymous peers from other machines would be let in.
    AnonymousNetwork {
        /// The address that is not loopback.
        listen: SocketAddr,
    },
    /// `--dev` and an address that is not loopback.
    DevelopmentNetwork {
        /// The address.
        listen: SocketAddr,
    },
    /// The address cannot be listened on.
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel gave no event loop.
    EventLoop {
        /// The driver that was asked for.
        driver: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Something else of the system failed.
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Log(error) => error.fmt(f),
            StartError::Certificate { file, why } => {
                write!(
                    f,
                    "the certificate or key in {} cannot be used: {why}. Mend it, or name others with --cert and \
                     --key; what --dev has made may be removed, and is made anew",
                    file.display()
                )
            }
            StartError::NoCertificate => f.write_str(
                "no certificate: name one with --cert FILE and --key FILE (or [tls] in the configuration), \
                 or try the server on this machine with --dev, which makes its own",
            ),
            StartError::AnonymousNetwork { listen } => write!(
                f,
                "peers are not authenticated yet, and {listen} can be reached from other machines: anyone could change \
                 the store. Listen on 127.0.0.1 or [::1], or accept that with --insecure-anonymous",
            ),
            StartError::DevelopmentNetwork { listen } => write!(
                f,
                "--dev relaxes security and so listens on this machine only, not on {listen}: leave --listen away, or \
                 name 127.0.0.1 or [::1]",
            ),
            StartError::Listen { listen, source } if source.kind() == io::ErrorKind::AddrInUse => write!(
                f,
                "cannot listen on {listen}: another program does already. Stop it, or choose another port with --listen",
            ),
            StartError::Listen { listen, source } => write!(f, "cannot listen on {listen}: {source}"),
            StartError::EventLoop { driver, source } => write!(
                f,
                "the kernel gave no {driver} event loop: {source}. If this is a container, allow io_uring and more \
                 locked memory (ulimit -l), or start with --io epoll",
            ),
            StartError::Io { doing, path, source } => write!(
                f,
                "cannot {doing} in {}: {source}. Check permissions, free space and the limit of open files, then start \
                 again",
                path.display()
            ),
        }
    }
}

impl std::error::Error for StartError {}

impl From<LogError> for StartError {
    fn from(error: LogError) -> StartError {
        StartError::Log(error)
    }
}
