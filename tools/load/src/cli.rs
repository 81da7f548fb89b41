//! The command line: `repsec-load run`, `fill`, `hold` and `echo-server`.
//!
//! May use: clap, indicatif. Never: anything that a program could not ask of the library.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use repsec::server::{CertificateFiles, make_development};
use serde::Serialize;

use crate::echo::{self, Echo};
use crate::error::LoadError;
use crate::hold::{Hold, hold};
use crate::plan::{Extent, Keys, Pace, Plan, Target, Workload, repository_lists};
use crate::run::{run, run_with};

const EXAMPLES: &str = "\
EXAMPLES:
  repsec serve --dev --data /tmp/store --listen 127.0.0.1:4655
  repsec-load fill --target repsec --address 127.0.0.1:4655 --ca /tmp/store/tls/ca.pem --entities 100000
  repsec-load run --target repsec --address 127.0.0.1:4655 --ca /tmp/store/tls/ca.pem --workload verify-hit --pid PID
  repsec-load echo-server --data /tmp/echo --listen 127.0.0.1:4755

EXIT STATUS:
  0  done, and every answer was right
  1  a wrong answer, no answer, or no connection
  2  usage: the command line is wrong, or the plan cannot be run";

/// The command line, as typed.
#[derive(Parser, Debug)]
#[command(name = "repsec-load", version, about = "Measures a RepSec server beside its peers, with the same client")]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run a workload, and report throughput, latencies and CPU
    Run(RunArgs),
    /// Load entities 0 up to N into an empty target
    Fill(FillArgs),
    /// Hold idle connections, and report what each costs the server
    Hold(HoldArgs),
    /// Run an echo server: the TLS and the event loop of RepSec, and nothing else
    EchoServer(EchoArgs),
}

#[derive(Args, Debug)]
struct ServerArgs {
    /// Who is measured: repsec, redis or echo
    #[arg(long, value_parser = target)]
    target: Target,
    /// Where it listens
    #[arg(long, value_name = "ADDR:PORT")]
    address: SocketAddr,
    /// The authority to trust (PEM); of a development server tls/ca.pem in its data directory
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The name that the server's certificate must be good for
    #[arg(long, value_name = "NAME", default_value = "localhost")]
    server_name: String,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum WorkloadName {
    /// VERIFY of registered entities (redis: GET)
    VerifyHit,
    /// VERIFY of names that never were registered (redis: GET)
    VerifyMiss,
    /// Both, half and half
    VerifyMixed,
    /// VERIFY of many names in a message
    Bulk,
    /// REGISTER of new names with attributes (redis: SET)
    Register,
    /// REMOVE of registered names, each once
    Remove,
    /// 95 % VERIFY, 4 % REGISTER, 1 % AUDIT
    Day,
    /// PING
    Ping,
}

#[derive(Clone, Copy, ValueEnum, Debug)]
enum KeysName {
    /// Each as often as any other
    Uniform,
    /// By Zipf's law with exponent 0.99
    Zipf,
}

#[derive(Args, Debug)]
struct RunArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// What is asked
    #[arg(long, value_enum)]
    workload: WorkloadName,
    /// Which registered entities are asked for
    #[arg(long, value_enum, default_value = "uniform")]
    keys: KeysName,
    /// How many entities are registered already: 0 up to this one, as a fill leaves them
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    entities: u64,
    /// The first number to register or to remove; no name may come twice [default: --entities for register and day, 0
    /// for remove]
    #[arg(long, value_name = "N")]
    first: Option<u64>,
    /// Commands per second over all connections on an even schedule, or max: as many in flight as allowed
    #[arg(long, value_name = "R", default_value = "max", value_parser = pace)]
    rate: Pace,
    /// Connections in all
    #[arg(long, value_name = "N", default_value_t = 4)]
    connections: usize,
    /// Commands in flight on one connection
    #[arg(long, value_name = "N", default_value_t = 128)]
    in_flight: usize,
    /// Threads of the client
    #[arg(long, value_name = "N", default_value_t = 1)]
    workers: usize,
    /// Seconds before the counted window
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    warmup: f64,
    /// Seconds of the counted window
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    duration: f64,
    /// Count so many commands instead of a time
    #[arg(long, value_name = "N", conflicts_with = "duration")]
    commands: Option<u64>,
    /// bulk: names in one message
    #[arg(long, value_name = "N", default_value_t = 1000)]
    names_per_message: usize,
    /// bulk: how many of 100 names are registered ones
    #[arg(long, value_name = "PERCENT", default_value_t = 100)]
    bulk_hits: u8,
    /// Send an id with each command, and expect it back
    #[arg(long)]
    ids: bool,
    /// Send no ts and nonce with commands that change state; the server must allow that
    #[arg(long)]
    no_nonces: bool,
    /// Decides which names are drawn
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The server's process, for its CPU and memory
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// The folder with the lists of names [default: tests/data of the repository]
    #[arg(long, value_name = "DIR")]
    lists: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct FillArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// How many
    #[arg(long, value_name = "N")]
    entities: u64,
    /// The first number, if some are there already
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// Connections in all
    #[arg(long, value_name = "N", default_value_t = 16)]
    connections: usize,
    /// Commands in flight on one connection
    #[arg(long, value_name = "N", default_value_t = 256)]
    in_flight: usize,
    /// Send ts and nonce, as a server without --dev demands
    #[arg(long)]
    nonces: bool,
    /// The server's process, for its CPU and memory
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// The folder with the lists of names [default: tests/data of the repository]
    #[arg(long, value_name = "DIR")]
    lists: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct HoldArgs {
    #[command(flatten)]
    server: ServerArgs,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 1000)]
    connections: usize,
    /// Seconds from the last PING to the look at the server's memory
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,
    /// The server's process
    #[arg(long, value_name = "PID")]
    pid: u32,
}

