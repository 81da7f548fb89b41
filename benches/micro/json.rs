//! How long does our parser take for a message, beside `serde_json`?
//!
//! Workload: a VERIFY, a REGISTER with attributes, `ts` and `nonce`, and a bulk VERIFY of 1,000 names. Ours parses in
//! place and destroys what it reads, so each message is first copied into a buffer, in all three ways alike, and the
//! copy is part of the number. After parsing, every text is visited once. "ours" is [`Parser`] with its check for
//! repeated members; "`serde_json` value" parses into a tree of maps and strings; "`serde_json` struct" into a struct
//! made for these messages whose texts borrow from the buffer, which is the fastest that `serde_json` has to offer.
//!
//! What the numbers are not: equal work. `serde_json` takes the last of repeated members into a tree, and skips members
//! that the struct lacks; ours refuses a repetition at every depth and keeps all members.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use repsec::types::limits::DEPTH_MAX;
use repsec::wire::json::{Object, PADDING_BYTES, Parser, Value};
use serde::Deserialize;

use crate::workload::{self, Names};

/// What `serde_json` fills when it knows the members.
#[derive(Deserialize)]
struct Message<'a> {
    command: &'a str,
    entity: Option<&'a str>,
    #[serde(borrow)]
    entities: Option<Vec<&'a str>>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    #[serde(borrow)]
    attributes: Option<Attributes<'a>>,
    ts: Option<u64>,
    nonce: Option<&'a str>,
}

#[derive(Deserialize)]
struct Attributes<'a> {
    category: &'a str,
    confidence: u64,
    source: &'a str,
}

/// A message, and a buffer with room for it and for the parser's padding.
struct Sample {
    message: Vec<u8>,
    buffer: Vec<u8>,
}

impl Sample {
    fn new(line: &str) -> Sample {
        let message = line.trim_end().as_bytes().to_vec();
        let buffer = vec![0; message.len() + PADDING_BYTES];
        Sample { message, buffer }
    }

    fn copy(&mut self) -> &mut [u8] {
        let length = self.message.len();
        self.buffer[..length].copy_from_slice(black_box(&self.message));
        &mut self.buffer
    }
}

/// The length of all texts but the names of members, by our parser.
fn ours(parser: &mut Parser, sample: &mut Sample) -> usize {
    let length = sample.message.len();
    let document = parser.parse(sample.copy(), length).expect("a well-formed message");
    texts_of(document.object().expect("no member repeats"))
}

fn texts_of(object: Object<'_>) -> usize {
    object.members().map(|(_, value)| texts_in(value)).sum()
}

fn texts_in(value: Value<'_>) -> usize {
    match value {
        Value::Text(text) => black_box(text).len(),
        Value::Array(array) => array.elements().map(texts_in).sum(),
        Value::Object(object) => texts_of(object),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// The same by a tree of `serde_json`.
fn value(sample: &mut Sample) -> usize {
    let length = sample.message.len();
    let value: serde_json::Value = serde_json::from_slice(&sample.copy()[..length]).expect("a well-formed message");
    texts_in_tree(&value)
}

fn texts_in_tree(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => black_box(text).len(),
        serde_json::Value::Array(elements) => elements.iter().map(texts_in_tree).sum(),
        serde_json::Value::Object(members) => members.values().map(texts_in_tree).sum(),
        serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => 0,
    }
}

/// The same by a struct of `serde_json`.
fn borrowed(sample: &mut Sample) -> usize {
    let length = sample.message.len();
    let message: Message<'_> = serde_json::from_slice(&sample.copy()[..length]).expect("a well-formed message");
    black_box((message.ts, message.attributes.as_ref().map(|attributes| attributes.confidence)));
    let texts = [Some(message.command), message.entity, message.kind, message.nonce];
    let attributes = message.attributes.map_or([""; 2], |attributes| [attributes.category, attributes.source]);
    let names = message.entities.unwrap_or_default();
    texts.into_iter().flatten().chain(attributes).chain(names).map(|text| black_box(text).len()).sum()
}

/// All messages in all ways.
pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json");
    let names = Names::new();
    let bulk = names.all(0..workload::size(1000, 20));
    let samples = [
        ("VERIFY", workload::verify_line(&bulk[0])),
        ("REGISTER", workload::register_line(1, &bulk[0])),
        ("VERIFY of 1,000", workload::bulk_line(&bulk)),
    ];
    for (name, line) in samples {
        let (mut parser, mut sample) = (Parser::new(DEPTH_MAX), Sample::new(&line));
        let texts = ours(&mut parser, &mut sample);
        assert!(texts > 0 && texts == value(&mut sample) && texts == borrowed(&mut sample), "all read the same texts");
        group.throughput(Throughput::Bytes(sample.message.len() as u64));
        group.bench_function(BenchmarkId::new(name, "ours"), |bencher| {
            bencher.iter(|| ours(&mut parser, &mut sample));
        });
        group.bench_function(BenchmarkId::new(name, "serde_json value"), |bencher| {
            bencher.iter(|| value(&mut sample));
        });
        group.bench_function(BenchmarkId::new(name, "serde_json struct"), |bencher| {
            bencher.iter(|| borrowed(&mut sample));
        });
    }
    group.finish();
}
