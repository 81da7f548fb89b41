//! Short runs against real servers: our echo server in a thread, and a RepSec server in a process of its own.
//!
//! What is asserted is counts and answers, never speed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::{env, thread};

use repsec::config::{self, Overrides};
use repsec::server::make_development;
use repsec_load::echo::{self, Echo};
use repsec_load::{Extent, Hold, Keys, LoadError, Pace, Plan, Report, Target, Workload, hold, run, run_with};
use tempfile::TempDir;

/// An echo server that ends with the test's process.
struct EchoServer {
    address: SocketAddr,
    directory: TempDir,
}

impl EchoServer {
    fn start() -> EchoServer {
        let directory = TempDir::new().unwrap();
        let certificates = make_development(directory.path()).unwrap();
        let (ready, is_ready) = mpsc::channel();
        let listen = "127.0.0.1:0".parse().unwrap();
        thread::spawn(move || {
            let echo = Echo { listen, certificates, core: 0 };
            let ended = echo::serve(&echo, |address| ready.send(address).unwrap());
            panic!("the echo server ended: {ended:?}");
        });
        EchoServer { address: is_ready.recv().unwrap(), directory }
    }

    fn plan(&self, target: Target) -> Plan {
        short(Plan::new(target, self.address, self.directory.path().join("tls/ca.pem")))
    }
}

fn short(plan: Plan) -> Plan {
    let (connections, in_flight, extent) = (3, 8, Extent::Commands(500));
    Plan { connections, in_flight, extent, warmup_s: 0.0, entities: 1000, names_per_message: 10, ..plan }
}

fn answers(report: &Report) -> Vec<(&str, u64)> {
    report.answers.iter().map(|(what, count)| (what.as_str(), *count)).collect()
}

#[test]
fn every_workload_is_echoed() {
    let server = EchoServer::start();
    for workload in [
        Workload::VerifyHit,
        Workload::VerifyMiss,
        Workload::VerifyMixed,
        Workload::Bulk,
        Workload::Register,
        Workload::Remove,
        Workload::Day,
        Workload::Ping,
    ] {
        let first = if workload == Workload::Remove { 0 } else { 1000 };
        let plan = Plan { workload, first, ids: true, keys: Keys::Zipf, ..server.plan(Target::Echo) };
        let report = run(&plan).unwrap();
        assert_eq!((report.commands, report.latency.samples), (500, 500), "{workload:?}");
        assert_eq!(answers(&report), [("same", 500)], "{workload:?}");
        assert_eq!(report.names, if workload == Workload::Bulk { 5000 } else { 500 });
        assert_eq!(report.plan, plan);
        assert!(report.cipher_suite.starts_with("TLS13_"), "{}", report.cipher_suite);
    }
}

/// Each command that the schedule has in the window has its latency, however the connections are dealt out and whether
/// or not there is room for it in flight when it is due.
#[test]
fn an_open_loop_omits_nothing() {
    let server = EchoServer::start();
    for (connections, workers, in_flight) in [(1, 1, 1), (7, 3, 2)] {
        let plan = Plan {
            connections,
            workers,
            in_flight,
            pace: Pace::PerSecond(2000),
            extent: Extent::Seconds(0.3),
            warmup_s: 0.1,
            ..server.plan(Target::Echo)
        };
        let report = run(&plan).unwrap();
        assert_eq!((report.latency.samples, report.unanswered), (600, 0), "{connections} connections");
        assert_eq!(report.lag.unwrap().samples, 600);
    }
}

/// A window ends when there is nothing left to remove.
#[test]
fn what_runs_out_ends_the_run() {
    let server = EchoServer::start();
    let (first, extent) = (900, Extent::Seconds(600.0));
    for pace in [Pace::Max, Pace::PerSecond(10_000)] {
        let plan = Plan { workload: Workload::Remove, first, extent, pace, ..server.plan(Target::Echo) };
        let report = run(&plan).unwrap();
        assert_eq!((report.commands, report.next_first), (100, 1000));
        assert!(report.seconds < 600.0);
    }
}

