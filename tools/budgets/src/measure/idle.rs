//! B9: connections that are open and do nothing.

use repsec_load::{Hold, hold};

use crate::bench::{Bench, sample_of};
use crate::budget::{Budget, Goal};
use crate::failure::Failure;
use crate::peer::{Keep, Peer};
use crate::row::Row;
use crate::unit::Unit;

/// Measures B9.
///
/// # Errors
/// When a server or the client fails.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let scratch = &bench.scratch;
    let connections = bench.size().idle_connections;
    let mut each = Vec::new();
    for which in ["repsec", "redis"] {
        let directory = scratch.directory(&format!("idle-{which}"))?;
        let peer = match which {
            "repsec" => Peer::repsec(&directory, 1)?,
            _ => Peer::redis(&directory, &bench.certificates, Keep::Nothing)?,
        };
        bench.news(&format!("{} holding {connections} idle connections: {}", Budget::B9, peer.name));
        let report = hold(&Hold::new(peer.target, peer.address, &peer.ca, connections, peer.pid()))
            .map_err(Failure::load(format!("holding connections of {}", peer.name)))?;
        each.push(sample_of(vec![report.rss_bytes_per_connection])?);
    }
    let [ours, redis] = each.as_slice() else { return Ok(()) };
    let row =
        Row::new(Budget::B9, format!("memory of each of {connections} idle connections"), Unit::Bytes, ours.clone());
    bench.book.row(row.beside("redis", redis.clone()).own_goal(Goal::AtMost(24.0 * 1024.0)));
    bench.book.note(
        Budget::B9,
        "Resident memory of the process; what the kernel holds for sockets and rings is not in it. One round.",
    );
    Ok(())
}
