//! Floor 5, configuration: one TOML file and the command line, checked as a whole, turned into the server's settings.
//!
//! May use: all floors below. Never: does anything; it only reads its file.

mod raw;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::faces::repsec::Limits;
use crate::runtime::topology;
use crate::runtime::uring::Driver;
use crate::server::{CertificateFiles, Settings};
use crate::types::limits;

use raw::Raw;

/// The port that the draft suggests (`repsec:R21`).
pub const PORT: u16 = 4655;
/// Event loops at the most: beyond it a mistake is likelier than such a machine.
const SHARDS_MAX: usize = 1024;

/// What the command line says; it wins over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--data`.
    pub data: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--shards`.
    pub shards: Option<usize>,
    /// `--dev`.
    pub development: bool,
    /// `--insecure-anonymous`.
    pub insecure_anonymous: bool,
    /// `--cert`.
    pub certificate: Option<PathBuf>,
    /// `--key`.
    pub key: Option<PathBuf>,
    /// `--io`: `auto`, `uring` or `epoll`.
    pub io: Option<String>,
    /// `--drain-timeout-s`.
    pub drain_timeout_s: Option<u64>,
}

/// All that is wrong with a configuration, at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// One sentence for each mistake: the key, its value, what is allowed.
    pub mistakes: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        self.mistakes.iter().try_for_each(|mistake| write!(f, "\n  - {mistake}"))
    }
}

impl std::error::Error for ConfigError {}

/// Reads the file, if one is named, lays the command line over it, and checks the whole.
///
/// # Errors
/// Every mistake that was found, not only the first. A key that is not known is a mistake.
pub fn load(
    file: Option<&Path>,
    overrides: &Overrides,
    default_data: Option<PathBuf>,
) -> Result<Settings, ConfigError> {
    let raw = match file {
        None => Raw::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| one(format!("{} cannot be read: {error}", path.display())))?;
            toml::from_str(&text)
                .map_err(|error| one(format!("{}: {}", path.display(), error.to_string().trim_end())))?
        }
    };
    settings(raw, overrides, default_data)
}

fn one(mistake: String) -> ConfigError {
    ConfigError { mistakes: vec![mistake] }
}

/// Checks each value against its bounds and collects what is wrong.
struct Checker {
    mistakes: Vec<String>,
}

impl Checker {
    /// The value, or the default; noted when it is out of bounds.
    fn bounded(&mut self, key: &str, value: Option<u64>, default: u64, low: u64, high: u64) -> u64 {
        let value = value.unwrap_or(default);
        if !(low..=high).contains(&value) {
            self.mistakes.push(format!("{key} = {value}: must be from {low} to {high}"));
        }
        value.clamp(low, high)
    }

    fn size(&mut self, key: &str, value: Option<u64>, default: usize, low: usize, high: usize) -> usize {
        let value = self.bounded(key, value, default as u64, low as u64, high as u64);
        usize::try_from(value).unwrap_or(high)
    }
}

fn settings(raw: Raw, overrides: &Overrides, default_data: Option<PathBuf>) -> Result<Settings, ConfigError> {
    let mut check = Checker { mistakes: Vec::new() };
    let development = overrides.development || raw.dev.unwrap_or(false);
    let listen = overrides.listen.or(raw.listen).unwrap_or_else(|| default_listen(development));
    let shards = overrides.shards.map(|shards| shards as u64).or(raw.shards);
    let shards = check.size("shards", shards, topology::cores().clamp(1, SHARDS_MAX), 1, SHARDS_MAX);
    let certificates = certificates(&mut check, &raw, overrides);
    let driver = driver(&mut check, overrides.io.as_deref().or(raw.io.as_deref()));
    let drain_timeout_s = overrides.drain_timeout_s.or(raw.drain_timeout_s);
    let drain_timeout_s = check.bounded("drain_timeout_s", drain_timeout_s, 10, 1, 3600);
    let given = &raw.limits;
    let limits = Limits {
        message_bytes_max: check.size(
            "limits.message_bytes_max",
            given.message_bytes_max,
            limits::MESSAGE_BYTES_MAX,
            6 * (limits::ENTITY_BYTES_MAX + limits::ATTRIBUTES_BYTES_MAX),
            limits::BULK_MESSAGE_BYTES_MAX,
        ),
        bulk_entities_max: check.size(
            "limits.bulk_entities_max",
            given.bulk_entities_max,
            limits::BULK_ENTITIES_MAX,
            1,
            limits::BULK_ENTITIES_MAX,
        ),
        outstanding_commands_max: check.size(
            "limits.outstanding_commands_max",
            given.outstanding_commands_max,
            limits::OUTSTANDING_COMMANDS_MAX,
            1,
            65_536,
        ),
        ..Limits::default()
    };
    let data = overrides.data.clone().or(raw.data).or(default_data).unwrap_or_else(|| {
        check.mistakes.push("data: there is no home directory to keep the store in; name one with --data".to_owned());
        PathBuf::new()
    });
    let idle_timeout_s =
        check.bounded("limits.idle_timeout_s", given.idle_timeout_s, limits::IDLE_TIMEOUT_S, 1, 86_400);
    let message_timeout_s =
        check.bounded("limits.message_timeout_s", given.message_timeout_s, limits::MESSAGE_TIMEOUT_S, 1, 3600);
    let settings = Settings {
        data,
        listen,
        shards,
        development,
        insecure_anonymous: overrides.insecure_anonymous || raw.insecure_anonymous.unwrap_or(false),
        certificates,
        driver,
        drain_timeout: Duration::from_secs(drain_timeout_s),
        connections_max: check.size("limits.connections_max", given.connections_max, 50_000, 1, 1_000_000),
        limits: Limits { idle_timeout_s, message_timeout_s, ..limits },
        idle_timeout: Duration::from_secs(idle_timeout_s),
        message_timeout: Duration::from_secs(message_timeout_s),
        snapshot_events: check.bounded("log.snapshot_events", raw.log.snapshot_events, 1_000_000, 100, 1 << 40),
        nonces_max: check.size("log.nonces_max", raw.log.nonces_max, 20_000_000, 1000, 1 << 32),
        access_retention: Duration::from_secs(
            86_400 * check.bounded("log.access_retention_days", raw.log.access_retention_days, 7, 1, 3650),
        ),
        readers: check.size("log.readers", raw.log.readers, 2, 1, 64),
    };
    if check.mistakes.is_empty() { Ok(settings) } else { Err(ConfigError { mistakes: check.mistakes }) }
}

fn default_listen(development: bool) -> SocketAddr {
    match development {
        true => SocketAddr::from((Ipv4Addr::LOCALHOST, PORT)),
        false => SocketAddr::from((Ipv6Addr::UNSPECIFIED, PORT)),
    }
}

fn certificates(check: &mut Checker, raw: &Raw, overrides: &Overrides) -> Option<CertificateFiles> {
    let chain = overrides.certificate.clone().or_else(|| raw.tls.certificate.clone());
    let key = overrides.key.clone().or_else(|| raw.tls.key.clone());
    match (chain, key) {
        (Some(chain), Some(key)) => Some(CertificateFiles { chain, key }),
        (None, None) => None,
        (Some(_), None) => {
            check.mistakes.push("tls.certificate is there and tls.key is not: a certificate needs its key".to_owned());
            None
        }
        (None, Some(_)) => {
            check.mistakes.push("tls.key is there and tls.certificate is not: a key needs its certificate".to_owned());
            None
        }
    }
}

fn driver(check: &mut Checker, io: Option<&str>) -> Option<Driver> {
    match io {
        None | Some("auto") => None,
        Some("uring") => Some(Driver::Uring),
        Some("epoll") => Some(Driver::Epoll),
        Some(other) => {
            check.mistakes.push(format!("io = {other:?}: must be \"auto\", \"uring\" or \"epoll\""));
            None
        }
    }
}
