//! What a power loss leaves: all that was answered, a beginning of the log, and a store that starts (P1, P3).
//!
//! One run is recorded, below the server; then the power is lost at many moments of that record, in many ways. The
//! manual's page "crashes" has the rules by which things are lost.

use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use repsec_powerloss::trace::{Done, Reader};
use repsec_powerloss::{Chance, Disk, Loss, Names};
use serde_json::{Value, json};

use crate::harness::{Client, Dice, Home, Layer, Server, Setup, cycles, drivers, run};
use crate::replay::state;

const CLIENTS: u64 = 3;
/// A usual run.
const LIGHT: Load = Load { lives: 4, changes: 150, in_flight_max: 12, note_bytes: (0, 3000) };
/// One whose clients fill the log's memory tables, which take 24 MiB of what hardly packs, so that tables are written
/// meanwhile.
const HEAVY: Load = Load { lives: 3, changes: 15_000, in_flight_max: 200, note_bytes: (3000, 4000) };
/// Tables that are written in a heavy run, at the least.
const TABLES_MIN: usize = 12;
/// Names of a client.
const NAMES: u64 = 40;
/// Power losses that are taken from one recorded run.
const LOSSES_OF_A_RUN: u64 = 50;
/// The smallest that can be set, so that snapshots are written all the time.
const CONFIG: &str = "[log]\nsnapshot_events = 100\n";

/// What the clients of a recorded run do.
#[derive(Clone, Copy)]
struct Load {
    /// How often the server is started.
    lives: u64,
    /// Changes of a client in one life.
    changes: usize,
    /// How many of them it has in flight at the most.
    in_flight_max: u64,
    /// Bytes of an attribute, at the least and at the most.
    note_bytes: (u64, u64),
}

/// A change as the log has it: the name, and whether it was registered.
pub type Change = (String, bool);

/// A run, and what its clients know of it.
struct Recording {
    trace: Vec<u8>,
    /// Answers: how long the trace was when each was there, and its sequence.
    answers: Vec<(u64, u64)>,
    /// The whole log, as it was in the end.
    log: Vec<Change>,
}

impl Recording {
    /// The last change that somebody had been answered when the trace was so long.
    fn answered_at(&self, place: u64) -> u64 {
        self.answers.iter().filter(|(at, _)| *at <= place).map(|(_, sequence)| *sequence).max().unwrap_or(0)
    }
}

/// A client that changes its names one after the other, some commands ahead, until it has done enough or the server is
/// gone. Gives the answers, with how long the trace was by then, and what was asked.
fn live(mut client: Client, load: Load, prefix: &str, trace: &PathBuf, mut dice: Dice) -> Vec<(u64, u64, Change)> {
    let mut registered = vec![false; usize::try_from(NAMES).unwrap()];
    let mut seen = Vec::new();
    let mut sent = Vec::new();
    while seen.len() < load.changes {
        let mut text = String::new();
        for _ in 0..dice.between(1, load.in_flight_max) {
            let name = dice.between(0, NAMES - 1);
            let state = &mut registered[usize::try_from(name).unwrap()];
            *state = !*state;
            let (entity, registers) = (format!("{prefix}{name}.example"), *state);
            // Records of a few bytes, and such as fill several sectors and blocks.
            let note: String = (0..dice.between(load.note_bytes.0, load.note_bytes.1) / 16)
                .map(|_| format!("{:016x}", dice.roll()))
                .collect();
            text += &if registers {
                format!("{}\n", json!({"command": "REGISTER", "entity": entity, "attributes": {"note": note}}))
            } else {
                format!("{}\n", json!({"command": "REMOVE", "entity": entity}))
            };
            sent.push((entity, registers));
        }
        client.send(text);
        while seen.len() < sent.len() {
            let Some(answer) = client.next_answer() else { return seen };
            let place = fs::metadata(trace).unwrap().len();
            let change = sent[seen.len()].clone();
            seen.push((place, answer["sequence"].as_u64().unwrap_or_else(|| panic!("{change:?}: {answer}")), change));
        }
    }
    seen
}

