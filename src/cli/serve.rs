//! `repsec serve`: from arguments to a running server.
//!
//! May use: clap, the configuration, the server. Never: decides what a missing argument means; that is the
//! configuration's.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::exit::{Exit, Failure};
use super::options::parse_positive;
use super::paths::{DATA_VARIABLE, default_data_dir};
use crate::config::{self, Overrides};
use crate::server::{self, Ended, StartError};

/// The examples in the help.
pub const EXAMPLES: &str = "\
EXAMPLES:
  repsec serve --dev
  repsec serve --config repsec.toml
  repsec serve --data /srv/repsec --listen '[::]:4655' --cert chain.pem --key key.pem

When it is ready it prints one line on standard output:
  repsec: listening on 127.0.0.1:4655
Logs go to standard error. SIGTERM and SIGINT answer what was accepted and exit with 0;
with 3 if the drain timeout runs out.
SIGHUP reloads the certificate.";

/// How the network and the sockets are driven.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum IoDriver {
    /// io_uring where the kernel offers it, else epoll
    #[value(help = "io_uring where the kernel offers it, else epoll")]
    Auto,
    /// io_uring, or fail
    #[value(help = "io_uring, or fail")]
    Uring,
    /// epoll
    Epoll,
}

/// How logs are written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// Lines for people
    Text,
    /// JSON, one object a line
    Json,
}

/// What `repsec serve` takes. A flag wins over the configuration file; what is missing in both has a default.
#[derive(clap::Args, Debug)]
pub struct ServeArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Directory of the store; made if it is not there [default: $XDG_DATA_HOME/repsec]
    #[arg(long, value_name = "DIR", env = DATA_VARIABLE)]
    pub data: Option<PathBuf>,
    /// Address and port to listen on [default: 127.0.0.1:4655 with --dev, else port 4655 of all addresses]
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_listen)]
    pub listen: Option<SocketAddr>,
    /// Event loops, each on a core of its own, that divide the entities among them [default: one per core]
    #[arg(long, value_name = "N", value_parser = parse_positive::<NonZeroUsize>)]
    pub shards: Option<NonZeroUsize>,
    /// For trying out: makes DIR/tls/ca.pem and a certificate for localhost, 127.0.0.1 and ::1, takes changes without
    /// a time and a nonce and from anybody, and listens on loopback only
    #[arg(long, conflicts_with_all = ["cert", "key"])]
    pub dev: bool,
    /// Serve peers that have not said who they are on an address that is not loopback. Everybody who reaches the port
    /// may then do everything
    #[arg(long)]
    pub insecure_anonymous: bool,
    /// Certificate chain of the server (PEM), its own certificate first
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Private key of --cert (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,
    /// How sockets are driven [default: auto]
    #[arg(long, value_enum, value_name = "DRIVER")]
    pub io: Option<IoDriver>,
    /// How logs are written [default: text]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Seconds that connections have to end after SIGTERM before they are cut [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = parse_positive::<NonZeroU64>)]
    pub drain_timeout_s: Option<NonZeroU64>,
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 127.0.0.1:4655 or [::]:4655".to_owned())
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// When it cannot start, or the store fails.
pub fn run(args: &ServeArgs) -> Result<Exit, Failure> {
    start_logs(args.log_format.unwrap_or(LogFormat::Text));
    let overrides = Overrides {
        data: args.data.clone(),
        listen: args.listen,
        shards: args.shards.map(NonZeroUsize::get),
        development: args.dev,
        insecure_anonymous: args.insecure_anonymous,
        certificate: args.cert.clone(),
        key: args.key.clone(),
        io: args.io.map(|io| io.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())),
        drain_timeout_s: args.drain_timeout_s.map(NonZeroU64::get),
    };
    let settings = config::load(args.config.as_deref(), &overrides, default_data_dir())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let ended = server::run(settings).map_err(|error| match error {
        StartError::NoCertificate | StartError::AnonymousNetwork { .. } | StartError::DevelopmentNetwork { .. } => {
            Failure::Usage(error.to_string())
        }
        other => Failure::Failed(other.to_string()),
    })?;
    Ok(match ended {
        Ended::Drained => Exit::Yes,
        Ended::Overdue | Ended::Failed => Exit::Failed,
    })
}

/// Sends logs to standard error. `RUST_LOG` chooses what is told, as for other Rust programs.
fn start_logs(format: LogFormat) {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_target(false);
    // Started once in a process; a second start would change nothing.
    let _ = match format {
        LogFormat::Text => logs.with_ansi(io::stderr().is_terminal()).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
}