#[test]
fn a_wrong_answer_ends_the_run_and_is_shown() {
    let server = EchoServer::start();
    for target in [Target::RepSec, Target::Redis] {
        match run(&server.plan(target)) {
            Err(LoadError::Wrong(wrong)) => {
                assert_eq!(wrong.number, 0);
                assert!(wrong.asked.starts_with(&wrong.came), "an echo is no answer: {wrong}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_is_not_trusted_is_not_measured() {
    let (server, other) = (EchoServer::start(), EchoServer::start());
    let stranger = Plan { ca: other.plan(Target::Echo).ca, ..server.plan(Target::Echo) };
    assert!(matches!(run(&stranger), Err(LoadError::Connect { open: 0, .. })));
    let another_name = Plan { server_name: "example.com".to_owned(), ..server.plan(Target::Echo) };
    assert!(matches!(run(&another_name), Err(LoadError::Connect { open: 0, .. })));
    let no_authority = Plan { ca: PathBuf::from("/nonexistent/ca.pem"), ..server.plan(Target::Echo) };
    assert!(matches!(run(&no_authority), Err(LoadError::Authority { .. })));
}

/// Makes this test's executable a RepSec server, in the process that [`RepSecServer::start`] starts. The server waits for
/// signals and prints on standard output, so it needs a process of its own; the program `repsec` is another package's.
#[test]
fn the_server_process() {
    let Some(data) = env::var_os(SERVER_DATA) else { return };
    let listen = "127.0.0.1:0".parse().unwrap();
    let overrides = Overrides {
        data: Some(PathBuf::from(&data)),
        listen: Some(listen),
        shards: Some(2),
        development: true,
        ..Overrides::default()
    };
    let settings = config::load(None, &overrides, None).unwrap();
    repsec::server::run(settings).unwrap();
}

const SERVER_DATA: &str = "REPSEC_LOAD_TEST_SERVER_DATA";

/// A RepSec server with an empty store.
struct RepSecServer {
    process: Child,
    address: SocketAddr,
    directory: TempDir,
}

impl RepSecServer {
    fn start() -> RepSecServer {
        let directory = TempDir::new().unwrap();
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "the_server_process", "--nocapture"])
            .env(SERVER_DATA, directory.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| Some(line.ok()?.split_once("listening on ")?.1.parse().unwrap()));
        // What else it prints must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        RepSecServer { process, address: address.expect("a server that says where it listens"), directory }
    }

    fn authority(&self) -> PathBuf {
        Path::new(self.directory.path()).join("tls/ca.pem")
    }

    fn plan(&self) -> Plan {
        Plan { pid: Some(self.process.id()), ..short(Plan::new(Target::RepSec, self.address, self.authority())) }
    }
}

impl Drop for RepSecServer {
    fn drop(&mut self) {
        // Its store is thrown away with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_repsec_server_answers_every_workload_rightly() {
    let server = RepSecServer::start();
    let filled = run(&Plan::fill(Target::RepSec, server.address, server.authority(), 1000)).unwrap();
    assert_eq!((filled.commands, filled.next_first), (1000, 1000));
    assert_eq!(answers(&filled), [("200", 1000)]);

    let told = |report: &Report, what: &str| report.answers.get(what).copied().unwrap_or_default();
    for (workload, first, ids) in [
        (Workload::VerifyHit, 0, false),
        (Workload::VerifyMiss, 0, true),
        (Workload::VerifyMixed, 0, true),
        (Workload::Bulk, 0, false),
        (Workload::Register, 1000, true),
        (Workload::Day, 2000, false),
        (Workload::Ping, 0, false),
        (Workload::Remove, 400, true),
    ] {
        let plan = Plan { workload, first, ids, bulk_hits_percent: 40, ..server.plan() };
        let report = run(&plan).unwrap();
        assert_eq!(report.commands, 500, "{workload:?}");
        let registered = match workload {
            Workload::VerifyMiss => 0..1,
            Workload::VerifyMixed | Workload::Day => 150..350,
            _ => 500..501,
        };
        assert!(registered.contains(&told(&report, "200")), "{workload:?}: {:?}", report.answers);
        assert_eq!(told(&report, "200") + told(&report, "404"), 500, "{workload:?}: {:?}", report.answers);
        let measured = report.server.unwrap();
        assert!(measured.rss_bytes > 0 && measured.cost.cpu_ns > 0, "{measured:?}");
    }

    let held = hold(&Hold { seconds: 0.0, ..hold_plan(&server) }).unwrap();
    assert!(held.after.rss_bytes > 0 && held.cpu_ns_per_connection > 0.0, "{held:?}");

    // Entities 400 to 899 are gone, and asking for them as if they were there is a wrong answer.
    let gone = |workload| Plan { workload, first: 400, ..server.plan() };
    assert!(matches!(run(&gone(Workload::VerifyHit)), Err(LoadError::Wrong(_))));
    assert!(matches!(run(&gone(Workload::Remove)), Err(LoadError::Wrong(_))));
    // And what stands already cannot be registered.
    let again = Plan { first: 0, ..gone(Workload::Register) };
    match run(&again) {
        Err(LoadError::Wrong(wrong)) => assert!(wrong.why.contains("409"), "{wrong}"),
        other => panic!("{other:?}"),
    }
}

fn hold_plan(server: &RepSecServer) -> Hold {
    Hold::new(Target::RepSec, server.address, server.authority(), 20, server.process.id())
}

#[test]
fn a_server_that_goes_away_ends_the_run() {
    let mut server = RepSecServer::start();
    let plan = Plan { workload: Workload::Ping, extent: Extent::Seconds(600.0), pid: None, ..server.plan() };
    let ended = run_with(&plan, &mut |progress| {
        if progress.answered > 0 {
            server.process.kill().unwrap();
        }
    });
    assert!(matches!(ended, Err(LoadError::Ended { .. })), "{ended:?}");
    assert!(matches!(run(&plan), Err(LoadError::Connect { open: 0, .. })));
}
