//! B9: connections that are open and do nothing.

use repsec_load::{Hold, hold};

use crate::bench::{Bench, sample_of};
use crate::budget::{Budget, Goal};
use crate::failure::Failure;
use crate::peer::{Keep, Peer};
use crate::row::Row;
use crate::statistics::Sample;
use crate::unit::Unit;

/// Measures B9.
///
/// # Errors
/// Never: what fails is told in the book.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    bench.attempt(Budget::B9, connections);
    Ok(())
}

fn connections(bench: &mut Bench) -> Result<(), Failure> {
    let ours = Peer::repsec(&bench.scratch.directory("idle-repsec")?, 1)?;
    let ours = each(bench, ours)?;
    let connections = bench.size().idle_connections;
    let what = format!("memory of each of {connections} idle connections");
    let row = Row::new(Budget::B9, what, Unit::Bytes, ours);
    // The goal is about our number alone: without Redis there is a row all the same.
    let redis = Peer::redis(&bench.scratch.directory("idle-redis")?, &bench.certificates, Keep::Nothing)
        .and_then(|redis| each(bench, redis));
    let (row, redis) = match redis {
        Ok(sample) => (row.beside("redis", sample), Ok(())),
        Err(failure) => (row, Err(failure)),
    };
    bench.book.row(row.own_goal(Goal::AtMost(24.0 * 1024.0)));
    bench.book.note(
        Budget::B9,
        "Resident memory of the process; what the kernel holds for sockets and rings is not in it. One round.",
    );
    redis
}

/// Bytes that a server gained for each connection.
fn each(bench: &mut Bench, peer: Peer) -> Result<Sample, Failure> {
    let connections = bench.size().idle_connections;
    bench.news(&format!("{} holding {connections} idle connections: {}", Budget::B9, peer.name));
    let held = || {
        hold(&Hold::new(peer.target, peer.address, &peer.ca, connections, peer.pid()))
            .map_err(Failure::load(format!("holding connections of {}", peer.name)))
    };
    let report = bench.quietly(Budget::B9, &[&peer], held, |_| None)?;
    peer.end()?;
    sample_of(vec![report.rss_bytes_per_connection])
}
