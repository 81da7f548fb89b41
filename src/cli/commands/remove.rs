//! `repsec remove`: ends the current life of an entity. Its history stays.
//!
//! May use: the pipeline, by way of `commands::change`. Never: decides whether the server should.

use std::io::Write;

use super::change::ask_once;
use super::conclude;
use crate::cli::exit::{Exit, Failure};
use crate::cli::options::ConnectionArgs;
use crate::cli::request::Request;

/// The examples in the help.
pub const EXAMPLES: &str = "\
EXAMPLES:
  repsec remove example.com
  repsec remove 192.0.2.1 --json
Exits with 1 if the entity is not registered.";

/// What `repsec remove` takes.
#[derive(clap::Args, Debug)]
pub struct RemoveArgs {
    /// Name to remove
    pub entity: String,
    /// Which server, and how.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs the command.
///
/// # Errors
/// When there is no answer.
pub fn run(args: &RemoveArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let request = Request::new("REMOVE").with("entity", args.entity.as_str());
    let answer = ask_once(&args.connection, request)?;
    let success = super::change_text("removed", &args.entity, &answer);
    conclude(out, args.connection.json, &answer, &success)
}
