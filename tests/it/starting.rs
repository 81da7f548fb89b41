//! What a server does before it is ready (`repsec:O15`).

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Client, Home, PATIENCE, Setup, Trust, data_file, drivers, run};

/// Starts that may go by too fast to be caught in the act.
const STARTS_MAX: usize = 20;

#[test]
fn ping_is_answered_while_the_log_is_replayed() {
    const FILE: &str = "ipsum-2026-08-22.txt";
    let home = Home::new();
    let mut server = Setup::new(drivers()[0], 2).start_in(&home);
    let summary = server.run(&["import", data_file(FILE).to_str().unwrap(), "--json"]).ended(0).value();
    let known = summary["new"].as_u64().unwrap();
    assert!(known > 100_000, "{summary}");
    server.kill();
    let trust = Trust::file(&home.authority());
    for io in drivers() {
        let setup = Setup::new(io, 2);
        let caught = (0..STARTS_MAX).any(|_| {
            let starting = setup.begin_in(&home);
            let mut client = Client::connect_with(starting.listens(), &trust).unwrap();
            // A question to the store waits for the state; what is asked before it does not.
            client.send(
                "{\"command\":\"PING\",\"id\":1}\n{\"command\":\"VERIFY\",\"entity\":\"nobody.example\",\"id\":2}\n",
            );
            assert_eq!(client.answer()["id"], 1);
            let early = !starting.is_ready();
            let mut server = starting.finish();
            let answer = client.answer();
            assert_eq!((&answer["id"], &answer["status"]), (&json!(2), &json!(404)));
            let next = client.ask(json!({"command": "CAPABILITIES", "id": 3}));
            assert_eq!(next["id"], 3);
            server.kill();
            early
        });
        assert!(caught, "no PING was ever answered before the server was ready");
    }
    assert_eq!(home.verified_events(), known);
    assert_eq!(run(&["log", "stat", "--data", home.data().to_str().unwrap()]).ended(0).stderr, "");
}

#[test]
fn a_stop_before_it_is_ready_is_a_stop() {
    let home = Home::new();
    Setup::new("epoll", 1).start_in(&home).terminate();
    for io in drivers() {
        let starting = Setup::new(io, 2).begin_in(&home);
        starting.listens();
        assert_eq!(starting.terminate(), 0);
    }
}

/// The cores on which the thread in this folder of `/proc` may run; `None` if it has ended.
fn cores_of(thread: &str) -> Option<Vec<usize>> {
    let status = fs::read_to_string(format!("{thread}/status")).ok()?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let ranges = list.split(',').map(|range| range.split_once('-').unwrap_or((range, range)));
    Some(ranges.flat_map(|(from, to)| from.parse().unwrap()..=to.parse().unwrap()).collect())
}

/// The cores on which each thread of a process may run, by the thread's name, but for the first thread.
fn cores_by_thread(process: u32) -> Vec<(String, Vec<usize>)> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let numbers = threads.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let cores = |number: String| {
        let thread = format!("/proc/{process}/task/{number}");
        Some((fs::read_to_string(format!("{thread}/comm")).ok()?.trim().to_owned(), cores_of(&thread)?))
    };
    numbers.filter(|number| *number != process.to_string()).filter_map(cores).collect()
}

/// Those threads once the committer is among them. A thread gives itself its name when it first runs, and on a busy
/// machine that is later than when the server is ready.
fn threads_with_committer(process: u32) -> Vec<(String, Vec<usize>)> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let threads = cores_by_thread(process);
        if threads.iter().any(|(name, _)| name == "committer") {
            return threads;
        }
        assert!(Instant::now() < deadline, "no committer: {threads:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn threads_beside_the_loops_keep_off_their_cores_where_there_are_others() {
    // Not what a container grants of their time, which may be less.
    let cores = cores_of("/proc/self").unwrap().len();
    for shards in [1, cores] {
        let server = Setup::new(drivers()[0], shards).start();
        let threads = threads_with_committer(server.process());
        let (loops, beside): (Vec<_>, Vec<_>) = threads.into_iter().partition(|(name, _)| name.starts_with("shard-"));
        assert_eq!(loops.len(), shards);
        let taken: BTreeSet<usize> = loops.iter().flat_map(|(_, cores)| cores.clone()).collect();
        assert_eq!(taken.len(), shards, "each loop has a core of its own: {loops:?}");
        for (name, theirs) in beside {
            let shared = theirs.iter().filter(|core| taken.contains(core)).count();
            assert_eq!(
                shared,
                if shards < cores { 0 } else { shards },
                "{name} may run on {theirs:?}, loops on {taken:?}"
            );
        }
    }
}

/// Whether the system makes huge pages for whoever asks.
fn huge_pages_are_made() -> bool {
    fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").is_ok_and(|setting| !setting.contains("[never]"))
}

/// Bytes of a process that are to lie in huge pages.
fn bytes_in_huge_pages(process: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{process}/smaps")).unwrap();
    let mut bytes = 0;
    let mut of_this = 0;
    for line in maps.lines() {
        if let Some(size) = line.strip_prefix("Size:") {
            of_this = size.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024;
        } else if line.strip_prefix("VmFlags:").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hg")) {
            bytes += of_this;
        }
    }
    bytes
}

/// What the tables have filled goes there while the server runs, without a core that makes a huge page itself, and again
/// after the next start.
#[test]
fn tables_move_to_huge_pages() {
    const FILE: &str = "ipsum-2026-08-22.txt";
    if !huge_pages_are_made() {
        eprintln!("the system makes no huge pages: nothing moves, which is not seen here");
        return;
    }
    let home = Home::new();
    let wait_for_huge_pages = |process: u32| {
        let deadline = Instant::now() + PATIENCE;
        // Each shard has more than 50,000 entities of 40 bytes, and an index of two MiB.
        while bytes_in_huge_pages(process) < 4 * (2 << 20) {
            assert!(Instant::now() < deadline, "{} bytes have moved", bytes_in_huge_pages(process));
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let setup = Setup::new(drivers()[0], 2);
    let mut server = setup.start_in(&home);
    assert_eq!(bytes_in_huge_pages(server.process()), 0, "nothing is there that could move");
    server.run(&["import", data_file(FILE).to_str().unwrap(), "--json"]).ended(0);
    wait_for_huge_pages(server.process());
    server.kill();
    let server = setup.start_in(&home);
    wait_for_huge_pages(server.process());
    let priority = |name: &str| {
        let threads = fs::read_dir(format!("/proc/{}/task", server.process())).unwrap();
        let stat = |entry: std::io::Result<fs::DirEntry>| fs::read_to_string(entry.unwrap().path().join("stat")).ok();
        let stat = threads.filter_map(stat).find(|stat| stat.contains(&format!("({name})"))).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(16).unwrap().to_owned()
    };
    assert_eq!((priority("pages"), priority("committer")), ("19".to_owned(), "0".to_owned()));
}
