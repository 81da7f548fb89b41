//! The configuration file as it is written. Unknown keys are mistakes: a misspelt limit would otherwise not limit.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// The whole file. Every key is optional; `config` has the defaults and the bounds.
#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    pub(super) data: Option<PathBuf>,
    pub(super) listen: Option<SocketAddr>,
    pub(super) shards: Option<u64>,
    pub(super) dev: Option<bool>,
    pub(super) insecure_anonymous: Option<bool>,
    pub(super) io: Option<String>,
    pub(super) drain_timeout_s: Option<u64>,
    #[serde(default)]
    pub(super) tls: RawTls,
    #[serde(default)]
    pub(super) limits: RawLimits,
    #[serde(default)]
    pub(super) log: RawLog,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    pub(super) message_bytes_max: Option<u64>,
    pub(super) bulk_entities_max: Option<u64>,
    pub(super) outstanding_commands_max: Option<u64>,
    pub(super) connections_max: Option<u64>,
    pub(super) idle_timeout_s: Option<u64>,
    pub(super) message_timeout_s: Option<u64>,
}

#[derive(Deserialize, Debug, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLog {
    pub(super) snapshot_events: Option<u64>,
    pub(super) nonces_max: Option<u64>,
    pub(super) access_retention_days: Option<u64>,
    pub(super) readers: Option<u64>,
}
