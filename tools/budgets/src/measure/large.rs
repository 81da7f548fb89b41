//! B5 to B8 and B10: a store that grows to ten million entities.
//!
//! One store is loaded once. While it grows, one entity begins and ends again and again, so that its history lies all over
//! the log.

use std::path::Path;
use std::time::Instant;

use repsec_load::entities::{Name, VALUE_BYTES};
use repsec_load::{Entities, Plan, Usage, Workload, plan};
use serde_json::{Value, json};

use super::replay;
use crate::ask::Asker;
use crate::bench::{Bench, sample, sample_of, server_ns};
use crate::book::{Curve, Plot, Point};
use crate::budget::{Budget, Goal};
use crate::failure::Failure;
use crate::peer::{Keep, Peer};
use crate::row::Row;
use crate::statistics::{Sample, float, float64, quantile};
use crate::unit::Unit;

/// The entity with the long history. No entity that is loaded is called so.
const AUDITED: &str = "history.repsec-budgets.example";
/// Parts in which the store is loaded; the history goes on between them.
const PARTS: u64 = 50;
/// Names whose length is looked at.
const SAMPLED: u64 = 100_000;
/// Milliseconds, in microseconds.
const MS: f64 = 1000.0;

/// Measures those of B5 to B8 and of B10 that are wanted.
///
/// # Errors
/// When a server or the client fails.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let data = bench.scratch.directory("large")?;
    let grown = grow(bench, &data)?;
    if bench.wants(Budget::B6) {
        memory(bench, &grown)?;
    }
    if bench.wants(Budget::B10) {
        cost(bench, &grown.peer)?;
    }
    grown.peer.end()?;
    if bench.wants(Budget::B5) {
        replay::measure(bench, &data)?;
    }
    if bench.wants(Budget::B7) {
        start(bench, &data)?;
    }
    if bench.wants(Budget::B8) {
        audit(bench, &data)?;
    }
    Ok(())
}

/// A server that was loaded.
struct Grown {
    peer: Peer,
    /// Its resident memory before the first entity.
    before_bytes: u64,
    /// With all of them.
    after_bytes: u64,
}

fn grow(bench: &Bench, data: &Path) -> Result<Grown, Failure> {
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

fn memory(bench: &mut Bench, grown: &Grown) -> Result<(), Failure> {
    let entities = bench.size().entities_large;
    let each = |before: u64, after: u64| sample_of(vec![float64(after.saturating_sub(before)) / float64(entities)]);
    let ours = each(grown.before_bytes, grown.after_bytes)?;
    let redis = Peer::redis(&bench.scratch.directory("large-redis")?, &bench.certificates, Keep::Nothing)?;
    let before = resident(&redis)?;
    bench.fill(&redis, entities)?;
    let theirs = each(before, resident(&redis)?)?;
    redis.end()?;
    let row = Row::new(Budget::B6, format!("resident memory per entity, {entities} entities"), Unit::Bytes, ours);
    bench.book.row(row.beside("redis", theirs).ratio_goal(Goal::AtMost(0.5)));
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
        "Both hold each name ({:.1} bytes on average) and {VALUE_BYTES} bytes that are known of it: attributes of the REGISTER, \
         value of the SET. RepSec also holds kind, registrant, sequence and time. What a process grew by from its start to \
         the end of the loading, so RepSec's includes RocksDB's buffers and cache. One round.",
        float(bytes) / float(count.max(1)),
    );
    bench.book.note(Budget::B6, note);
    Ok(())
}

fn cost(bench: &mut Bench, large: &Peer) -> Result<(), Failure> {
    let sizes = bench.size().growth();
    let mut smaller = Vec::new();
    for size in sizes.iter().filter(|size| **size < bench.size().entities_large) {
        let mut peer = Peer::repsec(&bench.scratch.directory(&format!("growth-{size}"))?, 1)?;
        bench.fill(&peer, *size)?;
        peer.name = format!("repsec, 1 shard, {size} entities");
        smaller.push((*size, peer));
    }
    let mut peers: Vec<(u64, &Peer)> = smaller.iter().map(|(size, peer)| (*size, peer)).collect();
    peers.push((bench.size().entities_large, large));
    let all: Vec<&Peer> = peers.iter().map(|(_, peer)| *peer).collect();
    let reports = bench.interleave(Budget::B10, "VERIFY 4 x 128", &all, |peer, _| {
        let entities = peers.iter().find(|(_, other)| other.pid() == peer.pid()).map_or(0, |(size, _)| *size);
        Plan { workload: Workload::VerifyMixed, entities, ..peer.plan() }
    })?;
    let costs: Vec<Sample> =
        reports.iter().map(|reports| sample(reports, server_ns)).collect::<Result<_, Failure>>()?;
    if let (Some(small), Some(large), Some(first)) = (costs.first(), costs.last(), sizes.first()) {
        let what = format!("server CPU per VERIFY 4 x 128, {} entities", bench.size().entities_large);
        let row = Row::new(Budget::B10, what, Unit::CpuNs, large.clone());
        let row = row.beside(format!("itself with {first}"), small.clone());
        bench.book.row(row.ratio_goal(Goal::AtMost(1.5)));
    }
    let points = sizes.iter().zip(costs).map(|(size, y)| Point { x: float64(*size), y }).collect();
    let (who, target) = ("repsec, 1 shard".to_owned(), large.target);
    bench.book.curves.push(Curve { plot: Plot::Growth, who, target, points });
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
        bench.wait_for_quiet()?;
        bench.news(&format!("{} start to first answer, round {round} of {rounds}", Budget::B7));
        replay::warm(data)?;
        let began = Instant::now();
        let peer = Peer::repsec(data, 1)?;
        Asker::new(&peer)?.must(&json!({ "command": "VERIFY", "entity": name }))?;
        seconds.push(began.elapsed().as_secs_f64());
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
        bench.wait_for_quiet()?;
        bench.news(&format!("{} {audits} AUDITs, round {round} of {rounds}", Budget::B8));
        let mut latencies_us = Vec::with_capacity(audits);
        for _ in 0..audits {
            let (line, us) = asker.ask(&question)?;
            if !line.contains("\"status\":200") {
                return Err(Failure::peer(&peer.name, "refused an AUDIT in between"));
            }
            bytes = line.len();
            latencies_us.push(us);
        }
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
