//! The command line of `repsec-budgets`, which `tools/bench` runs.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::budget::Budget;
use crate::compare::{Comparison, read};
use crate::ending;
use crate::failure::Failure;
use crate::results::Results;
use crate::run::run;
use crate::settings::{Settings, Size};
use crate::table;

/// Open files that a server with ten thousand connections needs, and this program with as many.
const FILES: u64 = 16_384;
/// Seconds that a run waits, in all, for other programs, if nobody says otherwise: a fifth of its own length.
const PATIENCE_S: u64 = 180;
/// The same for a quick run, whose numbers say nothing anyway.
const PATIENCE_QUICK_S: u64 = 15;
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
  tools/bench --entities-large 1000000 --only B5,B7
  tools/bench --compare /tmp/first /tmp/second
  tools/bench --profile            where each nanosecond of a command goes, two minutes
  tools/bench --soak 30            half an hour of one mixed day: what grows that should not

EXIT STATUS:
  0  everything was measured, whatever the verdicts; with --compare: the two runs agree;
     with --soak: nothing grew
  1  something could not be measured; with --compare: they do not agree, or cannot be read;
     with --soak: something grew, or the time was too short to say
  2  usage: the command line is wrong
  130  interrupted; all servers were ended and their data removed, and the results of what was done are written";

/// The command line, as typed.
#[derive(Parser, Debug)]
#[command(
    name = "tools/bench",
    bin_name = "tools/bench",
    version,
    about = "Measures repsec beside its peers, and says which budgets are met"
)]
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
    /// Entities of B1, B2 and B3 [default: 1,000,000; 100,000 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1000..=100_000_000))]
    entities: Option<u64>,
    /// Entities of B5 to B8, and the most of B10 [default: 10,000,000; 100,000 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(10_000..=100_000_000))]
    entities_large: Option<u64>,
    /// Idle connections of B9 [default: 10,000; 1,000 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    idle_connections: Option<u32>,
    /// Seconds to wait, in all, for other programs to leave the machine alone; then it is measured beside them
    /// [default: 180; 15 with --quick]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=3600))]
    patience: Option<u64>,
    /// Where the results are written [default: benches/results/DAY-PROCESSOR]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Measure nothing; say whether the results in two directories agree
    #[arg(long, num_args = 2, value_names = ["DIR", "DIR"], conflicts_with_all = ["only", "quick", "rounds", "duration", "out"])]
    compare: Option<Vec<PathBuf>>,
    /// Measure no budgets; record with perf where the time of a VERIFY and of a REGISTER goes
    #[arg(long, conflicts_with_all = ["only", "rounds", "compare"])]
    profile: bool,
    /// Measure no budgets; one server through a mixed day of so many minutes, with connections that come and go,
    /// certificate reloads and snapshots: whether memory (from 24 minutes on), descriptors and latency stay as they are
    #[arg(long, value_name = "MINUTES", value_parser = minutes, conflicts_with_all = ["only", "rounds", "duration", "compare", "profile"])]
    soak: Option<f64>,
    /// Where the servers keep their data, in a directory that vanishes; it should be on a disk
    #[arg(long, value_name = "DIR", env = "TMPDIR", default_value = SCRATCH)]
    data: PathBuf,
}

fn seconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|seconds| (0.1..=600.0).contains(seconds));
    number.ok_or_else(|| "expected seconds from 0.1 to 600".to_owned())
}

fn minutes(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|minutes| (0.1..=10_080.0).contains(minutes));
    number.ok_or_else(|| "expected minutes from 0.1 to 10080, which is a week".to_owned())
}

