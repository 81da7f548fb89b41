//! Small scenes in which the threads of the product meet, in every order of events: what must hold in each, and which
//! fault must break it.

#![allow(clippy::unwrap_used, reason = "a scene that cannot be set up fails")]

use std::io::Read as _;
use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use repsec::types::{HashKey, Sequence, Timestamp};

use repsec_model::mailbox::{Inbox, Mesh};
use repsec_model::nonces::{Claimed, Nonces};
use repsec_model::progress::Progress;
use repsec_model::sequencer::Sequencer;
use repsec_model::sync::{Fault, UnixStream, set_room};
use repsec_model::{explore, find};

/// The loop of a core, as `server::shard` has it, without its other tasks and without the clock that would wake it now
/// and then: `look` looks at everything, and returns whether the core has done all it is there for.
fn live(inbox: &Inbox<u64, u64>, mut ear: &UnixStream, mut look: impl FnMut() -> bool) {
    loop {
        inbox.hear();
        if look() {
            return;
        }
        if !inbox.prepare_to_sleep() {
            continue;
        }
        let _ = ear.read(&mut [0; 64]);
        inbox.stay_awake();
    }
}

/// Two threads write to one core, which sleeps whenever it can. It reads everything, each sender's letters in order.
fn letters() {
    let (mesh, ears) = Mesh::<u64, u64>::new(1).unwrap();
    let (asking, answering) = (Arc::clone(&mesh), Arc::clone(&mesh));
    let asking = thread::spawn(move || (1..=2).for_each(|n| asking.inbox(0).ask(n).unwrap()));
    let answering = thread::spawn(move || (1..=2).for_each(|n| answering.inbox(0).answer(n)));
    let (inbox, mut asked, mut answered) = (mesh.inbox(0), 0, 0);
    live(inbox, &ears[0], || {
        while let Some(n) = inbox.take_answering() {
            assert_eq!(n, answered + 1, "the order of one sender");
            answered = n;
        }
        while let Some(n) = inbox.take_asking() {
            assert_eq!(n, asked + 1, "the order of one sender");
            asked = n;
        }
        (asked, answered) == (2, 2)
    });
    asking.join().unwrap();
    answering.join().unwrap();
}

/// Two cores ask each other more than there is room for, and keep what finds none until the next answer comes.
fn full_lanes() {
    set_room(1);
    let (mesh, ears) = Mesh::<u64, u64>::new(2).unwrap();
    let core = |me: usize, ear: UnixStream| {
        let mesh = Arc::clone(&mesh);
        move || {
            let (mut unsent, mut answers, mut asked) = (vec![2, 1], 0, 0);
            live(mesh.inbox(me), &ear, || {
                while mesh.inbox(me).take_answering().is_some() {
                    answers += 1;
                }
                while let Some(n) = mesh.inbox(me).take_asking() {
                    asked += 1;
                    mesh.inbox(1 - me).answer(n);
                }
                while let Some(n) = unsent.pop() {
                    if let Err(n) = mesh.inbox(1 - me).ask(n) {
                        unsent.push(n);
                        break;
                    }
                }
                (answers, asked) == (2, 2)
            });
        }
    };
    let mut ears = ears.into_iter();
    let (first, second) = (core(0, ears.next().unwrap()), core(1, ears.next().unwrap()));
    let other = thread::spawn(second);
    first();
    other.join().unwrap();
}

/// Two threads change different things at once, and tell. The core sees both changes.
fn news() {
    let (mesh, ears) = Mesh::<u64, u64>::new(1).unwrap();
    let progress = Arc::new(Progress::new(Arc::clone(&mesh)));
    let (stopping, failing) = (Arc::clone(&progress), Arc::clone(&progress));
    let stopping = thread::spawn(move || stopping.stop());
    let failing = thread::spawn(move || failing.fail());
    live(mesh.inbox(0), &ears[0], || progress.stopping() & progress.failed());
    stopping.join().unwrap();
    failing.join().unwrap();
}

/// The committer writes, syncs, and publishes how far the log is durable. A core that sleeps in between hears of it, and
/// what it hears of is there.
#[allow(clippy::arc_with_non_send_sync, reason = "that is what loom watches, in the compiler's place")]
fn publication() {
    let (mesh, ears) = Mesh::<u64, u64>::new(1).unwrap();
    let progress = Arc::new(Progress::new(Arc::clone(&mesh)));
    // loom objects to whoever reads a cell without having heard of its writing.
    let disk = Arc::new([UnsafeCell::new(()), UnsafeCell::new(())]);
    let committer = {
        let (progress, disk) = (Arc::clone(&progress), Arc::clone(&disk));
        thread::spawn(move || {
            for (batch, sequence) in disk.iter().zip(1..) {
                batch.with_mut(|_| ());
                progress.set_durable(Sequence::new(sequence));
            }
        })
    };
    let mut seen = Sequence::ZERO;
    live(mesh.inbox(0), &ears[0], || {
        let durable = progress.durable();
        assert!(durable >= seen, "it never goes back");
        seen = durable;
        disk.iter().zip(1..=durable.value()).for_each(|(batch, _)| batch.with(|_| ()));
        durable == Sequence::new(2)
    });
    committer.join().unwrap();
}