#[derive(Args, Debug)]
struct EchoArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where tls/ca.pem and a certificate for this machine are made, unless they are there
    #[arg(long, value_name = "DIR", required_unless_present = "cert")]
    data: Option<PathBuf>,
    /// A certificate chain (PEM) instead
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with = "data")]
    cert: Option<PathBuf>,
    /// The private key of --cert (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// The core to be pinned to, by its place among those that the process may use
    #[arg(long, value_name = "N", default_value_t = 0)]
    core: usize,
}

fn target(text: &str) -> Result<Target, String> {
    match text {
        "repsec" => Ok(Target::RepSec),
        "redis" => Ok(Target::Redis),
        "echo" => Ok(Target::Echo),
        _ => Err("expected repsec, redis or echo".to_owned()),
    }
}

fn pace(text: &str) -> Result<Pace, String> {
    if text == "max" {
        return Ok(Pace::Max);
    }
    text.parse().map(Pace::PerSecond).map_err(|_| "expected a whole number of commands per second, or max".to_owned())
}

/// The program.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run_workload(args),
        Command::Fill(args) => fill(args),
        Command::Hold(args) => hold_connections(args),
        Command::EchoServer(args) => serve_echo(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A standard error that is gone is no reason to end otherwise.
            let _ = writeln!(std::io::stderr(), "repsec-load: {error}");
            ExitCode::from(if matches!(error, LoadError::Plan(_)) { 2 } else { 1 })
        }
    }
}

fn run_workload(args: RunArgs) -> Result<(), LoadError> {
    let json = args.server.json;
    print(&run(&plan(args))?, json)
}

