//! B5 to B8: a store that grows to ten million entities. (B10 uses it, too.)
//!
//! One store is loaded once. While it grows, one entity begins and ends again and again, so that its history lies all over
//! the log.

use std::path::Path;
use std::time::Instant;

use repsec_load::entities::{Name, VALUE_BYTES};
use repsec_load::{Entities, Usage, plan};
use serde_json::{Value, json};

use super::{growth, replay};
use crate::ask::Asker;
use crate::bench::{Bench, sample_of};
use crate::budget::{Budget, Goal};
use crate::failure::Failure;
use crate::peer::{Keep, Peer};
use crate::row::Row;
use crate::statistics::{float, float64, quantile};
use crate::unit::Unit;

/// The entity with the long history. No entity that is loaded is called so.
const AUDITED: &str = "history.repsec-budgets.example";
/// Parts in which the store is loaded; the history goes on between them.
const PARTS: u64 = 50;
/// Names whose length is looked at.
const SAMPLED: u64 = 100_000;
/// Bytes on disk for each entity, generously: the log, its index, tables that compaction has not deleted yet, a
/// snapshot, and the events once more for B5.
const DISK_BYTES_EACH: u64 = 1200;
/// Milliseconds, in microseconds.
const MS: f64 = 1000.0;

/// Measures those of B5 to B8 and of B10 that are wanted.
///
/// # Errors
/// When the store cannot be loaded or closed; what fails later is told in the book.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    room(bench)?;
    let data = bench.scratch.directory("large")?;
    let grown = grow(bench, &data)?;
    // Both of the two that use it say why it is missing; those behind them do not need it.
    let redis = if bench.wants(Budget::B6) || bench.wants(Budget::B10) { Some(redis(bench)) } else { None };
    let theirs = |redis: &Option<Result<Redis, Failure>>| match redis {
        Some(Err(failure)) => Err(Failure::peer("redis", format!("is not beside it: {failure}"))),
        Some(Ok(_)) | None => Ok(()),
    };
    let loaded = redis.as_ref().and_then(|redis| redis.as_ref().ok());
    bench.attempt(Budget::B6, |bench| memory(bench, &grown, loaded).and_then(|()| theirs(&redis)));
    bench.attempt(Budget::B10, |bench| growth::measure(bench, &grown.peer, loaded.map(|redis| &redis.peer)));
    drop(redis);
    grown.peer.end()?;
    bench.attempt(Budget::B5, |bench| replay::measure(bench, &data));
    bench.attempt(Budget::B7, |bench| start(bench, &data));
    bench.attempt(Budget::B8, |bench| audit(bench, &data));
    Ok(())
}

/// Says at once, and not after minutes, that the disk is too small.
fn room(bench: &Bench) -> Result<(), Failure> {
    let disk = rustix::fs::statvfs(bench.scratch.path())
        .map_err(|error| Failure::System { doing: "look at the disk".to_owned(), source: error.into() })?;
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed_bytes = bench.size().entities_large.saturating_mul(DISK_BYTES_EACH);
    let gib = |bytes: u64| float64(bytes) / float64(1 << 30);
    if free_bytes < needed_bytes {
        return Err(Failure::Result(format!(
            "the disk has {:.1} GiB left, and {} entities need about {:.1} GiB: name another disk with --data, or fewer \
             entities with --entities-large",
            gib(free_bytes),
            bench.size().entities_large,
            gib(needed_bytes),
        )));
    }
    Ok(())
}

/// A Redis with the same content, in memory.
struct Redis {
    peer: Peer,
    before_bytes: u64,
    after_bytes: u64,
}

fn redis(bench: &mut Bench) -> Result<Redis, Failure> {
    let entities = bench.size().entities_large;
    let peer = Peer::redis(&bench.scratch.directory("large-redis")?, &bench.certificates, Keep::Nothing)?;
    let before_bytes = resident(&peer)?;
    bench.fill(&peer, entities)?;
    let after_bytes = resident(&peer)?;
    Ok(Redis { peer, before_bytes, after_bytes })
}

/// A server that was loaded.
struct Grown {
    peer: Peer,
    /// Its resident memory before the first entity.
    before_bytes: u64,
    /// With all of them.
    after_bytes: u64,
}

fn grow(bench: &mut Bench, data: &Path) -> Result<Grown, Failure> {
    let peer = Peer::repsec(data, 1)?;
    bench.settle(&[&peer]);
    let before_bytes = resident(&peer)?;
    let (entities, lives) = (bench.size().entities_large, bench.size().history_events / 2);
    let mut asker = Asker::new(&peer)?;
    bench.news(&format!("loading {entities} entities, and a history of {} events, into {}", 2 * lives, peer.name));
    let mut told = Instant::now();
    for part in 0..PARTS {
        let share = |of: u64, part: u64| of * part / PARTS;
        live(&mut asker, share(lives, part + 1) - share(lives, part))?;
        let first = share(entities, part);
        bench.load(&peer, first, share(entities, part + 1) - first, &mut told, entities)?;
    }
    bench.settle(&[&peer]);
    let after_bytes = resident(&peer)?;
    Ok(Grown { peer, before_bytes, after_bytes })
}

fn resident(peer: &Peer) -> Result<u64, Failure> {
    let usage = Usage::of(peer.pid()).map_err(Failure::load(format!("looking at {}", peer.name)))?;
    Ok(usage.rss_bytes)
}

/// Lets the audited entity begin and end so many times.
fn live(asker: &mut Asker, lives: u64) -> Result<(), Failure> {
    for _ in 0..lives {
        asker.must(&json!({ "command": "REGISTER", "entity": AUDITED, "attributes": { "list": "budgets" } }))?;
        asker.must(&json!({ "command": "REMOVE", "entity": AUDITED }))?;
    }
    Ok(())
}