impl Cli {
    fn settings(self) -> Settings {
        let mut size = if self.quick { Size::quick() } else { Size::full() };
        size.rounds = self.rounds.map_or(size.rounds, usize::from);
        size.window_s = self.duration.unwrap_or(size.window_s);
        size.entities = self.entities.unwrap_or(size.entities);
        size.entities_large = self.entities_large.unwrap_or(size.entities_large);
        let connections = self.idle_connections.and_then(|count| usize::try_from(count).ok());
        size.idle_connections = connections.unwrap_or(size.idle_connections);
        let all = || Budget::ALL.to_vec();
        let budgets = if self.only.is_empty() { all() } else { self.only };
        let patience =
            Duration::from_secs(self.patience.unwrap_or(if self.quick { PATIENCE_QUICK_S } else { PATIENCE_S }));
        Settings { budgets: budgets.into_iter().collect(), size, scratch: self.data, out: self.out, patience }
    }
}

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.compare {
        Some(runs) => compare(runs),
        None if let Some(minutes) = cli.soak => soak(cli.settings(), minutes),
        None if cli.profile => profile(cli.settings()),
        None => measure(cli.settings()),
    };
    match outcome {
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
    let directory =
        |results: &Results| out.clone().unwrap_or_else(|| results.directory(&crate::repository().join(RESULTS)));
    // What cannot be written now is told at the end, when it cannot be written either.
    let results = run(settings, &mut |results| drop(results.write(&directory(results))))?;
    let mut output = std::io::stdout();
    let color = output.is_terminal();
    // A reader that has gone away does not keep the results from being written.
    let _ = writeln!(output, "\n{}", table::text(&results, color));
    let directory = directory(&results);
    results.write(&directory)?;
    eprintln!("Written to {}: table.txt, results.json, plots.", directory.display());
    Ok(results.book.failures.is_empty())
}

/// Records, prints and writes where the time goes.
fn profile(settings: Settings) -> Result<bool, Failure> {
    ending::watch_signals().map_err(Failure::system("watch for Ctrl-C"))?;
    allow_files()?;
    let out = settings.out.clone();
    let quick = if settings.size.quick { "-quick" } else { "" };
    let profile = crate::profile::measure(settings)?;
    let _ = writeln!(std::io::stdout(), "\n{}", profile.text());
    let name = format!("{}-{}-profile{quick}", profile.date, profile.machine.slug());
    let directory = out.unwrap_or_else(|| crate::repository().join(RESULTS).join(name));
    profile.write(&directory)?;
    eprintln!(
        "Written to {}: profile.txt, profile.json, profile-verify.svg, profile-register.svg.",
        directory.display()
    );
    Ok(true)
}

/// Runs a day, prints and writes what was seen. Whether everything stayed as it was.
fn soak(settings: Settings, minutes: f64) -> Result<bool, Failure> {
    ending::watch_signals().map_err(Failure::system("watch for Ctrl-C"))?;
    allow_files()?;
    let out = settings.out.clone();
    let quick = if settings.size.quick { "-quick" } else { "" };
    let soak = crate::soak::measure(settings, minutes)?;
    let _ = writeln!(std::io::stdout(), "\n{}", soak.text());
    let name = format!("{}-{}-soak{quick}", soak.date, soak.machine.slug());
    let directory = out.unwrap_or_else(|| crate::repository().join(RESULTS).join(name));
    soak.write(&directory)?;
    eprintln!("Written to {}: soak.txt, soak.json, soak.svg.", directory.display());
    Ok(soak.is_flat())
}

/// Prints how two runs stand to each other. Whether they agree.
fn compare(runs: &[PathBuf]) -> Result<bool, Failure> {
    let [a, b] = runs else { return Err(Failure::Result("two directories with results are compared".to_owned())) };
    let comparison = Comparison::of(&read(a)?, &read(b)?);
    let mut output = std::io::stdout();
    let color = output.is_terminal();
    let _ = write!(output, "{}", comparison.text(color));
    Ok(comparison.agrees())
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
        let sized =
            settings("bench --entities 5000 --entities-large 2000000 --idle-connections 300 --patience 7").unwrap();
        let size = Size { entities: 5000, entities_large: 2_000_000, idle_connections: 300, ..Size::full() };
        assert_eq!((sized.size, sized.patience), (size, Duration::from_secs(7)));
        assert!(settings("bench --entities-large 9999").is_err());
        assert!(settings("bench --only B11").is_err() && settings("bench --duration 0").is_err());
    }

    #[test]
    fn growth_is_by_tens() {
        assert_eq!(Size::full().growth(), [10_000, 100_000, 1_000_000, 10_000_000]);
        assert_eq!(Size::quick().growth(), [10_000, 100_000]);
    }
}
