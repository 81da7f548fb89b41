//! B5: reading the log and applying it, beside bare scans of the same bytes, and beside what no replay can do without.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::bench::{Bench, sample_of};
use crate::budget::{Budget, Goal};
use crate::failure::Failure;
use crate::others::ended_children_s;
use crate::peer::beside;
use crate::row::Row;
use crate::scan::{Bare, Scanned, insert};
use crate::statistics::float64;
use crate::unit::Unit;

/// Repetitions in one round, of which the fastest counts: what is slower was disturbed, since the work is the same.
const REPETITIONS: usize = 2;

/// Measures B5 on a data directory that no server has open.
///
/// # Errors
/// When the log cannot be read, or the replay fails. Without the events one by one, or the floors, the other rows stand
/// all the same.
pub fn measure(bench: &mut Bench, data: &Path) -> Result<(), Failure> {
    warm(data)?;
    let log = Bare::log(data)?;
    bench.news(&format!("{} writing the events one by one into a bare RocksDB", Budget::B5));
    let one_by_one = log.one_by_one(data, &bench.scratch.path().join("one-by-one"));
    let rounds = bench.size().rounds;
    let mut found = Vec::with_capacity(rounds);
    for round in 1..=rounds {
        bench.news(&format!("{} replay beside bare scans, round {round} of {rounds}", Budget::B5));
        let measured = || Round::measure(data, &log, one_by_one.as_ref().ok());
        found.push(bench.quietly(Budget::B5, &[], measured, |_| None)?);
    }
    rows(bench, &found)?;
    one_by_one.map(drop)
}

/// One time of a round.
type Seconds = fn(&Round) -> f64;

/// What was found in one round.
struct Round {
    replayed: Replayed,
    batches: Scanned,
    events: Option<Scanned>,
    hash_s: f64,
    insert_s: f64,
}

impl Round {
    fn measure(data: &Path, log: &Bare, one_by_one: Option<&Bare>) -> Result<Round, Failure> {
        let replayed = fastest(|| replay(data), Replayed::core_s)?;
        let batches = fastest(|| log.scan(), |scanned| scanned.seconds)?;
        let events = one_by_one.map(|bare| fastest(|| bare.scan(), |scanned| scanned.seconds)).transpose()?;
        let hash_s = fastest(|| log.hash(), |seconds| *seconds)?;
        let insert_s = fastest(|| Ok(insert(replayed.events)), |seconds| *seconds)?;
        Ok(Round { replayed, batches, events, hash_s, insert_s })
    }
}

/// The best of some repetitions.
fn fastest<T>(measure: impl Fn() -> Result<T, Failure>, seconds: impl Fn(&T) -> f64) -> Result<T, Failure> {
    let mut best = measure()?;
    for _ in 1..REPETITIONS {
        let again = measure()?;
        if seconds(&again) < seconds(&best) {
            best = again;
        }
    }
    Ok(best)
}

