//! What a crash leaves: all that was answered, nothing that was not asked, and no gap (P1, P2, P3).
//!
//! A crash is a SIGKILL, so it shows what the process kept to itself. What the kernel keeps to itself, a power failure
//! would show; for that the log's own tests look at every write and its sync.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Client, Dice, End, Server, cycles, each, signal};

const CLIENTS: u64 = 4;
/// Names of each client: few, so that they are registered and removed again and again.
const NAMES: u64 = 30;
/// Commands that a client sends at the most before the crash, and how many it has in flight.
const COMMANDS_MAX: usize = 20_000;
const IN_FLIGHT: usize = 300;
/// The crash comes with one of the first so many answers.
const CRASH_WITHIN_ANSWERS: u64 = 6_000;

/// One command of a client, and the event that it makes.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Change {
    entity: String,
    registers: bool,
}

/// All that one client knows: what it sent, in order, and what was answered.
struct Story {
    sent: Vec<(Change, u64)>,
    answers: Vec<Value>,
}

/// The names of one client in one cycle, and which of them are registered, if its commands take effect in order.
struct World {
    prefix: String,
    registered: Vec<bool>,
    dice: Dice,
}

impl World {
    /// A command, with the status that it must get.
    fn command(&mut self) -> (Change, u64) {
        let name = self.dice.between(0, NAMES - 1);
        let registers = self.dice.roll().is_multiple_of(2);
        let state = &mut self.registered[usize::try_from(name).unwrap()];
        let status = match (registers, *state) {
            (true, true) => 409,
            (false, false) => 404,
            _ => 200,
        };
        *state = registers;
        (Change { entity: format!("{}{name}.example", self.prefix), registers }, status)
    }
}

/// Sends commands until the server is gone.
fn live(mut client: Client, mut world: World, answered: &AtomicU64, crash: &(dyn Fn() + Sync), crash_at: u64) -> Story {
    let mut story = Story { sent: Vec::new(), answers: Vec::new() };
    while story.sent.len() < COMMANDS_MAX {
        let waiting = story.sent.len() - story.answers.len();
        let more = usize::try_from(world.dice.between(1, 100)).unwrap();
        if waiting + more <= IN_FLIGHT {
            let mut text = String::new();
            for _ in 0..more {
                let (change, status) = world.command();
                let command = if change.registers { "REGISTER" } else { "REMOVE" };
                text += &format!("{}\n", json!({"command": command, "entity": change.entity}));
                story.sent.push((change, status));
            }
            client.send(text);
            continue;
        }
        let Some(answer) = client.next_answer() else { break };
        story.answers.push(answer);
        if answered.fetch_add(1, Ordering::Relaxed) + 1 == crash_at {
            crash();
        }
    }
    story.answers.extend(client.drain().0);
    story
}

#[test]
fn what_was_answered_survives_and_nothing_else_appears() {
    each(&[1, 3], |setup| {
        let dice = Dice::new();
        let mut server = setup.start();
        let mut events = 0;
        for cycle in 0..cycles("REPSEC_CRASH_CYCLES", 3) {
            let mut dice = dice.fork(cycle);
            let crash_at = dice.between(1, CRASH_WITHIN_ANSWERS);
            println!("cycle {cycle}: a crash with answer {crash_at}");
            let stories = crash(&server, &mut dice, cycle, crash_at);
            server.kill();
            events = server.home().verified_events().max(events);
            server.start_again();
            let mut client = server.client();
            let found: u64 = stories.iter().map(|story| judge(&mut client, story)).sum();
            // Each event is one that some client asked for: those of the cycles before, and these.
            let before: u64 =
                client.ask(json!({"command": "REGISTER", "entity": format!("mark{cycle}.example")}))["sequence"]
                    .as_u64()
                    .unwrap()
                    - 1;
            assert_eq!(before, events, "an event came or went with the restart");
            assert_eq!(found, events - previous(&server, cycle), "an event that nobody asked for, or one that is lost");
        }
        assert_eq!(server.terminate(), 0);
        server.home().verified_events();
    });
}

