//! The options that all commands which ask a server share, as typed.
//!
//! May use: clap. Never: reads the files that it names.

use std::num::{IntErrorKind, ParseIntError};
use std::path::PathBuf;
use std::str::FromStr;

use super::address::ServerAddress;
use crate::types::Timestamp;

/// The environment variables as the top-level help shows them.
pub const ENVIRONMENT_HELP: &str = "\
ENVIRONMENT:
  REPSEC_SERVER      like --server
  REPSEC_CA          like --ca
  REPSEC_CERT        like --cert of the commands that ask a server
  REPSEC_KEY         like --key of the commands that ask a server
  REPSEC_TOKEN_FILE  like --token-file
  REPSEC_JSON        like --json, unless it is empty, 0, false, no or off
  REPSEC_DATA        like --data
  XDG_DATA_HOME      where the default data directory is: $XDG_DATA_HOME/repsec, else ~/.local/share/repsec
A flag wins over the environment.";

/// Which server to ask, whom to believe, who we are, and how to print.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Connection options")]
pub struct ConnectionArgs {
    /// Server to ask; the port may be left out (4655), an IPv6 address with a port stands in brackets
    #[arg(long, value_name = "HOST:PORT", env = "REPSEC_SERVER", default_value = "127.0.0.1:4655")]
    pub server: ServerAddress,
    /// Certificates (PEM) of the authorities to trust, and no others.
    /// Without it: the development authority of the default data directory if the server is on this machine and the
    /// file is there, else the authorities that this system trusts
    #[arg(long, value_name = "FILE", env = "REPSEC_CA")]
    pub ca: Option<PathBuf>,
    /// Certificate chain (PEM) to show to the server (no server of this version asks for it)
    #[arg(long, value_name = "FILE", env = "REPSEC_CERT", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Private key (PEM) of --cert (no server of this version asks for it)
    #[arg(long, value_name = "FILE", env = "REPSEC_KEY", requires = "cert")]
    pub key: Option<PathBuf>,
    /// File with the bearer token to send with each command; it is never printed (no server of this version asks for it)
    #[arg(long, value_name = "FILE", env = "REPSEC_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// Print the server's answers as they are, one JSON object a line, and nothing else on standard output
    #[arg(long, env = "REPSEC_JSON", value_parser = clap::builder::FalseyValueParser::new())]
    pub json: bool,
}

/// Reads an RFC 3339 time for clap.
pub fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| "expected a time as in RFC 3339 with an offset, such as 2026-08-22T10:00:00Z".to_owned())
}

/// Reads a number that may not be zero for clap: one of the `NonZero` types.
pub fn parse_positive<N: FromStr<Err = ParseIntError>>(text: &str) -> Result<N, String> {
    text.parse().map_err(|error: ParseIntError| match error.kind() {
        IntErrorKind::Zero => "must be at least 1".to_owned(),
        _ => error.to_string(),
    })
}