/// Somebody stops the server while a core asks another something. It gets its answer, and both end.
fn stop() {
    let (mesh, ears) = Mesh::<u64, u64>::new(2).unwrap();
    let progress = Arc::new(Progress::new(Arc::clone(&mesh)));
    let core = |me: usize, ear: UnixStream| {
        let (mesh, progress) = (Arc::clone(&mesh), Arc::clone(&progress));
        move || {
            let (mut answered, mut drained) = (me == 1, false);
            if !answered {
                mesh.inbox(1).ask(7).unwrap();
            }
            live(mesh.inbox(me), &ear, || {
                answered |= mesh.inbox(me).take_answering().is_some();
                while let Some(n) = mesh.inbox(me).take_asking() {
                    mesh.inbox(1 - me).answer(n);
                }
                if progress.stopping() && answered && !drained {
                    drained = true;
                    progress.drain();
                }
                drained && progress.all_drained()
            });
            assert!(mesh.inbox(me).is_empty(), "nothing is left unread");
        }
    };
    let mut ears = ears.into_iter();
    let (first, second) = (core(0, ears.next().unwrap()), core(1, ears.next().unwrap()));
    let cores = [thread::spawn(first), thread::spawn(second)];
    progress.stop();
    cores.into_iter().for_each(|core| core.join().unwrap());
}

const NOW: Timestamp = Timestamp::from_unix_s(1_700_000_000);

/// Two commands of different shards claim one nonce. One gets it, and nobody else does from then on.
fn one_nonce_twice() {
    let nonces = Arc::new(Nonces::new(HashKey::new([7; 16]), 1000));
    let nonce = nonces.name("somebody", "once");
    let wins = Arc::new(AtomicUsize::new(0));
    let command = |print: u64| {
        let (nonces, wins) = (Arc::clone(&nonces), Arc::clone(&wins));
        move || match nonces.claim(nonce, print, NOW, NOW, || Some((Sequence::new(print), NOW))) {
            Claimed::Fresh(_) => {
                wins.fetch_add(1, Ordering::Relaxed);
                true
            }
            Claimed::Other { .. } => false,
            other => panic!("{other:?}"),
        }
    };
    let other = thread::spawn(command(2));
    let won = command(1)();
    assert_ne!(won, other.join().unwrap(), "exactly one wins");
    assert_eq!(wins.load(Ordering::Relaxed), 1);
    let winner = if won { 1 } else { 2 };
    let again = nonces.claim(nonce, winner, NOW, NOW, || None);
    assert_eq!(again, Claimed::Same { sequence: Sequence::new(winner), time: NOW });
}

/// Shards take places in the log: dense, each once, and the times never run backwards along them. Whoever looks sees at
/// least the places that it has heard of.
fn places() {
    let sequencer = Arc::new(Sequencer::new(Sequence::ZERO, NOW));
    let shard = |late_s: u64| {
        let sequencer = Arc::clone(&sequencer);
        move || {
            let now = Timestamp::from_unix_s(NOW.unix_s() + late_s);
            [0, 1].map(|_| {
                let taken = sequencer.take(now);
                assert!(sequencer.last() >= taken.0);
                taken
            })
        }
    };
    let other = thread::spawn(shard(1));
    let mut taken = [shard(0)(), other.join().unwrap()].concat();
    taken.sort_unstable();
    assert!(taken.iter().map(|(place, _)| place.value()).eq(1..=4), "dense and each once: {taken:?}");
    assert!(taken.is_sorted_by_key(|(_, time)| *time), "times never run backwards: {taken:?}");
    assert_eq!(sequencer.last(), Sequence::new(4));
}

fn holds(model: fn(), preemptions: usize) {
    let schedules = explore(model, preemptions);
    println!("{schedules} schedules");
    assert!(schedules > 1, "there must be something to choose");
}

fn fails(model: fn(), preemptions: usize, fault: Fault, how: &str) {
    let found = find(model, preemptions, fault).expect("a fault that is found");
    println!("{fault:?}: found in schedule {}: {}", found.schedules, found.failure);
    assert!(found.failure.contains(how), "{found:?}");
}

/// loom's word for threads that all wait.
const ASLEEP: &str = "deadlock";

#[test]
fn a_sleeping_core_reads_every_letter_in_order() {
    holds(letters, 2);
    fails(letters, 2, Fault::NoFence, ASLEEP);
    fails(letters, 2, Fault::NoSecondLook, ASLEEP);
    fails(letters, 2, Fault::MuteBell, ASLEEP);
    fails(letters, 2, Fault::YoungestFirst, "the order of one sender");
}

#[test]
fn full_lanes_delay_and_lose_nothing() {
    holds(full_lanes, 2);
}

#[test]
fn a_core_sleeps_over_no_news() {
    holds(news, 3);
    fails(news, 3, Fault::NoFence, ASLEEP);
    fails(news, 3, Fault::NothingNoted, ASLEEP);
    fails(news, 3, Fault::RaisedByStore, ASLEEP);
    fails(news, 3, Fault::RelaxedWrites, ASLEEP);
}

#[test]
fn what_is_published_as_durable_is_there() {
    holds(publication, 3);
    fails(publication, 3, Fault::BareMax, "Causality violation");
    fails(publication, 3, Fault::NothingNoted, ASLEEP);
}

#[test]
fn a_stop_answers_what_was_asked_and_ends() {
    holds(stop, 2);
    fails(stop, 2, Fault::NoFence, ASLEEP);
}

#[test]
fn one_of_two_gets_a_nonce() {
    holds(one_nonce_twice, 3);
    fails(one_nonce_twice, 3, Fault::LockInTwoSteps, "exactly one wins");
}

#[test]
fn places_in_the_log_are_dense() {
    holds(places, 3);
    fails(places, 3, Fault::LockInTwoSteps, "dense and each once");
}
