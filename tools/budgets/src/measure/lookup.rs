//! B1, B2 and B3: lookups among a million entities, beside Redis and an echo server.

use repsec_load::report::Latency;
use repsec_load::{Pace, Plan, Report, Workload};

use crate::bench::{Bench, per_second, sample, sample_of, server_ns, server_ns_per_name};
use crate::book::{Curve, Plot, Point};
use crate::budget::{Budget, Goal};
use crate::failure::Failure;
use crate::peer::{Keep, Peer};
use crate::row::Row;
use crate::statistics::{Sample, float};
use crate::unit::Unit;

/// Connections and commands in flight on each, of B1 and of its neighbours.
const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 128;
/// Commands in flight on each connection that the plot of throughput adds.
const SWEEP: [usize; 3] = [1, 8, 32];
/// Connections of B2, with one command in flight each.
const CROWD: usize = 64;
/// Names in a message of B3.
const BULK_NAMES: usize = 1000;

/// The servers, all loaded with the same names, all up at the same time.
struct Servers {
    /// With one shard: like Redis and the echo server it has one event loop, and leaves the other core to the client.
    ours: Peer,
    /// With two.
    ours_two: Peer,
    redis: Peer,
    echo: Peer,
}

/// Measures those of B1, B2 and B3 that are wanted.
///
/// # Errors
/// When a server or the client fails.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let servers = Servers::start(bench)?;
    bench.attempt(Budget::B1, |bench| cost(bench, &servers));
    bench.attempt(Budget::B2, |bench| crowd(bench, &servers));
    bench.attempt(Budget::B3, |bench| bulk(bench, &servers));
    Ok(())
}

impl Servers {
    fn start(bench: &mut Bench) -> Result<Servers, Failure> {
        let scratch = &bench.scratch;
        let servers = Servers {
            ours: Peer::repsec(&scratch.directory("lookup-1")?, 1)?,
            ours_two: Peer::repsec(&scratch.directory("lookup-2")?, 2)?,
            redis: Peer::redis(&scratch.directory("lookup-redis")?, &bench.certificates, Keep::Nothing)?,
            echo: Peer::echo(scratch.path(), &bench.certificates)?,
        };
        let entities = bench.size().entities;
        for peer in [&servers.ours, &servers.ours_two, &servers.redis] {
            bench.fill(peer, entities)?;
        }
        Ok(servers)
    }

    fn all(&self) -> [&Peer; 4] {
        [&self.ours, &self.ours_two, &self.redis, &self.echo]
    }
}

/// The reports of the four servers, in the order of [`Servers::all`].
fn four(reports: Vec<Vec<Report>>) -> Result<[Vec<Report>; 4], Failure> {
    reports.try_into().map_err(|_| Failure::Result("a server is missing among the reports".to_owned()))
}

fn cost(bench: &mut Bench, servers: &Servers) -> Result<(), Failure> {
    let entities = bench.size().entities;
    let plan = |peer: &Peer, in_flight| Plan {
        workload: Workload::VerifyMixed,
        entities,
        connections: CONNECTIONS,
        in_flight,
        ..peer.plan()
    };
    let what = format!("VERIFY {CONNECTIONS} x {IN_FLIGHT}");
    let reports = bench.interleave(Budget::B1, &what, &servers.all(), |peer, _| plan(peer, IN_FLIGHT))?;
    let [ours, ours_two, redis, echo] = four(reports)?;
    for (ours, shards, decides) in [(&ours, "1 shard", true), (&ours_two, "2 shards", false)] {
        let row = || -> Result<Row, Failure> {
            let what = format!("server CPU per {what}, {shards}");
            Ok(Row::new(Budget::B1, what, Unit::CpuNs, sample(ours, server_ns)?).decides(decides))
        };
        bench.book.row(row()?.beside("redis GET", sample(&redis, server_ns)?).ratio_goal(Goal::AtMost(0.35)));
        bench.book.row(row()?.beside("TLS echo", sample(&echo, server_ns)?).ratio_goal(Goal::AtMost(1.7)));
    }

    let note = "Half of the names are registered, each asked for as often as any other. Redis answers a hit with 69 bytes of value, \
                RepSec with a line of JSON; the echo sends the question back. CPU is that of all threads of a server, of the \
                kernel for it too.";
    bench.book.note(Budget::B1, note);

    let mut curves: Vec<(&Peer, Vec<Point>)> = servers.all().map(|peer| (peer, Vec::new())).to_vec();
    for in_flight in SWEEP {
        let what = format!("VERIFY {CONNECTIONS} x {in_flight} (for the plot)");
        let reports = bench.interleave_briefly(Budget::B1, &what, &servers.all(), |peer, _| plan(peer, in_flight))?;
        for ((_, points), reports) in curves.iter_mut().zip(&reports) {
            points.push(Point { x: float(CONNECTIONS * in_flight), y: sample(reports, per_second)? });
        }
    }
    for ((peer, mut points), reports) in curves.into_iter().zip([ours, ours_two, redis, echo]) {
        points.push(Point { x: float(CONNECTIONS * IN_FLIGHT), y: sample(&reports, per_second)? });
        bench.book.curves.push(Curve { plot: Plot::Throughput, who: peer.name.clone(), target: peer.target, points });
    }
    Ok(())
}