fn plan(args: RunArgs) -> Plan {
    let workload = match args.workload {
        WorkloadName::VerifyHit => Workload::VerifyHit,
        WorkloadName::VerifyMiss => Workload::VerifyMiss,
        WorkloadName::VerifyMixed => Workload::VerifyMixed,
        WorkloadName::Bulk => Workload::Bulk,
        WorkloadName::Register => Workload::Register,
        WorkloadName::Remove => Workload::Remove,
        WorkloadName::Day => Workload::Day,
        WorkloadName::Ping => Workload::Ping,
    };
    let keys = match args.keys {
        KeysName::Uniform => Keys::Uniform,
        KeysName::Zipf => Keys::Zipf,
    };
    let first = if workload == Workload::Remove { 0 } else { args.entities };
    Plan {
        target: args.server.target,
        address: args.server.address,
        server_name: args.server.server_name,
        ca: args.server.ca,
        workload,
        keys,
        entities: args.entities,
        first: args.first.unwrap_or(first),
        pace: args.rate,
        connections: args.connections,
        in_flight: args.in_flight,
        workers: args.workers,
        warmup_s: args.warmup,
        extent: args.commands.map_or(Extent::Seconds(args.duration), Extent::Commands),
        names_per_message: args.names_per_message,
        bulk_hits_percent: args.bulk_hits,
        ids: args.ids,
        nonces: !args.no_nonces,
        seed: args.seed,
        pid: args.pid,
        lists: args.lists.unwrap_or_else(repository_lists),
    }
}

fn fill(args: FillArgs) -> Result<(), LoadError> {
    let FillArgs { server, entities, .. } = args;
    let plan = Plan {
        server_name: server.server_name,
        first: args.first,
        connections: args.connections,
        in_flight: args.in_flight,
        nonces: args.nonces,
        pid: args.pid,
        lists: args.lists.unwrap_or_else(repository_lists),
        ..Plan::fill(server.target, server.address, server.ca, entities)
    };
    let bar = ProgressBar::new(entities).with_message("entities");
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} {msg}, {per_sec}, {eta} to go")
    {
        bar.set_style(style);
    }
    let report = run_with(&plan, &mut |progress| bar.set_position(progress.answered))?;
    bar.finish_and_clear();
    print(&report, server.json)
}

fn hold_connections(args: HoldArgs) -> Result<(), LoadError> {
    let HoldArgs { server, connections, seconds, pid } = args;
    let json = server.json;
    let plan = Hold {
        server_name: server.server_name,
        seconds,
        ..Hold::new(server.target, server.address, server.ca, connections, pid)
    };
    print(&hold(&plan)?, json)
}

fn serve_echo(args: EchoArgs) -> Result<(), LoadError> {
    let certificates = match (args.cert, args.key, args.data) {
        (Some(chain), Some(key), _) => CertificateFiles { chain, key },
        (_, _, Some(data)) => make_development(&data).map_err(LoadError::Echo)?,
        _ => return Err(LoadError::Plan("name a directory with --data, or --cert and --key".to_owned())),
    };
    let echo = Echo { listen: args.listen, certificates, core: args.core };
    let never = echo::serve(&echo, |address| {
        // Whoever started the server may have closed its standard output; that is no reason not to serve.
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "repsec-load: echo on {address}").and_then(|()| out.flush());
    })?;
    match never {}
}

/// Prints a report: as JSON, or as the table that it shows itself as.
fn print<R: Serialize + std::fmt::Display>(report: &R, json: bool) -> Result<(), LoadError> {
    let failed = |source| LoadError::System { doing: "write the report", source };
    let mut out = std::io::stdout().lock();
    if json {
        let text = serde_json::to_string(report).map_err(|error| failed(error.into()))?;
        writeln!(out, "{text}").map_err(failed)
    } else {
        write!(out, "{report}").map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    /// What the command line leaves out is what a new plan has.
    #[test]
    fn both_ways_to_a_plan_have_the_same_defaults() {
        let line = "repsec-load run --target echo --address 127.0.0.1:1 --ca ca.pem --workload verify-mixed";
        let Command::Run(args) = Cli::try_parse_from(line.split(' ')).unwrap().command else { panic!("{line}") };
        let expected = Plan::new(Target::Echo, "127.0.0.1:1".parse().unwrap(), "ca.pem");
        assert_eq!(Plan { first: 0, ..plan(args) }, expected);
        let line = "repsec-load fill --target echo --address 127.0.0.1:1 --ca ca.pem --entities 7";
        let Command::Fill(args) = Cli::try_parse_from(line.split(' ')).unwrap().command else { panic!("{line}") };
        let expected = Plan::fill(Target::Echo, "127.0.0.1:1".parse().unwrap(), "ca.pem", 7);
        assert_eq!((args.connections, args.in_flight), (expected.connections, expected.in_flight));
    }
}
