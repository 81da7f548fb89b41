//! `repsec import`: carries a file of registrations and removals over to a server. It keeps no record of its own: run
//! again, after whatever interruption of either side, it finds out what is done and does the rest.
//!
//! May use: the pipeline, the file, the terminal. Never: writes a file.

mod align;
mod command;
mod formats;
mod importer;
mod patience;
mod survey;
mod tally;

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use indicatif::{HumanFloatCount, ProgressBar, ProgressState, ProgressStyle};

use super::exit::{Exit, Failure};
use super::options::ConnectionArgs;
use super::output::note;
use super::pipeline::Pipeline;
use crate::types::{Entity, Kind};
use command::Line;
pub use formats::Format;
use importer::Importer;
use patience::Stopped;
use survey::{Survey, read, read_line};
use tally::Tally;

/// The examples in the help.
pub const EXAMPLES: &str = "\
EXAMPLES:
  repsec import names.txt
  repsec import history.jsonl
  repsec import ipsum.txt --format ipsum
  repsec import customers.txt --type organization --json
FILE must be a regular file, since it is read twice.
A second run changes nothing; a run after an interruption does the rest.
Without --type and --format, a line that reads as an organization or a user id is refused,
because any text does.
Exits with 3 if a line is refused or the connection is lost.";

/// Lines that are settled together. A window bounds the memory, and how much is asked before something is sent.
const WINDOW_LINES: usize = 10_000;

/// What `repsec import` takes.
#[derive(clap::Args, Debug)]
pub struct ImportArgs {
    /// File to import
    pub file: PathBuf,
    /// How the file is written; guessed from its name and its first line when left out
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Kind of the entities of lines that name none
    #[arg(long = "type", value_name = "KIND")]
    pub kind: Option<String>,
    /// Which server, and how.
    #[command(flatten)]
    pub connection: ConnectionArgs,
}

/// Runs the command.
///
/// # Errors
/// When the file cannot be read, or there is no server.
pub fn run(args: &ImportArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let name = args.file.display().to_string();
    let unreadable = |source| Failure::Input { name: name.clone(), source };
    if args.file.as_os_str() == "-" {
        return Err(Failure::Usage("import reads its file twice, so it cannot read the standard input".to_owned()));
    }
    let is_file = std::fs::metadata(&args.file).map_err(unreadable)?.is_file();
    if !is_file {
        return Err(Failure::Usage(format!("{name} is not a regular file, which import needs to read it twice")));
    }
    let mut file = File::open(&args.file).map_err(unreadable)?;
    let survey = Survey::of(&args.file, args.format, &mut BufReader::new(&file)).map_err(unreadable)?;
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;

    let mut pipeline = Pipeline::open(&args.connection)?;
    let begun = Instant::now();
    let bar = progress_bar(survey.commands);
    let mut tally = Tally::default();
    let mut lines = Lines {
        file: BufReader::new(file.take(survey.bytes)),
        format: survey.format,
        is_guess: args.format.is_none(),
        number: 0,
    };
    let end = carry_over(&mut lines, args.kind.as_deref(), &mut pipeline, &survey, &mut tally, &bar);
    bar.finish_and_clear();
    report(&tally, begun.elapsed(), args.connection.json, out)?;
    match end {
        Ok(()) => Ok(tally.exit()),
        Err(Ended::File(source)) => Err(unreadable(source)),
        Err(Ended::Server(stopped)) => Err(Failure::Failed(stopped_text(&stopped, &tally, &survey))),
    }
}

/// Nothing is drawn where standard error is no terminal.
fn progress_bar(commands: u64) -> ProgressBar {
    let bar = ProgressBar::new(commands);
    let template = "{wide_bar} {human_pos}/{human_len} lines, {rate}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.with_key("rate", write_rate));
    }
    bar
}

/// Whole lines a second. In a template, what stands behind the colon of `per_sec` is a colour and no precision.
fn write_rate(state: &ProgressState, out: &mut dyn std::fmt::Write) {
    // The bar's own buffer takes everything.
    let _ = write!(out, "{:.0}/s", HumanFloatCount(state.per_sec()));
}

fn report(tally: &Tally, time: Duration, json: bool, out: &mut dyn Write) -> Result<(), Failure> {
    for refusal in tally.refusals() {
        note(&refusal);
    }
    let summary = if json { tally.json(time) } else { tally.table(time) };
    out.write_all(summary.as_bytes())?;
    out.flush()?;
    Ok(())
}

fn stopped_text(stopped: &Stopped, tally: &Tally, survey: &Survey) -> String {
    let reason = match stopped {
        Stopped::Connection(error) => error.to_string(),
        Stopped::Refused(reason) => reason.clone(),
    };
    let (settled, all) = (tally.lines(), survey.commands);
    format!("{reason}\n{settled} of {all} lines are known to be settled. Run the same command again to go on")
}

/// Why the file was not carried over to its end.
enum Ended {
    File(std::io::Error),
    Server(Stopped),
}

impl From<Stopped> for Ended {
    fn from(stopped: Stopped) -> Ended {
        Ended::Server(stopped)
    }
}

/// The second pass.
fn carry_over(
    lines: &mut Lines<impl BufRead>,
    kind: Option<&str>,
    pipeline: &mut Pipeline,
    survey: &Survey,
    tally: &mut Tally,
    bar: &ProgressBar,
) -> Result<(), Ended> {
    let mut importer = Importer::new(pipeline, survey)?;
    loop {
        let window = lines.window(kind, WINDOW_LINES, tally).map_err(Ended::File)?;
        if window.is_empty() {
            return Ok(());
        }
        importer.window(window, tally)?;
        bar.set_position(tally.lines());
    }
}

/// The file in its second pass.
struct Lines<F> {
    file: F,
    format: Format,
    /// Nobody has said how the file is written.
    is_guess: bool,
    number: u64,
}

impl<F: BufRead> Lines<F> {
    /// The next commands, at most so many; none at the end of the file. Lines that are no commands are refused here.
    fn window(&mut self, kind: Option<&str>, most: usize, tally: &mut Tally) -> std::io::Result<Vec<Line>> {
        let mut window = Vec::new();
        let mut text = Vec::new();
        while window.len() < most && read_line(&mut self.file, &mut text, &mut |_| {})? > 0 {
            self.number += 1;
            match read(self.format, &text, kind) {
                Ok(None) => {}
                Ok(Some(parsed)) => {
                    if self.is_guess
                        && self.format == Format::Lines
                        && kind.is_none()
                        && let Some(reason) = no_plain_name(&parsed.entity)
                    {
                        tally.add_refused(self.number, "", reason);
                        continue;
                    }
                    window.push(Line { number: self.number, entity: parsed.entity, change: parsed.change });
                }
                Err(reason) => tally.add_refused(self.number, "", &reason),
            }
        }
        Ok(window)
    }
}

/// Why a line of a file that nobody has called a list of names is not taken for one. Every line of every text is the
/// name of some user or organization, so that such a file would be registered whatever it is.
fn no_plain_name(entity: &str) -> Option<&'static str> {
    match Entity::parse(entity).ok()?.kind() {
        Kind::Organization => Some("reads as an organization; say --type organization if it is meant"),
        Kind::Userid => Some("reads as a user id; say --type userid if it is meant"),
        Kind::Domain | Kind::Ip | Kind::Network | Kind::Asn | Kind::Email | Kind::Url | Kind::Extension(_) => None,
    }
}
