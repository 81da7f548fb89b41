//! `repsec log`: tools that read a data directory while no server has it open.
//!
//! They are part of the program so that they always know the format that it writes. Never: asks a server, writes.

mod dump;
mod open;
mod replay;
mod stat;
mod verify;

use std::num::NonZeroUsize;
use std::path::PathBuf;

use super::exit::{Exit, Failure};
use super::options::{parse_positive, parse_time};
use super::paths::DATA_VARIABLE;
use crate::types::Timestamp;

/// The examples in the help.
pub const EXAMPLES: &str = "\
EXAMPLES:
  repsec log stat --data /srv/repsec
  repsec log verify
  repsec log dump --entity example.com --json";

const STAT_EXAMPLES: &str = "\
EXAMPLES:
  repsec log stat
  repsec log stat --data /srv/repsec --json";

const VERIFY_EXAMPLES: &str = "\
EXAMPLES:
  repsec log verify
  repsec log verify --data backup/repsec
Exits with 0 if the log is whole, else with 3 and the first place that is not.";

const REPLAY_EXAMPLES: &str = "\
EXAMPLES:
  repsec log replay
  repsec log replay --shards 4 --json";

const DUMP_EXAMPLES: &str = "\
EXAMPLES:
  repsec log dump --entity example.com
  repsec log dump --since 2026-08-01T00:00:00Z --until 2026-09-01T00:00:00Z --json
  repsec log dump --access --since 2026-08-22T10:00:00Z
Exits with 1 if there are no events of the --entity.
A reader that has seen enough, such as head, is no failure.";

/// What `repsec log` takes.
#[derive(clap::Args, Debug)]
pub struct LogArgs {
    /// Directory of the store [default: $XDG_DATA_HOME/repsec]
    #[arg(long, value_name = "DIR", env = DATA_VARIABLE, global = true)]
    pub data: Option<PathBuf>,
    /// Print one JSON object a line
    #[arg(long, env = "REPSEC_JSON", global = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub json: bool,
    /// What to do with the log.
    #[command(subcommand)]
    pub command: LogCommand,
}

/// The commands on a log.
#[derive(clap::Subcommand, Debug)]
pub enum LogCommand {
    /// Show what is in the store: identity, format, events, entities, sizes
    #[command(after_help = STAT_EXAMPLES)]
    Stat,
    /// Check every checksum, every link of the chain, and the index against the log
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify,
    /// Rebuild the state from the first event on, and show its hash
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),
    /// Print events, oldest first
    #[command(after_help = DUMP_EXAMPLES)]
    Dump(DumpArgs),
}

/// What `repsec log replay` takes.
#[derive(clap::Args, Debug)]
pub struct ReplayArgs {
    /// Shards to divide the entities among; changes nothing but the speed [default: one per core]
    #[arg(long, value_name = "N", value_parser = parse_positive::<NonZeroUsize>)]
    pub shards: Option<NonZeroUsize>,
}

/// What `repsec log dump` takes.
#[derive(clap::Args, Debug)]
pub struct DumpArgs {
    /// Events of this entity only
    #[arg(long, value_name = "ENTITY")]
    pub entity: Option<String>,
    /// Nothing older than this (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub since: Option<Timestamp>,
    /// Nothing younger than this (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub until: Option<Timestamp>,
    /// The access journal (lookups, pings, refusals) instead of the events
    #[arg(long)]
    pub access: bool,
}

/// Runs a command on a log.
///
/// # Errors
/// When the log cannot be read, or the output not be written. A log that is damaged is a result, not an error.
pub fn run(args: &LogArgs, out: &mut dyn std::io::Write) -> Result<Exit, Failure> {
    let store = open::open(args.data.as_deref())?;
    match &args.command {
        LogCommand::Stat => stat::run(&store, args.json, out),
        LogCommand::Verify => verify::run(&store, args.json, out),
        LogCommand::Replay(replay) => {
            let shards = replay.shards.map_or_else(crate::runtime::topology::cores, NonZeroUsize::get);
            replay::run(&store, shards, args.json, out)
        }
        LogCommand::Dump(dump) => match dump::run(&store, dump, args.json, out) {
            // A dump claims nothing that its reader would miss.
            Err(gone) if gone.is_silent() => Ok(Exit::Yes),
            ended => ended,
        },
    }
}