/// Runs a server several times, each time with clients, and ends it in good order or not.
fn record(setup: &Setup, load: Load, dice: &mut Dice, pretends: bool) -> Recording {
    let home = Home::new();
    let trace = home.file("trace");
    let layer = Layer::of(home.root()).trace(&trace);
    let setup = setup.clone().watched(&if pretends { layer.pretends() } else { layer });
    let mut answers = Vec::new();
    for life in 0..load.lives {
        let mut server = setup.start_in(&home);
        let clients: Vec<Client> = (0..CLIENTS).map(|_| server.client()).collect();
        answers.extend(thread::scope(|scope| {
            let clients: Vec<_> = (0..)
                .zip(clients)
                .map(|(number, client)| {
                    let (dice, trace) = (dice.fork(100 * life + number), &trace);
                    scope.spawn(move || live(client, load, &format!("l{life}c{number}-"), trace, dice))
                })
                .collect();
            clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
        }));
        if dice.between(0, 2) == 0 {
            server.kill();
        } else {
            assert_eq!(server.terminate(), 0);
        }
    }
    let log = dumped(&home);
    for (_, sequence, change) in &answers {
        assert_eq!(Some(change), log.get(usize::try_from(*sequence).unwrap() - 1), "at {sequence}");
    }
    let answers = answers.into_iter().map(|(place, sequence, _)| (place, sequence)).collect();
    Recording { trace: fs::read(trace).unwrap(), answers, log }
}

/// All events of a store that no server has open.
pub fn dumped(home: &Home) -> Vec<Change> {
    let dump = run(&["log", "dump", "--json", "--data", home.data().to_str().unwrap()]).ended(0);
    let change = |event: Value| (event["entity"].as_str().unwrap().to_owned(), event["event"] == "registered");
    dump.json().into_iter().map(change).collect()
}

/// Starts a server on what a power loss left, and gives it with the number of its events, or says what is wrong.
fn examine(setup: &Setup, home: &Arc<Home>, log: &[Change], answered: u64) -> Result<(Server, u64), String> {
    let server = setup.try_start_in(home).map_err(|why| format!("it does not start: {why}"))?;
    let last: u64 = state(&server, "state recovered").1.parse().unwrap();
    if last < answered {
        return Err(format!("{answered} was answered, and the log ends at {last}"));
    }
    let events = log.get(..usize::try_from(last).unwrap()).ok_or_else(|| format!("event {last} was never there"))?;
    let mut client = server.client();
    let mut names: Vec<(&str, bool)> = Vec::new();
    for (entity, registered) in events {
        match names.iter_mut().find(|(name, _)| name == entity) {
            Some((_, state)) => *state = *registered,
            None => names.push((entity, *registered)),
        }
    }
    for names in names.chunks(1000) {
        let entities: Vec<&str> = names.iter().map(|(entity, _)| *entity).collect();
        let found = client.ask(json!({"command": "VERIFY", "entities": entities}));
        for ((entity, registered), result) in names.iter().zip(found["results"].as_array().unwrap()) {
            if result["verified"] != *registered {
                return Err(format!("{entity}: {result} behind event {last}"));
            }
        }
    }
    let more = client.ask(json!({"command": "REGISTER", "entity": "more.example"}));
    if more["sequence"] != last + 1 {
        return Err(format!("event {last} is followed by {more}"));
    }
    Ok((server, last))
}

/// What stands on disk when a server that was examined has ended: the same events, and the one that was added.
fn examine_files(home: &Home, log: &[Change], last: u64) {
    assert_eq!(home.verified_events(), last + 1);
    let found = dumped(home);
    let (more, before) = found.split_last().unwrap();
    assert_eq!(before, &log[..usize::try_from(last).unwrap()]);
    assert_eq!(*more, ("more.example".to_owned(), true));
}

