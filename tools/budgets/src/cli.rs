//! The command line of `repsec-budgets`, which `tools/bench` runs.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::budget::Budget;
use crate::ending;
use crate::failure::Failure;
use crate::run::run;
use crate::settings::{Settings, Size};
use crate::table;

/// Open files that a server with ten thousand connections needs, and this program with as many.
const FILES: u64 = 16_384;
/// Where results lie in the repository.
const RESULTS: &str = "benches/results";
/// Where data outlive no restart but do lie on a disk (the hierarchy standard has it on every Linux).
const SCRATCH: &str = "/var/tmp";

const EXAMPLES: &str = "\
EXAMPLES:
  tools/bench                      all budgets, about a quarter of an hour on two cores
  tools/bench --quick              a quick look at whether everything works
  tools/bench --only B1,B4         two of them
  tools/bench --only B4 --data /mnt/disk --out /tmp/results

EXIT STATUS:
  0  everything was measured, whatever the verdicts
  1  something could not be measured
  2  usage: the command line is wrong
  130  interrupted; all servers were ended and their data removed";

/// The command line, as typed.
#[derive(Parser, Debug)]
#[command(name = "tools/bench", version, about = "Measures repsec beside its peers, and says which budgets are met")]
#[command(after_help = EXAMPLES)]
struct Cli {
    /// Measure only these budgets: B1 to B10, with commas between them
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    only: Vec<Budget>,
    /// One short round with few entities: shows that everything works, and says nothing about the budgets
    #[arg(long)]
    quick: bool,
    /// Rounds of each measurement [default: 3; 1 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: Option<u16>,
    /// Seconds of one measurement [default: 3; 1 with --quick]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    duration: Option<f64>,
    /// Where the results are written [default: benches/results/DAY-PROCESSOR]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where the servers keep their data, in a directory that vanishes; it should be on a disk
    #[arg(long, value_name = "DIR", env = "TMPDIR", default_value = SCRATCH)]
    data: PathBuf,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|seconds| (0.1..=600.0).contains(seconds));
    number.ok_or_else(|| "expected seconds from 0.1 to 600".to_owned())
}

impl Cli {
    fn settings(self) -> Settings {
        let mut size = if self.quick { Size::quick() } else { Size::full() };
        size.rounds = self.rounds.map_or(size.rounds, usize::from);
        size.window_s = self.duration.unwrap_or(size.window_s);
        let all = || Budget::ALL.to_vec();
        let budgets = if self.only.is_empty() { all() } else { self.only };
        Settings { budgets: budgets.into_iter().collect(), size, scratch: self.data, out: self.out }
    }
}

/// The program.
pub fn main() -> ExitCode {
    match measure(Cli::parse().settings()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("tools/bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Measures, prints and writes. Whether everything was measured.
fn measure(settings: Settings) -> Result<bool, Failure> {
    ending::watch_signals().map_err(Failure::system("watch for Ctrl-C"))?;
    allow_files()?;
    let out = settings.out.clone();
    let results = run(settings)?;
    let mut output = std::io::stdout();
    let color = output.is_terminal();
    // A reader that has gone away does not keep the results from being written.
    let _ = writeln!(output, "\n{}", table::text(&results, color));
    let directory = out.unwrap_or_else(|| results.directory(&crate::repository().join(RESULTS)));
    results.write(&directory)?;
    eprintln!("Written to {}: table.txt, results.json, plots.", directory.display());
    Ok(results.book.failures.is_empty())
}

/// Lets this process and the servers that it starts have as many files open as they need, or as many as they may.
fn allow_files() -> Result<(), Failure> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(FILES, |maximum| maximum.min(FILES));
    if current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })
        .map_err(|error| Failure::System { doing: "allow more open files".to_owned(), source: error.into() })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn budgets_and_sizes_are_chosen() {
        let settings = |line: &str| Cli::try_parse_from(line.split(' ')).map(Cli::settings);
        let all = settings("bench").unwrap();
        assert_eq!((all.budgets.len(), all.size), (10, Size::full()));
        let few = settings("bench --quick --only b4,B1 --rounds 2").unwrap();
        assert!(few.budgets.into_iter().eq([Budget::B1, Budget::B4]));
        assert_eq!(few.size, Size { rounds: 2, ..Size::quick() });
        assert!(settings("bench --only B11").is_err() && settings("bench --duration 0").is_err());
    }

    #[test]
    fn growth_is_by_tens() {
        assert_eq!(Size::full().growth(), [10_000, 100_000, 1_000_000, 10_000_000]);
        assert_eq!(Size::quick().growth(), [10_000, 100_000]);
    }
}
