//! How long does it take to read a page of an entity's history?
//!
//! Workload: a log of 200,000 events in batches as the committer makes them under load, on a real RocksDB whose files
//! the operating system holds in memory. Two entities in it have 1,000 events each: those of one lie in a row, those of
//! the other are spread evenly, so that each stands in a batch of its own, more or less. Pages of 100 and of 1,000
//! events, read on the measuring thread; and one of 100 by way of the reader threads, there and back.
//!
//! What the numbers are not: the answer in JSON, or a disk that must be waited for. A cursor in the middle of a history
//! costs the same.

use std::cell::LazyCell;
use std::sync::mpsc::channel;

use criterion::{BenchmarkId, Criterion, Throughput};
use repsec::domain::{Event, HistoryPage, Named, Order, Page};
use repsec::log::pool::{READER_QUEUE, READER_THREADS};
use repsec::log::{History, LogError, Question, ReadJob, ReaderPool, Reading, Store};
use repsec::types::{Entity, Kind, Sequence};
use tempfile::TempDir;

use crate::store;
use crate::workload::{self, Names};

const TOGETHER: &str = "together.example.net";
const SPREAD: &str = "spread.example.net";
/// Events of each of the two.
const HISTORY: u64 = 1000;

fn events() -> u64 {
    workload::size(200_000, 4 * HISTORY)
}

/// The whole log: the one history in front, the other spread over the rest, which registers other names.
fn log(names: &Names) -> impl Iterator<Item = Event> + '_ {
    let apart = (events() - HISTORY) / HISTORY;
    (1..=events()).map(move |sequence| {
        let behind = sequence.saturating_sub(HISTORY);
        if behind == 0 {
            change(sequence, TOGETHER)
        } else if behind.is_multiple_of(apart) && behind / apart <= HISTORY {
            change(sequence, SPREAD)
        } else {
            workload::registered(sequence, &names.at(sequence))
        }
    })
}

/// Lives of an entity begin and end in turns.
fn change(sequence: u64, name: &str) -> Event {
    if sequence.is_multiple_of(2) { workload::removed(sequence, name) } else { workload::registered(sequence, name) }
}

/// The log, and ways to read it.
struct Filled {
    _directory: TempDir,
    store: Store,
    history: History,
    readers: ReaderPool,
}

impl Filled {
    fn new() -> Filled {
        let (directory, store) = store::filled(log(&Names::new()));
        let history = History::new(store.clone());
        let readers = ReaderPool::start(&store, READER_THREADS, READER_QUEUE).expect("threads");
        let filled = Filled { _directory: directory, store, history, readers };
        for name in [TOGETHER, SPREAD] {
            let page = filled.page(&filled.named(name), HISTORY);
            assert_eq!((page.events.len() as u64, page.next), (HISTORY, None), "the whole history");
            assert!(page.events.iter().all(|event| event.entity.as_str() == name));
            assert_eq!(filled.page_by_pool(&filled.named(name), 100).ok(), Some(filled.page(&filled.named(name), 100)));
        }
        filled
    }

    fn named(&self, name: &str) -> Named {
        Named { hash: self.store.identity().hash_key.hash(name), entity: Entity::from_canonical(Kind::Domain, name) }
    }

    fn page(&self, subject: &Named, limit: u64) -> HistoryPage {
        self.history.page(subject, &first(limit), Sequence::new(events())).expect("a sound log")
    }

    fn page_by_pool(&self, subject: &Named, limit: u64) -> Result<HistoryPage, LogError> {
        let (sender, receiver) = channel();
        let reply = move |reading| sender.send(reading).expect("somebody waits");
        let question = Question::Page { subject: subject.clone(), page: first(limit) };
        let job = ReadJob { question, up_to: Sequence::new(events()), reply: Box::new(reply) };
        assert!(self.readers.try_submit(job).is_ok(), "the queue has room");
        match receiver.recv().expect("a reader that runs")? {
            Reading::Page(page) => Ok(page),
            Reading::StandingAt(_) => panic!("a page was asked for"),
        }
    }
}

/// The first page of so many events.
fn first(limit: u64) -> Page {
    let limit = usize::try_from(limit).expect("a page that fits into memory");
    Page { limit, order: Order::Ascending, after: None, since: None, until: None }
}

/// Both entities, both sizes.
pub fn measure(criterion: &mut Criterion) {
    let filled = LazyCell::new(Filled::new);
    let mut group = criterion.benchmark_group("audit");
    group.sample_size(20);
    for (which, name) in [("in a row", TOGETHER), ("spread", SPREAD)] {
        for limit in [100, HISTORY] {
            group.throughput(Throughput::Elements(limit));
            group.bench_function(BenchmarkId::new(format!("page, {which}"), limit), |bencher| {
                let (filled, subject) = (&*filled, filled.named(name));
                bencher.iter(|| filled.page(&subject, limit));
            });
        }
    }
    group.throughput(Throughput::Elements(100));
    group.bench_function(BenchmarkId::new("by a reader thread, in a row", 100), |bencher| {
        let (filled, subject) = (&*filled, filled.named(TOGETHER));
        bencher.iter(|| filled.page_by_pool(&subject, 100));
    });
    group.finish();
}
