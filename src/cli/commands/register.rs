//! `repsec register`: begins a life of an entity.
//!
//! May use: the pipeline, by way of `commands::change`. Never: decides whether the server should.

use std::io::Write;

use super::change::ask_once;
use super::{AttributeArgs, conclude};
use crate::cli::exit::{Exit, Failure};
use crate::cli::options::ConnectionArgs;
use crate::cli::request::Request;

/// The examples in the help.
pub const EXAMPLES: &str = "\
EXAMPLES:
  repsec register example.com
  repsec register 192.0.2.1 --type ip --attribute reason=spam --attribute source=trap
  repsec register 'Example Ltd' --type organization --attributes '{\"employees\":12}'
Exits with 1 if the entity is registered already.";

/// What `repsec register` takes.
#[derive(clap::Args, Debug)]
pub struct RegisterArgs {
    /// Name to register: a domain, address, network, AS number, e-mail address, URL, user id or organization
    pub entity: String,
    /// Kind of the entity, such as domain, ip, network, asn, email, url, userid, organization; inferred when left out
    #[arg(long = "type", value_name = "KIND")]
    pub kind: Option<String>,
    /// What is known about it.
    #[command(flatten)]
    pub attributes: AttributeArgs,
    /// Which server, and how.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs the command.
///
/// # Errors
/// When there is no answer.
pub fn run(args: &RegisterArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let request = Request::new("REGISTER")
        .with("entity", args.entity.as_str())
        .with_some("type", args.kind.as_deref())
        .with_some("attributes", args.attributes.object());
    let answer = ask_once(&args.connection, request)?;
    let success = super::change_text("registered", &args.entity, &answer);
    conclude(out, args.connection.json, &answer, &success)
}