/// The place of the mark that was set behind the cycle before.
fn previous(server: &Server, cycle: u64) -> u64 {
    let Some(before) = cycle.checked_sub(1) else { return 0 };
    let answer = server.client().ask(json!({"command": "AUDIT", "entity": format!("mark{before}.example")}));
    answer["events"][0]["sequence"].as_u64().unwrap()
}

/// Lets all clients work until the server is killed.
fn crash(server: &Server, dice: &mut Dice, cycle: u64, crash_at: u64) -> Vec<Story> {
    let answered = AtomicU64::new(0);
    let process = server.process();
    let kill = move || signal("KILL", process);
    // All are connected before the first begins, since the crash may come with its first answers.
    let clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..)
            .zip(clients)
            .map(|(number, client)| {
                let registered = vec![false; usize::try_from(NAMES).unwrap()];
                let world = World { prefix: format!("c{cycle}-{number}-"), registered, dice: dice.fork(number + 1) };
                let (answered, kill) = (&answered, &kill);
                scope.spawn(move || live(client, world, answered, kill, crash_at))
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    })
}

/// Compares what a client knows with what the server has, and gives the number of its events.
fn judge(client: &mut Client, story: &Story) -> u64 {
    let mut last = 0;
    for (answer, (change, status)) in story.answers.iter().zip(&story.sent) {
        assert_eq!(answer["status"], *status, "{change:?}: {answer}");
        if *status == 200 {
            let sequence = answer["sequence"].as_u64().unwrap();
            assert!(sequence > last, "sequences on one connection increase");
            last = sequence;
        }
    }
    let answered: Vec<u64> = story.answers.iter().filter_map(|answer| answer["sequence"].as_u64()).collect();
    let asked: Vec<&Change> =
        story.sent.iter().filter(|(_, status)| *status == 200).map(|(change, _)| change).collect();
    let found = history(client, &story.sent);
    println!("{} sent, {} answered, {} events found", story.sent.len(), story.answers.len(), found.len());
    // What is there is a beginning of what was asked, in order, and at least what was answered, in its places.
    assert!(found.len() >= answered.len(), "{} changes were answered, {} are there", answered.len(), found.len());
    assert!(found.len() <= asked.len());
    for ((sequence, change), asked) in found.iter().zip(&asked) {
        assert_eq!(change, *asked, "at {sequence}");
    }
    assert!(found.iter().map(|(sequence, _)| sequence).zip(&answered).all(|(found, answered)| found == answered));
    verify(client, &found);
    u64::try_from(found.len()).unwrap()
}

/// The events of all names of a client, in the order of the log.
fn history(client: &mut Client, sent: &[(Change, u64)]) -> Vec<(u64, Change)> {
    let mut names: Vec<&str> = sent.iter().map(|(change, _)| change.entity.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let question = |name: &&str| json!({"command": "AUDIT", "entity": name, "limit": 1000});
    let pages = client.ask_all(names.iter().map(question));
    let mut found = Vec::new();
    for (name, page) in names.iter().zip(pages) {
        assert!(page.get("next").is_none(), "one page holds all events of a name");
        for event in page["events"].as_array().into_iter().flatten() {
            let registers = event["event"] == "registered";
            found.push((event["sequence"].as_u64().unwrap(), Change { entity: (*name).to_owned(), registers }));
        }
    }
    found.sort_unstable_by_key(|(sequence, _)| *sequence);
    found
}

/// The current state is what the last event of each name says.
fn verify(client: &mut Client, found: &[(u64, Change)]) {
    let mut names: Vec<&Change> = found.iter().map(|(_, change)| change).rev().collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|change| seen.insert(&change.entity));
    let entities: Vec<&str> = names.iter().map(|change| change.entity.as_str()).collect();
    let answer = client.ask(json!({"command": "VERIFY", "entities": entities}));
    for (change, result) in names.iter().zip(answer["results"].as_array().unwrap()) {
        assert_eq!(result["verified"], change.registers, "{change:?}");
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