/// A moment of a run, and how the power is lost.
#[derive(Clone, Copy, Debug)]
struct PowerLoss {
    place: u64,
    names: Names,
    loss: Loss,
    seed: u64,
}

impl PowerLoss {
    /// One when an answer is there, when a sync has begun and not yet ended, when something is done to a table of the
    /// log, or at any moment.
    fn draw(recording: &Recording, dice: &mut Dice) -> PowerLoss {
        let answers: Vec<u64> = recording.answers.iter().map(|(place, _)| *place).collect();
        let (mut syncs, mut tables, mut all) = (Vec::new(), Vec::new(), Vec::new());
        let mut inodes = HashSet::new();
        for (place, done) in Reader::new(&recording.trace) {
            all.push(place);
            let of_table = match done {
                Done::Created { inode, path } => is_table(path) && inodes.insert(inode),
                Done::Removed { path } => is_table(path),
                Done::Wrote { inode, .. } => inodes.contains(&inode),
                Done::SyncBegan { inode, .. } => {
                    syncs.push(place);
                    inodes.contains(&inode)
                }
                _ => false,
            };
            tables.extend(of_table.then_some(place));
        }
        // A disk that pretends has no syncs.
        let kinds: Vec<Vec<u64>> =
            [answers, syncs, tables, all].into_iter().filter(|places| !places.is_empty()).collect();
        let kind = dice.one_of(&kinds);
        let place = *dice.one_of(kind);
        PowerLoss::draw_at(place, &[Loss::All, Loss::None, Loss::Tail, Loss::Tail, Loss::Sectors, Loss::Sectors], dice)
    }

    fn draw_at(place: u64, losses: &[Loss], dice: &mut Dice) -> PowerLoss {
        let names = *dice.one_of(&[Names::OfDirectories, Names::InOneJournal]);
        PowerLoss { place, names, loss: *dice.one_of(losses), seed: dice.roll() }
    }

    /// The home that it leaves.
    fn happen(&self, mut before: Disk, trace: &[u8]) -> (Arc<Home>, bool) {
        before.advance(trace, self.place);
        let home = Home::new();
        before.lose_power(home.root(), self.loss, &mut Chance::new(self.seed)).unwrap();
        (home, before.is_settled())
    }
}

/// Whether a file is a table of RocksDB, or values beside one.
fn is_table(path: &[u8]) -> bool {
    path.ends_with(b".sst") || path.ends_with(b".blob")
}

/// Power losses that were, and how many of them left something to doubt, or were followed by another.
#[derive(Default, Debug)]
struct Losses {
    all: u64,
    doubtful: u64,
    twice: u64,
}

/// Loses the power at moments of a run, one for each cycle.
fn lose(setup: &Setup, recording: &Recording, cycles: Range<u64>, dice: &Dice) -> Losses {
    let mut losses = Losses::default();
    for cycle in cycles {
        let mut dice = dice.fork(1_000_000 + cycle);
        let power_loss = PowerLoss::draw(recording, &mut dice);
        println!("cycle {cycle}: {power_loss:?}");
        let (home, settled) = power_loss.happen(Disk::new(power_loss.names), &recording.trace);
        losses.all += 1;
        losses.doubtful += u64::from(!settled);
        let answered = recording.answered_at(power_loss.place);
        if dice.between(0, 3) == 0 {
            losses.twice += 1;
            lose_again(setup, &home, recording, answered, &mut dice);
            continue;
        }
        let (mut server, last) = examine(setup, &home, &recording.log, answered).unwrap();
        if dice.between(0, 1) == 0 {
            server.kill();
        } else {
            assert_eq!(server.terminate(), 0);
        }
        examine_files(&home, &recording.log, last);
    }
    losses
}

