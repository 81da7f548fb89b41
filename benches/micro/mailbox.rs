//! How long does one letter take from core to core?
//!
//! Workload: letters of eight bytes between two threads. "stream" sends letters one after another to a thread that
//! takes them, and sleeps when there are none; one number is a letter. "there and back, awake" asks a thread and waits
//! for its answer, both looking all the time; "there and back, asleep" has both wait for their bells, as cores without
//! other work do. Beside them: the same there and back over two channels of the standard library.
//!
//! What the numbers are not: the cost of a command on another core, whose letters hold many. A core hears its bell
//! through its event loop, here by a read that blocks. On a machine with one processor the numbers mean nothing.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Barrier;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use repsec::runtime::{Inbox, Mesh};

/// How often a thread that is awake looks for a letter before it lets others run: some microseconds.
const LOOKS_BEFORE_YIELDING: u32 = 1000;

/// Takes the next letter. While there is none: sleeps, if it has an ear, and else looks again.
fn take(inbox: &Inbox<u64, u64>, mut ear: Option<&UnixStream>, next: impl Fn(&Inbox<u64, u64>) -> Option<u64>) -> u64 {
    let mut looked = 0_u32;
    loop {
        looked = looked.wrapping_add(1);
        if let Some(letter) = next(inbox) {
            return letter;
        }
        match &mut ear {
            // On a machine that has other things to do, the other thread may need this processor to go on.
            None if looked.is_multiple_of(LOOKS_BEFORE_YIELDING) => thread::yield_now(),
            None => std::hint::spin_loop(),
            Some(ear) if inbox.prepare_to_sleep() => {
                assert_ne!(ear.read(&mut [0; 64]).expect("a bell"), 0, "the bell is still there");
                inbox.stay_awake();
            }
            Some(_) => {}
        }
    }
}

/// Sends letters to a thread that takes them; how long until it has all of them.
fn stream(letters: u64) -> Duration {
    let (mesh, ears) = Mesh::<u64, u64>::new(1).expect("a mesh");
    let (inbox, start) = (mesh.inbox(0), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            for letter in 1..=letters {
                while inbox.ask(letter).is_err() {
                    thread::yield_now();
                }
            }
        });
        start.wait();
        let began = Instant::now();
        for expected in 1..=letters {
            assert_eq!(take(inbox, ears.first(), Inbox::take_asking), expected, "letters stay in order");
        }
        began.elapsed()
    })
}

/// Asks another thread and waits for its answer, so many times.
fn there_and_back(rounds: u64, asleep: bool) -> Duration {
    let (mesh, ears) = Mesh::<u64, u64>::new(2).expect("a mesh");
    let ear = |core: usize| ears.get(core).filter(|_| asleep);
    let start = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            for _ in 0..rounds {
                let letter = take(mesh.inbox(1), ear(1), Inbox::take_asking);
                mesh.inbox(0).answer(letter + 1);
            }
        });
        start.wait();
        let began = Instant::now();
        for letter in 0..rounds {
            mesh.inbox(1).ask(letter).expect("room for one");
            assert_eq!(take(mesh.inbox(0), ear(0), Inbox::take_answering), letter + 1, "the answer to this question");
        }
        began.elapsed()
    })
}

/// The same over channels that put waiting threads to sleep.
fn there_and_back_by_channels(rounds: u64) -> Duration {
    let (ask, asked) = sync_channel::<u64>(1024);
    let (answer, answered) = sync_channel::<u64>(1024);
    let start = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            start.wait();
            for letter in asked {
                answer.send(letter + 1).expect("somebody waits");
            }
        });
        start.wait();
        let began = Instant::now();
        for letter in 0..rounds {
            ask.send(letter).expect("somebody answers");
            assert_eq!(answered.recv(), Ok(letter + 1), "the answer to this question");
        }
        let took = began.elapsed();
        drop(ask);
        took
    })
}

/// One way, and both ways.
pub fn measure(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mailbox");
    group.throughput(Throughput::Elements(1));
    group.bench_function("stream", |bencher| bencher.iter_custom(stream));
    group.bench_function("there and back, awake", |bencher| {
        bencher.iter_custom(|rounds| there_and_back(rounds, false));
    });
    group.bench_function("there and back, asleep", |bencher| {
        bencher.iter_custom(|rounds| there_and_back(rounds, true));
    });
    group.bench_function("there and back, std channels", |bencher| bencher.iter_custom(there_and_back_by_channels));
    group.finish();
}
