//! Floor 5, surface: the command line. What is typed, what is printed, how a run ends.
//!
//! The commands that ask a server know the protocol only as JSON objects and answers, as any other client does.
//!
//! May use: all below. Never: prints a secret, or anything but results on standard output.

pub mod address;
pub mod answer;
pub mod bulk;
pub mod client;
pub mod commands;
pub mod exit;
pub mod import;
pub mod log;
pub mod options;
pub mod output;
pub mod paths;
pub mod pipeline;
pub mod request;
pub mod serve;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args as _, CommandFactory as _, Parser};

use commands::{audit, capabilities, completions, ping, register, remove, send, verify};
use exit::{EXIT_STATUS_HELP, Exit, Failure};
use options::{ConnectionArgs, ENVIRONMENT_HELP};

const EXAMPLES: &str = "\
EXAMPLES:
  repsec serve --dev
  repsec register example.com
  repsec verify example.com 192.0.2.1";

/// The command line, as typed.
#[derive(Parser, Debug)]
#[command(
    name = "repsec",
    version,
    about = "A reputation store that speaks RepSec",
    long_about = "A reputation store that speaks RepSec: a server with an event log, a client, and tools for the log.",
    after_help = format!("{EXAMPLES}\n\n{EXIT_STATUS_HELP}\n\n{ENVIRONMENT_HELP}"),
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The commands.
#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Run the server
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::ServeArgs),
    /// Ask whether the server is there, and measure the round trip
    #[command(after_help = ping::EXAMPLES)]
    Ping(ping::PingArgs),
    /// Register an entity
    #[command(after_help = register::EXAMPLES)]
    Register(register::RegisterArgs),
    /// Ask whether entities are registered
    #[command(after_help = verify::EXAMPLES)]
    Verify(verify::VerifyArgs),
    /// Remove an entity; its history stays
    #[command(after_help = remove::EXAMPLES)]
    Remove(remove::RemoveArgs),
    /// Show what happened to an entity
    #[command(after_help = audit::EXAMPLES)]
    Audit(audit::AuditArgs),
    /// Show what the server can do, and its limits
    #[command(after_help = capabilities::EXAMPLES)]
    Capabilities(capabilities::CapabilitiesArgs),
    /// Send lines of JSON as they are, and print the answers as they are
    #[command(after_help = send::EXAMPLES)]
    Send(send::SendArgs),
    /// Carry a file of registrations and removals over to a server
    #[command(after_help = import::EXAMPLES)]
    Import(import::ImportArgs),
    /// Look into a log, without a server
    #[command(after_help = log::EXAMPLES)]
    Log(log::LogArgs),
    /// Write a script that lets a shell complete this command line
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::CompletionsArgs),
}

/// The program.
pub fn main() -> ExitCode {
    let typed = options_behind_command(std::env::args_os().collect());
    let exit = match Cli::try_parse_from(typed) {
        Ok(cli) => run(&cli.command).unwrap_or_else(|failure| {
            if !failure.is_silent() {
                output::note(&failure.to_string());
            }
            failure.exit()
        }),
        Err(error) => {
            // Help goes to standard output, and may meet a reader that has gone.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Yes }
        }
    };
    exit.into()
}

fn run(command: &Command) -> Result<Exit, Failure> {
    let out = &mut output::standard_output();
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Ping(args) => ping::run(args, out),
        Command::Register(args) => register::run(args, out),
        Command::Verify(args) => verify::run(args, out),
        Command::Remove(args) => remove::run(args, out),
        Command::Audit(args) => audit::run(args, out),
        Command::Capabilities(args) => capabilities::run(args, out),
        Command::Send(args) => send::run(args, out),
        Command::Import(args) => import::run(args, out),
        Command::Log(args) => log::run(args, out),
        Command::Completions(args) => completions::run(args, Cli::command(), out),
    }
}

/// Lets the options that ask a server stand before the command as well: `repsec --json ping` is read as
/// `repsec ping --json`. They belong to the commands that use them, so that the help of the others is free of them.
fn options_behind_command(typed: Vec<OsString>) -> Vec<OsString> {
    let options = ConnectionArgs::augment_args(clap::Command::new(""));
    let mut typed = typed.into_iter().peekable();
    let mut line: Vec<OsString> = typed.next().into_iter().collect();
    let mut moved = Vec::new();
    while let Some(text) = typed.next_if(|next| option_named(&options, next).is_some()) {
        let takes_next = option_named(&options, &text)
            .is_some_and(|option| option.get_action().takes_values() && !text.to_string_lossy().contains('='));
        moved.push(text);
        if takes_next {
            moved.extend(typed.next());
        }
    }
    line.extend(typed.next());
    line.append(&mut moved);
    line.extend(typed);
    line
}

/// The option that an argument like `--ca` or `--ca=FILE` names.
fn option_named<'a>(options: &'a clap::Command, text: &OsString) -> Option<&'a clap::Arg> {
    let text = text.to_str()?.strip_prefix("--")?;
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    options.get_arguments().find(|option| option.get_long() == Some(name))
}