fn crowd(bench: &mut Bench, servers: &Servers) -> Result<(), Failure> {
    let entities = bench.size().entities;
    let plan = |peer: &Peer, pace| Plan {
        workload: Workload::VerifyMixed,
        entities,
        connections: CROWD,
        in_flight: 1,
        pace,
        ..peer.plan()
    };
    let peers = [&servers.ours, &servers.ours_two, &servers.redis];
    let three = |reports: Vec<Vec<Report>>| -> Result<[Vec<Report>; 3], Failure> {
        reports.try_into().map_err(|_| Failure::Result("a server is missing among the reports".to_owned()))
    };
    let what = format!("VERIFY {CROWD} x 1");
    let full = bench.interleave(Budget::B2, &what, &peers, |peer, _| plan(peer, Pace::Max))?;
    let [ours, ours_two, redis] = three(full)?;
    let rate = half(&sample(&redis, per_second)?);
    // The load itself differs from run to run, and does not belong into a name that runs are compared by.
    let what_half = format!("{what} at half load");
    let at_half = bench.interleave(Budget::B2, &what_half, &peers, |peer, _| plan(peer, Pace::PerSecond(rate.0)))?;
    let [ours_half, ours_two_half, redis_half] = three(at_half)?;

    let variants = [(&ours, &ours_half, "1 shard", true), (&ours_two, &ours_two_half, "2 shards", false)];
    for (ours, ours_half, shards, decides) in variants {
        let mut add = |what: String, unit, number: fn(&Report) -> f64, ours, redis, goal| -> Result<(), Failure> {
            let row = Row::new(Budget::B2, what, unit, sample(ours, number)?).decides(decides);
            bench.book.row(row.beside("redis GET", sample(redis, number)?).ratio_goal(goal));
            Ok(())
        };
        let named = |what: &str| format!("{what}, {shards}");
        add(named(&what), Unit::PerSecond, per_second, ours, &redis, Goal::AtLeast(1.4))?;
        add(named(&format!("server CPU per {what}")), Unit::CpuNs, server_ns, ours, &redis, Goal::AtMost(0.5))?;
        let p999 = |report: &Report| report.latency.p999_us;
        add(named(&format!("p99.9 of {what_half}")), Unit::LatencyUs, p999, ours_half, &redis_half, Goal::AtMost(1.0))?;
    }
    bench.book.note(
        Budget::B2,
        format!(
            "Half load is half of what Redis had at full load, here {}, the same for all, on an even schedule; latency \
             counts from when a command was due.",
            Unit::PerSecond.text(rate.1),
        ),
    );
    bench.book.note_client(Budget::B2);
    for (peer, reports) in peers.iter().zip([&ours_half, &ours_two_half, &redis_half]) {
        let points = latencies(reports)?;
        let (who, target) = (peer.name.clone(), peer.target);
        bench.book.curves.push(Curve { plot: Plot::Latency, who, target, points });
    }
    Ok(())
}

/// Half of a throughput: as a rate, and as a number.
fn half(full: &Sample) -> (u64, f64) {
    let rate = (full.median / 2.0).max(1.0).round();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "commands per second, at least one")]
    let whole = rate as u64;
    (whole, rate)
}

/// One number of a distribution of latencies, in microseconds.
type Quantile = fn(&Latency) -> f64;

/// A curve of latency: over the number of nines that are below, from the median to 99.99 %.
fn latencies(reports: &[Report]) -> Result<Vec<Point>, Failure> {
    let quantiles: [(f64, Quantile); 5] = [
        (0.5, |latency| latency.p50_us),
        (0.9, |latency| latency.p90_us),
        (0.99, |latency| latency.p99_us),
        (0.999, |latency| latency.p999_us),
        (0.9999, |latency| latency.p9999_us),
    ];
    let point = |(share, number): (f64, Quantile)| {
        Ok(Point { x: share, y: sample_of(reports.iter().map(|report| number(&report.latency)).collect())? })
    };
    quantiles.into_iter().map(point).collect()
}

fn bulk(bench: &mut Bench, servers: &Servers) -> Result<(), Failure> {
    let entities = bench.size().entities;
    let plan = |peer: &Peer, _| Plan {
        workload: Workload::Bulk,
        entities,
        connections: CONNECTIONS,
        in_flight: 4,
        names_per_message: BULK_NAMES,
        bulk_hits_percent: 50,
        ..peer.plan()
    };
    let what = format!("bulk VERIFY of {BULK_NAMES} names");
    let peers = [&servers.ours, &servers.ours_two, &servers.echo];
    let reports = bench.interleave(Budget::B3, &what, &peers, plan)?;
    let mut samples = reports.iter().map(|reports| sample(reports, server_ns_per_name));
    let mut next = || samples.next().unwrap_or_else(|| sample_of(Vec::new()));
    let (ours, ours_two, echo) = (next()?, next()?, next()?);
    for (ours, shards, decides) in [(ours, "1 shard", true), (ours_two, "2 shards", false)] {
        let row = Row::new(Budget::B3, format!("server CPU per name, {what}, {shards}"), Unit::CpuNs, ours);
        bench.book.row(row.beside("TLS echo", echo.clone()).own_goal(Goal::AtMost(150.0)).decides(decides));
    }
    let note = "4 connections with 4 messages in flight each; half of the names are registered. The echo sends the \
                questions back, which are shorter than the answers.";
    bench.book.note(Budget::B3, note);
    Ok(())
}
