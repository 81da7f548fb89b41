//! B5: reading the log and applying it, beside a bare scan of the same bytes.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bench::{Bench, sample_of};
use crate::budget::{Budget, Goal};
use crate::failure::Failure;
use crate::peer::beside;
use crate::row::Row;
use crate::scan::scan;
use crate::statistics::float64;
use crate::unit::Unit;

/// Repetitions in one round, of which the fastest counts: what is slower was disturbed, since the work is the same.
const REPETITIONS: usize = 2;

/// Measures B5 on a data directory that no server has open.
///
/// # Errors
/// When the log cannot be read, or the replay fails.
pub fn measure(bench: &mut Bench, data: &Path) -> Result<(), Failure> {
    warm(data)?;
    let rounds = bench.size().rounds;
    let (mut ours, mut bare, mut events, mut bytes, mut batches) = (Vec::new(), Vec::new(), 0, 0, 0);
    for round in 1..=rounds {
        bench.wait_for_quiet()?;
        bench.news(&format!("{} replay beside a bare scan, round {round} of {rounds}", Budget::B5));
        let (mut replayed_s, mut scanned_s) = (f64::INFINITY, f64::INFINITY);
        for _ in 0..REPETITIONS {
            let (replayed, seconds) = replay(data)?;
            let scanned = scan(data)?;
            (events, bytes, batches) = (replayed, scanned.bytes, scanned.batches);
            (replayed_s, scanned_s) = (replayed_s.min(seconds), scanned_s.min(scanned.seconds));
        }
        ours.push(float64(events) / replayed_s);
        bare.push(float64(events) / scanned_s);
    }
    let what = format!("replay of {events} events, one core");
    let row = Row::new(Budget::B5, what, Unit::PerSecond, sample_of(ours)?);
    let row = row.beside("bare RocksDB scan", sample_of(bare)?);
    bench.book.row(row.ratio_goal(Goal::AtLeast(0.6)));
    let bytes_each = float64(bytes) / float64(events.max(1));
    let note = format!(
        "`repsec log replay --shards 1`: reads, checks, decodes, applies to an empty table, and hashes the state at the end. \
         The log holds {batches} batches, {bytes_each:.0} bytes an event before compression. Files cached; the better of \
         {REPETITIONS} in each round."
    );
    bench.book.note(Budget::B5, note);
    Ok(())
}

/// Replays the log in a process of its own: how many events, and the seconds that it says.
fn replay(data: &Path) -> Result<(u64, f64), Failure> {
    let mut command = Command::new(beside("repsec")?);
    command.args(["log", "replay", "--shards", "1", "--json", "--data"]).arg(data);
    let output = command.stdin(Stdio::null()).output().map_err(Failure::system("start repsec log replay"))?;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    match (answer["sequence"].as_u64(), answer["seconds"].as_f64()) {
        (Some(events), Some(seconds)) if output.status.success() => Ok((events, seconds)),
        _ => Err(Failure::peer("repsec log replay", String::from_utf8_lossy(&output.stderr).trim().to_owned())),
    }
}

/// Reads all files of a directory once, so that the system has them in memory.
///
/// # Errors
/// When one cannot be read.
pub fn warm(directory: &Path) -> Result<(), Failure> {
    let failed = || Failure::system(format!("read {}", directory.display()));
    for entry in fs::read_dir(directory).map_err(failed())? {
        let path = entry.map_err(failed())?.path();
        if path.is_dir() {
            warm(&path)?;
        } else {
            let copied = File::open(&path).and_then(|mut file| io::copy(&mut file, &mut io::sink()));
            copied.map_err(Failure::system(format!("read {}", path.display())))?;
        }
    }
    Ok(())
}
