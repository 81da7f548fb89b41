//! B4: changes that are on disk before they are answered, beside a Redis that syncs its file before each answer.

use repsec_load::{Plan, Workload};

use crate::bench::{Bench, per_second, sample};
use crate::budget::{Budget, Goal};
use crate::failure::Failure;
use crate::peer::{Keep, Peer};
use crate::row::Row;
use crate::unit::Unit;

/// Connections, commands in flight on each, and what ratio is the goal.
const LOADS: [(usize, usize, f64); 2] = [(50, 128, 2.0), (200, 1, 1.5)];
/// From the first name of one measurement to the first of the next: more than any server takes in a window.
const NAMES_APART: u64 = 1 << 32;

/// Measures B4.
///
/// # Errors
/// When a server or the client fails.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let scratch = &bench.scratch;
    let ours = Peer::repsec(&scratch.directory("durable-1")?, 1)?;
    let ours_two = Peer::repsec(&scratch.directory("durable-2")?, 2)?;
    let redis = Peer::redis(&scratch.directory("durable-redis")?, &bench.certificates, Keep::Always)?;
    let echo = Peer::echo(scratch.path(), &bench.certificates)?;
    let peers = [&ours, &ours_two, &redis, &echo];
    bench.attempt(Budget::B4, |bench| changes(bench, &peers));
    Ok(())
}

fn changes(bench: &mut Bench, peers: &[&Peer]) -> Result<(), Failure> {
    let mut first = 0;
    for (connections, in_flight, goal) in LOADS {
        let what = format!("durable REGISTER {connections} x {in_flight}");
        let reports = bench.interleave(Budget::B4, &what, peers, |peer, _| {
            first += NAMES_APART;
            Plan { workload: Workload::Register, first, connections, in_flight, nonces: true, ..peer.plan() }
        })?;
        let [ours, ours_two, redis, echo] = reports.as_slice() else { continue };
        for (ours, shards, decides) in [(ours, "1 shard", true), (ours_two, "2 shards", false)] {
            let row = Row::new(Budget::B4, format!("{what}, {shards}"), Unit::PerSecond, sample(ours, per_second)?);
            let row = row.beside("redis SET, AOF always", sample(redis, per_second)?);
            bench.book.row(row.ratio_goal(Goal::AtLeast(goal)).decides(decides));
        }
        // What the event loop, TLS and the client allow at all: no goal is reached that the echo does not reach.
        let row = Row::new(Budget::B4, format!("{what}, 1 shard"), Unit::PerSecond, sample(ours, per_second)?);
        let row = row.beside("echo, which keeps nothing", sample(echo, per_second)?);
        bench.book.row(row.decides(false));
    }
    let note = "New names in each round, each with 69 bytes of attributes; RepSec also takes a time and a nonce with each, \
                and remembers the nonce. Redis does not rewrite its file meanwhile.";
    bench.book.note(Budget::B4, note);
    bench.book.note_client(Budget::B4);
    Ok(())
}
