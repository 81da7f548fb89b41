//! How long does a VERIFY take, bytes in, answer out, without a socket?
//!
//! Workload: lines of VERIFY, each of another one of a million registered domains, in an order that no cache foresees.
//! They go through a session of RepSec and the engine of a store with one shard: framed, parsed, brought into canonical
//! form, hashed, looked up, decided, answered in JSON. Everything that one core does for a VERIFY is in it but TLS,
//! system calls, and the access journal. "1 in a read" is a client that waits for each answer, "128 in a read" one that
//! does not; "of 1,000" is one message with a thousand names. All count names.
//!
//! What the numbers are not: the cost of a VERIFY at the server. `floor` has the same bytes without us.

use std::cell::{LazyCell, RefCell};
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput};
use repsec::engine::{Effect, Engine, Input, Sequencer};
use repsec::faces::Face;
use repsec::faces::repsec::{Limits, Session, Settings};
use repsec::projection::Nonces;
use repsec::types::limits::DEPTH_MAX;
use repsec::types::{Principal, Sequence};
use repsec::wire::json::Parser;

use crate::workload::{self, KEY, Names, Round};

/// Something that answers what one read of a connection brought.
pub trait Answerer {
    /// The answers to these messages. They are all whole.
    fn answer(&mut self, read: &[u8]) -> &[u8];
}

/// One session over one shard in which the first [`workload::entities`] names are registered.
pub struct Conversation {
    session: Session,
    engine: Engine<u64>,
    effects: Vec<Effect<u64>>,
    out: Vec<u8>,
}

impl Conversation {
    /// Fills the shard, which takes a moment.
    pub fn new(names: &Names) -> Conversation {
        let last = Sequence::new(workload::entities());
        let settings = Settings::new(Limits::default(), true, KEY, &[7; 16]);
        let parser = Rc::new(RefCell::new(Parser::new(DEPTH_MAX)));
        let sequencer = Arc::new(Sequencer::new(last, workload::time_of(last.value())));
        let nonces = Arc::new(Nonces::new(KEY, 1000));
        Conversation {
            session: Session::new(Arc::new(settings), Principal::Anonymous, parser),
            engine: Engine::new(workload::table(names, last.value()), last, nonces, sequencer),
            effects: Vec::new(),
            out: Vec::new(),
        }
    }
}

impl Answerer for Conversation {
    fn answer(&mut self, read: &[u8]) -> &[u8] {
        let now = workload::time_of(workload::entities());
        self.out.clear();
        self.session.receive(read);
        while let Some(step) = self.session.next(now) {
            self.engine.step(now, Input::Asked { tag: step.slot, asked: step.asked }, &mut self.effects);
            for effect in self.effects.drain(..) {
                match effect {
                    Effect::Answer { tag, outcome } => self.session.complete(tag, outcome),
                    Effect::Append { .. } | Effect::Read { .. } => panic!("a VERIFY needs no log"),
                }
            }
        }
        while self.session.output_ready() {
            self.session.take_output(&mut self.out);
        }
        self.session.take_records(&mut |record| {
            black_box(record);
        });
        &self.out
    }
}

/// Reads that ask for registered names.
pub struct Reads {
    /// What each read brings.
    pub reads: Vec<Vec<u8>>,
    /// How many names each asks for.
    pub names: usize,
}

impl Reads {
    /// Reads of some lines, each a VERIFY.
    fn of_lines(names: &Names, lines: usize) -> Reads {
        Reads::made(names, lines, |names| {
            names.iter().flat_map(|name| workload::verify_line(name).into_bytes()).collect()
        })
    }

    /// Reads of one line, a VERIFY of many names.
    fn of_bulk(names: &Names, count: usize) -> Reads {
        Reads::made(names, count, |names| workload::bulk_line(names).into_bytes())
    }

    fn made(names: &Names, count: usize, read: impl Fn(&[String]) -> Vec<u8>) -> Reads {
        let numbers = workload::scattered(workload::lookups(), workload::entities());
        let asked = names.all(numbers);
        Reads { reads: asked.chunks_exact(count).map(read).collect(), names: count }
    }
}

/// The three sizes of reads, answered by what `answerer` makes.
pub fn measure_reads<A: Answerer>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    names: &Names,
    mut answerer: LazyCell<A, impl FnOnce() -> A>,
    check: impl Fn(&Reads, &mut A),
) {
    let bulk = workload::size(1000, 50);
    type Make = fn(&Names, usize) -> Reads;
    let sizes: [(&str, Make, usize); 3] = [
        ("VERIFY, 1 in a read", Reads::of_lines, 1),
        ("VERIFY, 128 in a read", Reads::of_lines, 128),
        ("VERIFY of 1,000", Reads::of_bulk, bulk),
    ];
    for (name, make, count) in sizes {
        let reads = LazyCell::new(|| make(names, count));
        let mut round = Round::default();
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(name, |bencher| {
            check(&reads, &mut answerer);
            bencher.iter(|| {
                let read = round.next(&reads.reads);
                answerer.answer(read).len()
            });
        });
    }
}

/// Whether each name of the first read is answered with yes.
fn check(reads: &Reads, conversation: &mut Conversation) {
    let answers = String::from_utf8_lossy(conversation.answer(&reads.reads[0]));
    assert_eq!(answers.matches("\"verified\":true").count(), reads.names, "{answers}");
}

/// The store without a socket.
pub fn measure(criterion: &mut Criterion) {
    let names = Names::new();
    let mut group = criterion.benchmark_group("face");
    measure_reads(&mut group, &names, LazyCell::new(|| Conversation::new(&names)), check);
    group.finish();
}
