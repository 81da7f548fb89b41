//! `repsec send`: lines of the standard input go to the server as they are, and its answers to the standard output as
//! they are. For trying the protocol by hand, broken messages included.
//!
//! May use: the pipeline, the standard input. Never: changes a byte of what it carries, or adds a token, nonce or time.

use std::io::Write;
use std::time::Duration;

use crossbeam::channel::{Receiver, after, never, select};

use crate::cli::answer::Answer;
use crate::cli::client::ClientError;
use crate::cli::exit::{Exit, Failure};
use crate::cli::options::ConnectionArgs;
use crate::cli::pipeline::{GATHER_BYTES, Pipeline, SILENCE_MAX_S, WINDOW_COMMANDS, standard_input_lines};

/// The examples in the help.
pub const EXAMPLES: &str = "\
EXAMPLES:
  echo '{\"command\":\"VERIFY\",\"entity\":\"example.com\"}' | repsec send
  repsec send < commands.jsonl > answers.jsonl
The input is sent as it is: --token-file and --json add nothing to it.
Exits with the worst of the answers.";

type Line = std::io::Result<Vec<u8>>;

/// What `repsec send` takes.
#[derive(clap::Args, Debug)]
pub struct SendArgs {
    /// Which server, and how.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs the command: until the input has ended and the server has answered it and closed.
///
/// # Errors
/// When the connection fails, or the server closes it while there is input.
pub fn run(args: &SendArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let mut pipeline = Pipeline::open(&args.connection)?;
    let lines = standard_input_lines()?;
    let arrivals = pipeline.arrivals();
    let mut worst = Exit::Yes;
    let mut input_open = true;
    loop {
        // How many answers are due is unknown, since a message may have any number of lines. What has arrived is known,
        // and is printed before more is sent.
        let coming = if input_open && arrivals.len() < WINDOW_COMMANDS { lines.clone() } else { never() };
        let silence = if input_open { never() } else { after(Duration::from_secs(SILENCE_MAX_S)) };
        select! {
            recv(coming) -> line => match line {
                Ok(line) => {
                    pipeline.send_raw(&gather(line, &lines)?)?;
                }
                Err(_) => {
                    input_open = false;
                    pipeline.finish()?;
                }
            },
            recv(arrivals) -> line => match line {
                Ok(line) => {
                    worst = worst.max(print(line, out)?);
                    if arrivals.is_empty() {
                        out.flush()?;
                    }
                }
                Err(_) => break,
            },
            recv(silence) -> _ => return Err(pipeline.silent().into()),
        }
    }
    out.flush()?;
    if input_open { Err(pipeline.cut().into()) } else { Ok(worst) }
}

/// The line and those that are there behind it, up to what is worth sending at once.
fn gather(first: Line, lines: &Receiver<Line>) -> Result<Vec<u8>, Failure> {
    let readable = |line: Line| line.map_err(|source| Failure::Input { name: "the standard input".to_owned(), source });
    let mut gathered = readable(first)?;
    gathered.push(b'\n');
    while gathered.len() < GATHER_BYTES
        && let Ok(line) = lines.try_recv()
    {
        gathered.extend(readable(line)?);
        gathered.push(b'\n');
    }
    Ok(gathered)
}

/// Prints an answer, whatever it is, and says what it means.
fn print(arrived: Result<String, ClientError>, out: &mut dyn Write) -> Result<Exit, Failure> {
    let line = arrived?;
    writeln!(out, "{line}")?;
    Ok(Answer::parse(line).map_or(Exit::Failed, |answer| answer.exit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_printed_as_they_are_and_judged() {
        let mut out = Vec::new();
        for (line, exit) in [
            (r#"{"status": 200}"#, Exit::Yes),
            (r#"{"status":404 }"#, Exit::No),
            (r#"{"status":400}"#, Exit::Failed),
            ("surprise", Exit::Failed),
        ] {
            assert_eq!(print(Ok(line.to_owned()), &mut out).unwrap(), exit, "{line}");
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"status\": 200}\n{\"status\":404 }\n{\"status\":400}\nsurprise\n"
        );
    }
}
