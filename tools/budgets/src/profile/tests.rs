//! Laws of breakdowns, and a profile that was made up.

use proptest::prelude::*;

use super::parts::Place;
use super::*;
use crate::results::made_up;
use crate::settings::Size;

fn place(thread: &str, object: &str, symbol: &str) -> Place {
    Place { thread: thread.to_owned(), symbol: symbol.to_owned(), object: object.to_owned() }
}

fn samples(counts: &[(&str, &str, &str, u64)]) -> Samples {
    let mut samples = Samples::default();
    for (at, (thread, object, symbol, count)) in (0..).zip(counts) {
        samples.counts.insert((place(thread, object, symbol), at), *count);
    }
    samples
}

fn breakdown(counts: &[(&str, &str, &str, u64)]) -> Breakdown {
    Breakdown::of("VERIFY 4 x 128".to_owned(), 500.0, 520.0, &samples(counts), |_| &[]).unwrap()
}

proptest! {
    /// Nothing is lost and nothing is added: the parts, and the threads, are all of what a command costs.
    #[test]
    fn parts_are_the_whole(counts in proptest::collection::vec((0_usize..3, 0_usize..6, 1_u64..1000), 1..40), cpu_ns in 1.0_f64..1e5) {
        let threads = ["shard-0", "committer", "rocksdb:low1"];
        let symbols = ["tcp_recvmsg", "memcpy", "repsec::engine::step", "[unknown]", "rocksdb::DB", "strange"];
        let mut samples = Samples::default();
        for (at, (thread, symbol, count)) in (0..).zip(&counts) {
            samples.counts.insert((place(threads[*thread], "x", symbols[*symbol]), at), *count);
        }
        let found = Breakdown::of(String::new(), cpu_ns, cpu_ns, &samples, |_| &[]).unwrap();
        let parts: f64 = found.parts().into_iter().map(|part| found.ns(part, None)).sum();
        let threads: f64 = found.threads().into_iter().map(|(_, ns)| ns).sum();
        prop_assert!((parts / cpu_ns - 1.0).abs() < 1e-9 && (threads / cpu_ns - 1.0).abs() < 1e-9);
        prop_assert_eq!(found.samples, counts.iter().map(|(_, _, count)| count).sum::<u64>());
    }
}

#[test]
fn threads_of_a_kind_are_one() {
    let found =
        breakdown(&[("shard-0", "x", "memcpy", 30), ("shard-1", "x", "memcpy", 20), ("rocksdb:low0", "x", "f", 50)]);
    assert_eq!(found.threads(), [("rocksdb:low", 250.0), ("shard", 250.0)]);
    assert_eq!(found.ns(Part::Copies, Some("shard")), 250.0);
    assert!(Breakdown::of(String::new(), 1.0, 1.0, &Samples::default(), |_| &[]).is_none());
    assert_eq!(kind("42"), "42");
}

#[test]
fn a_profile_is_written() {
    let run = made_up(Size::full());
    let counts = [
        ("shard-0", "[kernel.kallsyms]", "tcp_recvmsg", 400),
        ("shard-0", "repsec", "repsec::wire::flat::read", 300),
        ("committer", "repsec", "[unknown]", 200),
        ("rocksdb:low0", "repsec", "<strange & rare>", 100),
    ];
    let profile = Profile {
        date: "2026-01-01".to_owned(),
        machine: run.machine,
        versions: run.versions,
        breakdowns: vec![breakdown(&counts)],
    };
    let directory = tempfile::tempdir().unwrap();
    profile.write(directory.path()).unwrap();
    let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(serde_json::from_str::<Profile>(&read("profile.json")).unwrap(), profile);
    let text = read("profile.txt");
    for expected in [
        "500 ns of server CPU each",
        "reading the message",
        "150.0",
        "30.0 %",
        "not resolved",
        "<strange & rare> (repsec)",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    let svg = read("profile-verify.svg");
    let picture = roxmltree::Document::parse(&svg).unwrap();
    let texts: Vec<&str> = picture.descendants().filter_map(|node| node.text()).map(str::trim).collect();
    // What is not resolved is in the picture like everything else, with its nanoseconds and its share.
    for expected in ["kernel: sockets and ring", "not resolved", "100 ns", "20.0 %", "shard", "rocksdb:low"] {
        assert!(texts.contains(&expected), "{expected} is not among {texts:?}");
    }
}
