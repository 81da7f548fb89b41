//! What a crash leaves: all that was answered, nothing that was not asked, and no gap (P1, P2, P3).
//!
//! A crash is a SIGKILL, so it shows what the process kept to itself. What the kernel keeps to itself, a power loss
//! shows: `power` has those.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};

use crate::harness::{Client, Dice, End, Server, cycles, each, signal};
use crate::linear::{Asked, Operation, is_linearizable};
use crate::replay::state;

const CLIENTS: u64 = 4;
/// Names of each client: few, so that they are registered and removed again and again.
const NAMES: u64 = 30;
/// Names that all clients ask for and change, and how many commands in a hundred are about them.
const SHARED_NAMES: u64 = 50;
const SHARED_PERCENT: u64 = 25;
/// Commands that a client sends at the most before the crash, and how many it has in flight.
const COMMANDS_MAX: usize = 20_000;
const IN_FLIGHT: usize = 300;
/// The crash comes with one of the first so many answers.
const CRASH_WITHIN_ANSWERS: u64 = 6_000;
/// Then a new store is made, so that a long run does not become slower and slower.
const CYCLES_OF_A_STORE: usize = 20;
/// A snapshot is begun so often that crashes hit it.
const CONFIG: &str = "[log]\nsnapshot_events = 1000\n";

/// A command of a client.
struct Sent {
    entity: String,
    asked: Asked,
    /// What the answer must be; `None` where other clients have a say.
    status: Option<u64>,
    /// When, in nanoseconds of the cycle.
    at: u64,
}

/// All that one client knows: what it sent, in order, and what was answered, and when.
struct Story {
    sent: Vec<Sent>,
    answers: Vec<(Value, u64)>,
}

impl Story {
    /// Commands with their answers, as far as those came.
    fn answered(&self) -> impl Iterator<Item = (&Sent, &Value)> {
        self.sent.iter().zip(self.answers.iter().map(|(answer, _)| answer))
    }

    /// The events of its own names that its commands make, if all take effect.
    fn own_changes(&self) -> Vec<(&str, bool)> {
        let changes = self.sent.iter().filter(|sent| sent.status == Some(200) && sent.asked != Asked::Verify);
        changes.map(|sent| (sent.entity.as_str(), sent.asked == Asked::Register)).collect()
    }

    /// What it saw of a name.
    fn operations(&self, entity: &str) -> Vec<Operation> {
        let answers = self.answers.iter().map(Some).chain(std::iter::repeat(None));
        let about = self.sent.iter().zip(answers).filter(|(sent, _)| sent.entity == entity);
        about
            .map(|(sent, answer)| Operation {
                asked: sent.asked,
                invoked: sent.at,
                answered: answer.map(|(answer, at)| (*at, answer["status"] == 200)),
            })
            .collect()
    }
}

/// The names of one client in one cycle, and which of them are registered, if its commands take effect in order.
struct World {
    cycle: u64,
    number: u64,
    registered: Vec<bool>,
    dice: Dice,
}

impl World {
    fn command(&mut self, at: u64) -> Sent {
        let asked = [Asked::Register, Asked::Remove, Asked::Verify][usize::try_from(self.dice.between(0, 2)).unwrap()];
        if self.dice.between(1, 100) <= SHARED_PERCENT {
            let name = self.dice.between(0, SHARED_NAMES - 1);
            return Sent { entity: shared(self.cycle, name), asked, status: None, at };
        }
        let name = self.dice.between(0, NAMES - 1);
        let state = &mut self.registered[usize::try_from(name).unwrap()];
        let (status, after) = match asked {
            Asked::Register => (if *state { 409 } else { 200 }, true),
            Asked::Remove => (if *state { 200 } else { 404 }, false),
            Asked::Verify => (if *state { 200 } else { 404 }, *state),
        };
        *state = after;
        Sent { entity: format!("c{}-{}-{name}.example", self.cycle, self.number), asked, status: Some(status), at }
    }
}

/// A name that all clients of a cycle know.
fn shared(cycle: u64, name: u64) -> String {
    format!("c{cycle}-all-{name}.example")
}

