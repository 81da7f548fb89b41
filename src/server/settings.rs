//! What the server is told; `config` builds it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::faces::repsec::Limits;
use crate::runtime::uring::Driver;

use super::certificates::CertificateFiles;

/// Everything that a server needs to know to start. Checked when it starts, not before.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store's directory.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Event loops; each owns a share of the entities.
    pub shards: usize,
    /// Development: own certificates, loopback only, no replay protection demanded.
    pub development: bool,
    /// Lets peers in from other machines although nobody knows who they are.
    pub insecure_anonymous: bool,
    /// The certificate; `None` in development, where one is made.
    pub certificates: Option<CertificateFiles>,
    /// How the event loops wait; `None` takes the best that the kernel allows.
    pub driver: Option<Driver>,
    /// How long a stopping server goes on answering.
    pub drain_timeout: Duration,
    /// Connections in all, over all cores.
    pub connections_max: usize,
    /// What peers may send.
    pub limits: Limits,
    /// Seconds without a byte, with nothing in flight, after which a connection ends.
    pub idle_timeout: Duration,
    /// Within which a message (and a handshake) that was started must end.
    pub message_timeout: Duration,
    /// Events since the last snapshot after which the next one is taken.
    pub snapshot_events: u64,
    /// Nonces that are remembered at the same time.
    pub nonces_max: usize,
    /// How long the access journal is kept.
    pub access_retention: Duration,
    /// Threads that read history.
    pub readers: usize,
}
