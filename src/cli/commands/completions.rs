//! `repsec completions`: a script that lets a shell complete the command line.
//!
//! May use: clap_complete. Never: installs it.

use std::io::Write;

use clap::Command;
use clap_complete::Shell;

use crate::cli::exit::{Exit, Failure};

/// The examples in the help.
pub const EXAMPLES: &str = "\
EXAMPLES:
  repsec completions bash > ~/.local/share/bash-completion/completions/repsec
  repsec completions fish > ~/.config/fish/completions/repsec.fish";

/// What `repsec completions` takes.
#[derive(clap::Args, Debug)]
pub struct CompletionsArgs {
    /// Shell to write the script for
    pub shell: Shell,
}

/// Runs the command for the command line that `command` describes.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &CompletionsArgs, mut command: Command, out: &mut dyn Write) -> Result<Exit, Failure> {
    // The generator panics where it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "repsec", &mut script);
    out.write_all(&script)?;
    out.flush()?;
    Ok(Exit::Yes)
}