#[test]
fn a_power_loss_takes_nothing_that_was_answered() {
    let dice = Dice::new();
    let wanted = cycles("REPSEC_POWER_CYCLES", 24);
    let mut sum = Losses::default();
    for first in (0..wanted).step_by(usize::try_from(LOSSES_OF_A_RUN).unwrap()) {
        let setup = Setup::new(drivers()[0], *dice.fork(first).one_of(&[1, 3])).config(CONFIG);
        let recording = record(&setup, LIGHT, &mut dice.fork(first), false);
        let Losses { all, doubtful, twice } =
            lose(&setup, &recording, first..wanted.min(first + LOSSES_OF_A_RUN), &dice);
        sum = Losses { all: sum.all + all, doubtful: sum.doubtful + doubtful, twice: sum.twice + twice };
    }
    println!("{sum:?}: doubtful ones had something unsynced, twice is while the store recovered");
}

#[test]
#[ignore = "writes a gigabyte; tools/test --long has it"]
fn a_power_loss_while_tables_are_written_takes_nothing_either() {
    let dice = Dice::new();
    let setup = Setup::new(drivers()[0], 1).config(CONFIG);
    let recording = record(&setup, HEAVY, &mut dice.fork(0), false);
    let is_made = |done: &Done| matches!(done, Done::Created { path, .. } if is_table(path));
    let made = Reader::new(&recording.trace).filter(|(_, done)| is_made(done)).count();
    println!("{} events, {made} tables", recording.log.len());
    assert!(made >= TABLES_MIN, "the memory tables were not filled");
    let losses = lose(&setup, &recording, 0..cycles("REPSEC_POWER_HEAVY_CYCLES", 24), &dice);
    println!("{losses:?}: doubtful ones had something unsynced, twice is while the store recovered");
}

/// Loses the power again, while the server recovers from the first time or soon after.
fn lose_again(setup: &Setup, home: &Arc<Home>, recording: &Recording, answered: u64, dice: &mut Dice) {
    let trace = home.file("trace");
    let before = |names| Disk::of(home.root(), names).unwrap();
    let before = (before(Names::OfDirectories), before(Names::InOneJournal));
    let watched = setup.clone().watched(&Layer::of(home.root()).trace(&trace));
    let (mut server, last) = examine(&watched, home, &recording.log, answered).unwrap();
    let answered_at = fs::metadata(&trace).unwrap().len();
    server.kill();
    let mut log = recording.log[..usize::try_from(last).unwrap()].to_vec();
    log.push(("more.example".to_owned(), true));
    let trace = fs::read(trace).unwrap();
    let places: Vec<u64> = Reader::new(&trace).map(|(place, _)| place).collect();
    let power_loss = PowerLoss::draw_at(*dice.one_of(&places), &[Loss::All, Loss::Tail, Loss::Sectors], dice);
    println!("  again: {power_loss:?}");
    let before = if power_loss.names == Names::OfDirectories { before.0 } else { before.1 };
    let (home, _) = power_loss.happen(before, &trace);
    let answered = if power_loss.place >= answered_at { last + 1 } else { answered };
    let mut server = setup.start_in(&home);
    let found: u64 = state(&server, "state recovered").1.parse().unwrap();
    assert!(found >= answered, "{answered} was answered, and the log ends at {found}");
    server.kill();
    assert_eq!(dumped(&home), log[..usize::try_from(found).unwrap()]);
    assert_eq!(home.verified_events(), found);
}

#[test]
fn a_disk_that_only_pretends_to_sync_is_found_out() {
    const TRIES: u64 = 20;
    let dice = Dice::new();
    let setup = Setup::new(drivers()[0], 1).config(CONFIG);
    let recording = record(&setup, LIGHT, &mut dice.fork(0), true);
    let found = (1..=TRIES).find(|number| {
        let mut power_loss = PowerLoss::draw(&recording, &mut dice.fork(*number));
        power_loss.loss = Loss::Tail;
        let (home, _) = power_loss.happen(Disk::new(power_loss.names), &recording.trace);
        let found = examine(&setup, &home, &recording.log, recording.answered_at(power_loss.place));
        found.map(|_| ()).inspect_err(|why| println!("after {number}: {why}")).is_err()
    });
    assert!(found.is_some(), "no sync was done, and nothing was lost");
}
