//! How long does it take to find where messages end in a stream, for each way in which a peer may lay it out?
//!
//! Workload: the first 1,000 changes of a real list as messages of about 140 bytes. "one a line": as our client sends
//! them, by the guess that a message fills a line, which a session tries first. "one a line, followed": the same
//! stream, by following the structure of JSON, as a session does where a guess fails. "in one line": nothing between
//! the messages. "pretty printed": each over several lines. "in small reads": one a line, followed, in a buffer that
//! grows by 100 bytes at a time. Beside them, "line ends alone" is a search for line ends and nothing else.
//!
//! What the numbers are not: validation. A guess is only worth something once the parser has accepted it (`json`).

use std::cell::LazyCell;
use std::hint::black_box;

use criterion::{Criterion, Throughput};
use repsec::types::limits::{BULK_MESSAGE_BYTES_MAX, DEPTH_MAX};
use repsec::wire::frame::{Scan, Scanner};

use crate::workload;

const MESSAGES: usize = 1000;
const SMALL_READ_BYTES: usize = 100;

/// The messages in one layout.
struct Stream {
    bytes: Vec<u8>,
    messages: usize,
}

impl Stream {
    fn new(begin: &str, layout: impl Fn(&str) -> String) -> Stream {
        let lines = workload::change_lines(workload::size(MESSAGES, 50));
        let bytes = lines.iter().flat_map(|line| format!("{begin}{}", layout(line)).into_bytes()).collect();
        Stream { bytes, messages: lines.len() }
    }

    fn one_a_line() -> Stream {
        Stream::new("", |line| format!("{line}\n"))
    }

    fn in_one_line() -> Stream {
        Stream::new("", str::to_owned)
    }

    fn pretty_printed() -> Stream {
        Stream::new("", |line| {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            serde_json::to_string_pretty(&value).expect("JSON") + "\n"
        })
    }
}

fn scanner() -> Scanner {
    Scanner::new(BULK_MESSAGE_BYTES_MAX, DEPTH_MAX)
}

/// Counts messages as a session does that finds each guess confirmed.
fn guessed(stream: &[u8]) -> usize {
    let (mut scanner, mut found) = (scanner(), 0);
    while let Some(message) = scanner.guess(stream) {
        black_box(&stream[message.clone()]);
        scanner.accept(message);
        found += 1;
    }
    found
}

/// Counts messages by following their structure, in a buffer that grows by `read_bytes` at a time.
fn followed(stream: &[u8], read_bytes: usize) -> usize {
    let (mut scanner, mut found, mut end) = (scanner(), 0, 0);
    while end < stream.len() {
        end = stream.len().min(end + read_bytes);
        loop {
            match scanner.scan(&stream[..end]) {
                Scan::Message(message) => {
                    black_box(&stream[message]);
                    found += 1;
                }
                Scan::NeedMore => break,
                Scan::Malformed(_) | Scan::TooLarge => panic!("the stream is well-formed"),
            }
        }
    }
    found
}

fn at_once(stream: &[u8]) -> usize {
    followed(stream, usize::MAX / 2)
}

fn in_small_reads(stream: &[u8]) -> usize {
    followed(stream, SMALL_READ_BYTES)
}

fn line_ends(stream: &[u8]) -> usize {
    memchr::memchr_iter(b'\n', stream).map(black_box).count()
}

/// All layouts.
pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    let one_a_line: LazyCell<Stream> = LazyCell::new(Stream::one_a_line);
    let in_one_line: LazyCell<Stream> = LazyCell::new(Stream::in_one_line);
    let pretty_printed: LazyCell<Stream> = LazyCell::new(Stream::pretty_printed);
    type Count = fn(&[u8]) -> usize;
    let ways: [(&str, &LazyCell<Stream>, Count); 6] = [
        ("one a line", &one_a_line, guessed),
        ("one a line, followed", &one_a_line, at_once),
        ("in one line", &in_one_line, at_once),
        ("pretty printed", &pretty_printed, at_once),
        ("in small reads", &one_a_line, in_small_reads),
        ("line ends alone", &one_a_line, line_ends),
    ];
    for (name, stream, count) in ways {
        group.throughput(Throughput::Elements(workload::size(MESSAGES as u64, 50)));
        group.bench_function(name, |bencher| {
            assert_eq!(count(&stream.bytes), stream.messages, "every message is found");
            bencher.iter(|| count(black_box(&stream.bytes)));
        });
    }
    group.finish();
}