fn rows(bench: &mut Bench, found: &[Round]) -> Result<(), Failure> {
    let Some(last) = found.last() else { return Ok(()) };
    let events = last.replayed.events;
    let rate = |seconds: Seconds| {
        sample_of(found.iter().map(|round| float64(round.replayed.events) / seconds(round)).collect())
    };
    let each_ns = |seconds: Seconds| {
        sample_of(found.iter().map(|round| seconds(round) * 1e9 / float64(round.replayed.events.max(1))).collect())
    };
    let replayed = Row::new(
        Budget::B5,
        format!("replay of {events} events, per core"),
        Unit::PerSecond,
        rate(|round| round.replayed.core_s())?,
    );
    let beside_batches = replayed.clone().beside("bare RocksDB scan", rate(|round| round.batches.seconds)?);
    bench.book.row(beside_batches.ratio_goal(Goal::AtLeast(0.6)));
    let mut told = format!(
        "`repsec log replay --shards 1`: reads, checks, decodes and applies to an empty table. The hash of the state at the \
         end ({:.2} s) is not in it. Per core: what counts is its time, or the CPU of all its threads where that is more (in \
         the last round {:.2} s of CPU in {:.2} s, the hash included). Files cached; the better of {REPETITIONS} in each \
         round. The bare RocksDB scan reads our own log and unpacks it, {} values (batches) of {:.0} bytes an event: \
         hardly more than copying blocks.",
        last.replayed.seconds - last.replayed.replay_s,
        last.replayed.cpu_s,
        last.replayed.seconds,
        last.batches.values,
        float64(last.batches.bytes) / float64(events.max(1)),
    );
    if let Some(one_by_one) = last.events {
        let seconds = |round: &Round| round.events.map_or(f64::NAN, |scanned| scanned.seconds);
        let row = replayed.beside("bare RocksDB, a value each event", rate(seconds)?);
        bench.book.row(row.ratio_goal(Goal::AtLeast(0.6)).decides(false));
        told += &format!(
            " The other holds the same events with the same options and so not compressed, each event's bytes as a value of its own under its \
             sequence: {} values, {:.0} bytes each with the key.",
            one_by_one.values,
            float64(one_by_one.bytes) / float64(one_by_one.values.max(1)),
        );
    }
    let each = Row::new(Budget::B5, "replay, each event", Unit::CpuNs, each_ns(|round| round.replayed.core_s())?);
    let floors: [(&str, Seconds); 2] =
        [("BLAKE3 of the same bytes", |round| round.hash_s), ("a bare hash table", |round| round.insert_s)];
    for (who, seconds) in floors {
        bench.book.row(each.clone().beside(who, each_ns(seconds)?).decides(false));
    }
    told += " Two floors, on one core: the hashing of all batches that every check needs, alone; and as many keys of 16 bytes \
             put into an empty hash table that grows (hashbrown), alone.";
    bench.book.note(Budget::B5, told);
    Ok(())
}

/// What a replay says of itself.
struct Replayed {
    events: u64,
    /// By its own clock: until the last event was read, and until the state was hashed.
    replay_s: f64,
    seconds: f64,
    /// CPU of all threads of its process, its start included.
    cpu_s: f64,
}

/// Replays the log in a process of its own.
fn replay(data: &Path) -> Result<Replayed, Failure> {
    let mut command = Command::new(beside("repsec")?);
    command.args(["log", "replay", "--shards", "1", "--json", "--data"]).arg(data);
    let before_s = ended_children_s()?;
    let output = command.stdin(Stdio::null()).output().map_err(Failure::system("start repsec log replay"))?;
    let cpu_s = ended_children_s()? - before_s;
    let told = Replayed::read(&output.stdout, cpu_s).filter(|_| output.status.success());
    told.ok_or_else(|| Failure::peer("repsec log replay", String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

impl Replayed {
    fn read(answer: &[u8], cpu_s: f64) -> Option<Replayed> {
        let answer: Value = serde_json::from_slice(answer).ok()?;
        let seconds = |name: &str| answer[name].as_f64();
        let events = answer["sequence"].as_u64()?;
        Some(Replayed { events, replay_s: seconds("replay_seconds")?, seconds: seconds("seconds")?, cpu_s })
    }

    /// Seconds of one core that it took without the hash of the state at the end. Threads that work beside each other are
    /// no gain here. As many of them as there are cores make that hash; what only one could not do in its time counts.
    fn core_s(&self) -> f64 {
        let hash_s = (self.seconds - self.replay_s).max(0.0);
        self.replay_s.max(self.cpu_s - hash_s)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_read_without_its_hash() {
        let told =
            Replayed::read(br#"{"sequence":5,"seconds":1.5,"replay_seconds":1.0,"state_hash":"ab"}"#, 1.75).unwrap();
        assert!(told.events == 5 && (told.core_s() - 1.25).abs() < 1e-9);
        for lacking in [&b"{\"sequence\":5}"[..], br#"{"sequence":5,"seconds":1.5}"#, b""] {
            assert!(Replayed::read(lacking, 1.0).is_none());
        }
    }

    #[test]
    fn the_fastest_counts() {
        let times = std::cell::RefCell::new(vec![1.0, 3.0]);
        let found = fastest(|| Ok(times.borrow_mut().pop().unwrap_or(9.0)), |seconds| *seconds).unwrap();
        assert!((found - 1.0).abs() < 1e-9);
    }
}
