//! B10: what a VERIFY costs as entities grow, beside Redis with as many.

use repsec_load::{Plan, Target, Workload};

use crate::bench::{Bench, sample, server_ns};
use crate::book::{Curve, Plot, Point};
use crate::budget::{Budget, Goal};
use crate::failure::Failure;
use crate::peer::{Keep, Peer};
use crate::row::Row;
use crate::statistics::float64;
use crate::unit::Unit;

/// Measures B10. `large` and `redis` hold the most entities already; without that Redis there is no curve of Redis.
///
/// # Errors
/// When a server or the client fails.
pub fn measure(bench: &mut Bench, large: &Peer, redis: Option<&Peer>) -> Result<(), Failure> {
    let most = bench.size().entities_large;
    let mut smaller = Vec::new();
    for entities in bench.size().growth().into_iter().filter(|entities| *entities < most) {
        let ours = Peer::repsec(&bench.scratch.directory(&format!("growth-{entities}"))?, 1)?;
        smaller.push((entities, filled(bench, ours, entities)?));
        if redis.is_some() {
            let directory = bench.scratch.directory(&format!("growth-redis-{entities}"))?;
            let theirs = Peer::redis(&directory, &bench.certificates, Keep::Nothing)?;
            smaller.push((entities, filled(bench, theirs, entities)?));
        }
    }
    let largest = [Some(large), redis].into_iter().flatten().map(|peer| (most, peer));
    let servers: Vec<(u64, &Peer)> = smaller.iter().map(|(entities, peer)| (*entities, peer)).chain(largest).collect();
    let peers: Vec<&Peer> = servers.iter().map(|(_, peer)| *peer).collect();
    let reports = bench.interleave(Budget::B10, "VERIFY 4 x 128", &peers, |peer, _| {
        let entities = servers.iter().find(|(_, other)| other.pid() == peer.pid()).map_or(0, |(entities, _)| *entities);
        Plan { workload: Workload::VerifyMixed, entities, ..peer.plan() }
    })?;
    let mut curves = Vec::new();
    for (target, who) in [(Target::RepSec, "repsec, 1 shard"), (Target::Redis, "redis GET")] {
        let mut points = Vec::new();
        for ((entities, _), reports) in servers.iter().zip(&reports).filter(|((_, peer), _)| peer.target == target) {
            points.push(Point { x: float64(*entities), y: sample(reports, server_ns)? });
        }
        if !points.is_empty() {
            curves.push(Curve { plot: Plot::Growth, who: who.to_owned(), target, points });
        }
    }
    rows(bench, &curves);
    bench.book.curves.extend(curves);
    Ok(())
}

fn filled(bench: &mut Bench, mut peer: Peer, entities: u64) -> Result<Peer, Failure> {
    bench.fill(&peer, entities)?;
    peer.name = format!("{}, {entities} entities", peer.name);
    Ok(peer)
}

/// The lines of the table: ours with the most beside ours with the fewest, which decides, and beside Redis.
fn rows(bench: &mut Bench, curves: &[Curve]) {
    let ends = |target: Target| {
        let points = &curves.iter().find(|curve| curve.target == target)?.points;
        Some((points.first()?, points.last()?))
    };
    let Some((fewest, most)) = ends(Target::RepSec) else { return };
    let what = format!("server CPU per VERIFY 4 x 128, {} entities", most.x);
    let row = || Row::new(Budget::B10, what.clone(), Unit::CpuNs, most.y.clone());
    let itself = row().beside(format!("itself with {}", fewest.x), fewest.y.clone());
    bench.book.row(itself.ratio_goal(Goal::AtMost(1.5)));
    if let Some((redis_fewest, redis_most)) = ends(Target::Redis) {
        bench.book.row(row().beside("redis GET with as many", redis_most.y.clone()).decides(false));
        let [few, many] = [redis_fewest, redis_most].map(|point| Unit::CpuNs.sample_text(&point.y));
        let note = format!("Redis itself: {few} with {} entities, {many} with {}.", redis_fewest.x, redis_most.x);
        bench.book.note(Budget::B10, note);
    }
}