fn memory(bench: &mut Bench, grown: &Grown, redis: Option<&Redis>) -> Result<(), Failure> {
    let entities = bench.size().entities_large;
    let each = |before: u64, after: u64| sample_of(vec![float64(after.saturating_sub(before)) / float64(entities)]);
    let ours = each(grown.before_bytes, grown.after_bytes)?;
    let mut row = Row::new(Budget::B6, format!("resident memory per entity, {entities} entities"), Unit::Bytes, ours);
    if let Some(redis) = redis {
        row = row.beside("redis", each(redis.before_bytes, redis.after_bytes)?).ratio_goal(Goal::AtMost(0.5));
    }
    bench.book.row(row);
    let names = names()?;
    let mut name = Vec::new();
    let (step, mut bytes) = (entities.div_ceil(SAMPLED), 0);
    let sampled = (0..entities).step_by(usize::try_from(step).unwrap_or(1));
    let count = sampled.clone().count();
    for number in sampled {
        name.clear();
        names.write(Name::Entity(number), &mut name);
        bytes += name.len();
    }
    let note = format!(
        "Both were told each name ({:.1} bytes on average) and {VALUE_BYTES} bytes about it. Redis holds both in memory. RepSec \
         holds the name with kind, registrant, sequence, time and a fingerprint of the attributes, whose text lies in its log \
         on the disk alone. What a process grew by from its start to the end of the loading, so RepSec's includes RocksDB's \
         buffers and cache. One round.",
        float(bytes) / float(count.max(1)),
    );
    bench.book.note(Budget::B6, note);
    Ok(())
}

/// The names that every store is loaded with.
fn names() -> Result<Entities, Failure> {
    Entities::load(&plan::repository_lists()).map_err(Failure::load("reading the lists of names"))
}

fn start(bench: &mut Bench, data: &Path) -> Result<(), Failure> {
    let name = names()?.text(Name::Entity(0));
    let rounds = bench.size().rounds;
    let mut seconds = Vec::new();
    for round in 1..=rounds {
        bench.news(&format!("{} start to first answer, round {round} of {rounds}", Budget::B7));
        replay::warm(data)?;
        let started = || {
            let began = Instant::now();
            let peer = Peer::repsec(data, 1)?;
            Asker::new(&peer)?.must(&json!({ "command": "VERIFY", "entity": name }))?;
            Ok((began.elapsed().as_secs_f64(), peer))
        };
        let (start_s, peer) = bench.quietly(Budget::B7, &[], started, |(_, peer)| Some(peer))?;
        seconds.push(start_s);
        bench.settle(&[&peer]);
        peer.end()?;
    }
    let what = format!("start to first VERIFY answered, {} entities", bench.size().entities_large);
    bench.book.row(Row::new(Budget::B7, what, Unit::Seconds, sample_of(seconds)?).own_goal(Goal::AtMost(3.0)));
    bench.book.note(Budget::B7, "From the start of the process, after a clean stop, with 1 shard; files cached.");
    Ok(())
}

fn audit(bench: &mut Bench, data: &Path) -> Result<(), Failure> {
    let peer = Peer::repsec(data, 1)?;
    let mut asker = Asker::new(&peer)?;
    let expected = bench.size().history_events;
    let question = json!({ "command": "AUDIT", "entity": AUDITED, "limit": 1000 });
    let answer = asker.must(&question)?;
    let events = answer["events"].as_array().map_or(0, Vec::len);
    if u64::try_from(events).ok() != Some(expected) || answer["next"] != Value::Null {
        return Err(Failure::peer(&peer.name, format!("has {events} events in its AUDIT, and had {expected}")));
    }
    bench.settle(&[&peer]);
    let (rounds, audits) = (bench.size().rounds, bench.size().audits);
    let (mut middles, mut p99s, mut bytes) = (Vec::new(), Vec::new(), 0);
    for round in 1..=rounds {
        bench.news(&format!("{} {audits} AUDITs, round {round} of {rounds}", Budget::B8));
        let asked = || (0..audits).map(|_| audited(&mut asker, &question)).collect::<Result<Vec<_>, Failure>>();
        let pages = bench.quietly(Budget::B8, &[&peer], asked, |_| None)?;
        bytes = pages.last().map_or(0, |(bytes, _)| *bytes);
        let latencies_us: Vec<f64> = pages.into_iter().map(|(_, us)| us).collect();
        middles.push(quantile(&latencies_us, 0.5).unwrap_or(f64::NAN));
        p99s.push(quantile(&latencies_us, 0.99).unwrap_or(f64::NAN));
    }
    let what = format!("p99 of AUDIT of {expected} events, log of {} entities", bench.size().entities_large);
    bench.book.row(Row::new(Budget::B8, what, Unit::LatencyUs, sample_of(p99s)?).own_goal(Goal::AtMost(5.0 * MS)));
    let middle = Unit::LatencyUs.sample_text(&sample_of(middles)?);
    let note = format!(
        "One page of {bytes} bytes, asked for {audits} times a round on one connection, one at a time, by a client of its own; \
         the median is {middle}. The events lie at {PARTS} places of the log; files cached."
    );
    bench.book.note(Budget::B8, note);
    Ok(())
}

/// One AUDIT: the bytes of its answer, and the microseconds that it took.
fn audited(asker: &mut Asker, question: &Value) -> Result<(usize, f64), Failure> {
    let (line, us) = asker.ask(question)?;
    if line.contains("\"status\":200") {
        return Ok((line.len(), us));
    }
    let shown: String = line.trim_end().chars().take(200).collect();
    Err(Failure::Result(format!("an AUDIT was answered {shown}")))
}