/// Sends commands until the server is gone.
fn live(mut client: Client, mut world: World, clock: Instant, crash: &(dyn Fn() + Sync)) -> Story {
    let now = || u64::try_from(clock.elapsed().as_nanos()).unwrap();
    let mut story = Story { sent: Vec::new(), answers: Vec::new() };
    while story.sent.len() < COMMANDS_MAX {
        let waiting = story.sent.len() - story.answers.len();
        let more = usize::try_from(world.dice.between(1, 100)).unwrap();
        if waiting + more <= IN_FLIGHT {
            let (mut text, at) = (String::new(), now());
            for _ in 0..more {
                let sent = world.command(at);
                let command = match sent.asked {
                    Asked::Register => "REGISTER",
                    Asked::Remove => "REMOVE",
                    Asked::Verify => "VERIFY",
                };
                text += &format!("{}\n", json!({"command": command, "entity": sent.entity}));
                story.sent.push(sent);
            }
            client.send(text);
            continue;
        }
        let Some(answer) = client.next_answer() else { break };
        story.answers.push((answer, now()));
        crash();
    }
    while let Some(answer) = client.next_answer() {
        story.answers.push((answer, now()));
    }
    story
}

#[test]
fn what_was_answered_survives_and_nothing_else_appears() {
    each(&[1, 3], |setup| {
        let setup = setup.clone().config(CONFIG);
        let dice = Dice::new();
        let wanted = cycles("REPSEC_CRASH_CYCLES", 3);
        let (mut commands, mut operations) = (0, 0);
        for first in (0..wanted).step_by(CYCLES_OF_A_STORE) {
            let mut server = setup.start();
            let mut events = 0;
            for cycle in first..wanted.min(first + CYCLES_OF_A_STORE as u64) {
                let stories = crash(&server, &mut dice.fork(cycle), cycle);
                server.kill();
                let before = events;
                events = server.home().verified_events();
                let replayed = server.home().log(&["replay"])["state_hash"].as_str().unwrap().to_owned();
                server.start_again();
                assert_eq!(state(&server, "state recovered"), (replayed, events.to_string()));
                let mut client = server.client();
                let own: usize = stories.iter().map(|story| judge_own(&mut client, story)).sum();
                let (common, judged) = judge_shared(&mut client, &stories, cycle);
                // Each event is one that some client asked for: those of the cycles before, their marks, and these.
                let found = u64::try_from(own + common).unwrap();
                assert_eq!(found, events - before, "an event that nobody asked for, or one that is lost");
                let mark = client.ask(json!({"command": "REGISTER", "entity": format!("mark{cycle}.example")}));
                assert_eq!(mark["sequence"], events + 1, "an event came or went with the restart");
                events += 1;
                commands += stories.iter().map(|story| story.sent.len()).sum::<usize>();
                operations += judged;
            }
            assert_eq!(server.terminate(), 0);
            assert_eq!(server.home().verified_events(), events);
        }
        println!("{wanted} crashes, {commands} commands; {operations} of them, of shared names, are linearizable");
    });
}

/// Lets all clients work until the server is killed.
fn crash(server: &Server, dice: &mut Dice, cycle: u64) -> Vec<Story> {
    let crash_at = dice.between(1, CRASH_WITHIN_ANSWERS);
    println!("cycle {cycle}: a crash with answer {crash_at}");
    let answered = AtomicU64::new(0);
    let process = server.process();
    let kill = || {
        if answered.fetch_add(1, Ordering::Relaxed) + 1 == crash_at {
            signal("KILL", process);
        }
    };
    // All are connected before the first begins, since the crash may come with its first answers.
    let clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
    let clock = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..)
            .zip(clients)
            .map(|(number, client)| {
                let registered = vec![false; usize::try_from(NAMES).unwrap()];
                let world = World { cycle, number, registered, dice: dice.fork(number + 1) };
                let kill = &kill;
                scope.spawn(move || live(client, world, clock, kill))
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    })
}

/// Compares what a client knows of its own names with what the server has, and gives the number of their events.
fn judge_own(client: &mut Client, story: &Story) -> usize {
    let (mut last, mut answered) = (0, Vec::new());
    for (sent, answer) in story.answered() {
        if let Some(status) = sent.status {
            assert_eq!(answer["status"], status, "{}: {answer}", sent.entity);
        }
        if let Some(sequence) = answer["sequence"].as_u64().filter(|_| sent.asked != Asked::Verify) {
            assert!(sequence > last, "sequences on one connection increase");
            last = sequence;
            answered.extend(sent.status.map(|_| sequence));
        }
    }
    let asked = story.own_changes();
    let found = history(client, story.sent.iter().filter(|sent| sent.status.is_some()));
    // What is there is a beginning of what was asked, in order, and at least what was answered, in its places.
    assert!(found.len() >= answered.len(), "{} changes were answered, {} are there", answered.len(), found.len());
    assert!(found.len() <= asked.len());
    for ((sequence, entity, registers), asked) in found.iter().zip(&asked) {
        assert_eq!((entity.as_str(), *registers), *asked, "at {sequence}");
    }
    assert!(found.iter().map(|(sequence, ..)| sequence).zip(&answered).all(|(found, answered)| found == answered));
    verify(client, &found);
    found.len()
}

