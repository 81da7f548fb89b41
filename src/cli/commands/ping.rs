//! `repsec ping`: is the server there, and how far away?
//!
//! May use: the pipeline, a clock. Never: asks for anything that needs the store.

use std::io::Write;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::conclude;
use crate::cli::exit::{Exit, Failure};
use crate::cli::options::{ConnectionArgs, parse_positive};
use crate::cli::pipeline::Pipeline;
use crate::cli::request::Request;

/// The examples in the help.
pub const EXAMPLES: &str = "\
EXAMPLES:
  repsec ping
  repsec ping --count 10 --server rep.example.org
The time is that of one round trip on a connection that stands already.";

/// What `repsec ping` takes.
#[derive(clap::Args, Debug)]
pub struct PingArgs {
    /// How many times to ask, one after the other
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_positive::<NonZeroU32>)]
    pub count: NonZeroU32,
    /// Which server, and how.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs the command.
///
/// # Errors
/// When there is no answer.
pub fn run(args: &PingArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let mut pipeline = Pipeline::open(&args.connection)?;
    let request = Request::new("PING");
    let mut worst = Exit::Yes;
    let mut times = Vec::new();
    for _ in 0..args.count.get() {
        let begun = Instant::now();
        let answer = pipeline.ask(&request)?;
        let time = begun.elapsed();
        times.push(time);
        let success = format!("{} answers in {}\n", args.connection.server, milliseconds(time));
        worst = worst.max(conclude(out, args.connection.json, &answer, &success)?);
    }
    if times.len() > 1 && !args.connection.json {
        out.write_all(summary(&mut times).as_bytes())?;
    }
    Ok(worst)
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}

/// The least, the middle and the greatest of the times.
fn summary(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at = |place: usize| milliseconds(times.get(place).copied().unwrap_or_default());
    let count = times.len();
    format!("{count} answers: least {}, median {}, most {}\n", at(0), at((count - 1) / 2), at(count - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_of_sorted_times() {
        let mut times = [3, 1, 2].map(Duration::from_millis);
        assert_eq!(summary(&mut times), "3 answers: least 1.000 ms, median 2.000 ms, most 3.000 ms\n");
    }
}