/// Compares what all clients know of the shared names with what the server has. Gives the number of events of these
/// names, and of operations that were judged.
fn judge_shared(client: &mut Client, stories: &[Story], cycle: u64) -> (usize, usize) {
    let of_all = stories.iter().flat_map(|story| &story.sent).filter(|sent| sent.status.is_none());
    let found = history(client, of_all);
    verify(client, &found);
    let places: BTreeMap<u64, (&str, bool)> =
        found.iter().map(|(sequence, entity, registers)| (*sequence, (entity.as_str(), *registers))).collect();
    for (sent, answer) in stories.iter().flat_map(Story::answered).filter(|(sent, _)| sent.status.is_none()) {
        if sent.asked != Asked::Verify && answer["status"] == 200 {
            let there = places.get(&answer["sequence"].as_u64().unwrap());
            assert_eq!(there, Some(&(sent.entity.as_str(), sent.asked == Asked::Register)), "{answer}");
        }
    }
    let mut judged = 0;
    for name in 0..SHARED_NAMES {
        let entity = shared(cycle, name);
        let operations: Vec<Vec<Operation>> = stories.iter().map(|story| story.operations(&entity)).collect();
        let of_name: Vec<bool> =
            found.iter().filter(|(_, other, _)| *other == entity).map(|(.., registers)| *registers).collect();
        assert!(of_name.iter().enumerate().all(|(at, registers)| *registers == (at % 2 == 0)), "{entity}: {of_name:?}");
        let ends = of_name.len() % 2 == 1;
        assert!(is_linearizable(&operations, false, ends), "{entity} ends {ends} after {operations:#?}");
        judged += operations.iter().map(Vec::len).sum::<usize>();
    }
    (found.len(), judged)
}

/// The events of all names that were asked for, in the order of the log: place, name, and whether it was registered.
fn history<'a>(client: &mut Client, sent: impl Iterator<Item = &'a Sent>) -> Vec<(u64, String, bool)> {
    let mut names: Vec<&str> = sent.map(|sent| sent.entity.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let question = |name: &&str| json!({"command": "AUDIT", "entity": name, "limit": 1000});
    let pages = client.ask_all(names.iter().map(question));
    let mut found = Vec::new();
    for (name, page) in names.iter().zip(pages) {
        assert!(page.get("next").is_none(), "one page holds all events of a name");
        for event in page["events"].as_array().into_iter().flatten() {
            found.push((event["sequence"].as_u64().unwrap(), (*name).to_owned(), event["event"] == "registered"));
        }
    }
    found.sort_unstable_by_key(|(sequence, ..)| *sequence);
    found
}

/// The current state is what the last event of each name says.
fn verify(client: &mut Client, found: &[(u64, String, bool)]) {
    let mut seen = HashSet::new();
    let last: Vec<_> = found.iter().rev().filter(|(_, entity, _)| seen.insert(entity)).collect();
    let entities: Vec<&str> = last.iter().map(|(_, entity, _)| entity.as_str()).collect();
    if entities.is_empty() {
        return;
    }
    let answer = client.ask(json!({"command": "VERIFY", "entities": entities}));
    for ((_, entity, registers), result) in last.iter().zip(answer["results"].as_array().unwrap()) {
        assert_eq!(result["verified"], *registers, "{entity}");
    }
}

#[test]
fn a_verify_never_shows_what_a_crash_could_undo() {
    each(&[1, 3], |setup| {
        let mut server = setup.start();
        let mut writer = server.client();
        let mut reader = server.client();
        let registers = |at: u64| json!({"command": "REGISTER", "entity": format!("h{at}.example")});
        let verifies = |at: u64| json!({"command": "VERIFY", "entity": format!("h{at}.example")});
        // The reader asks while the commits are under way, and the server dies as soon as it has said yes.
        let lines = |make: &dyn Fn(u64) -> Value| -> String { (0..500).map(|at| format!("{}\n", make(at))).collect() };
        writer.send(lines(&registers));
        reader.send(lines(&verifies));
        let first = reader.answer();
        server.kill();
        let mut answers = vec![first];
        let (more, end) = reader.drain();
        assert_ne!(end, End::CloseNotify);
        answers.extend(more);
        server.start_again();
        let mut client = server.client();
        for (at, seen) in answers.iter().enumerate() {
            if seen["status"] == 200 {
                let answer = client.ask(verifies(u64::try_from(at).unwrap()));
                assert_eq!(answer["verified"], true, "{at} was seen and is gone");
            }
        }
    });
}
