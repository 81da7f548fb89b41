//! Changes and lookups beside the day, so that what gathers in a server's memory goes to disk several times in a run.
//!
//! A server gathers events, their index and the access journal in memory, and writes each as one table when it is full.
//! At the day's own pace that takes up to twelve minutes, and in half an hour nobody could tell a table that fills from
//! a leak. What is done here leaves no state: what is registered is removed at once. A long run needs none of it.
//!
//! Never: judges.

use repsec::log::CommitterOptions;
use repsec_load::entities::{Name, write_value};
use repsec_load::{Entities, Extent, Pace, Plan, Workload, run};
use serde_json::{Value, json};

use super::Look;
use crate::ask::Asker;
use crate::failure::Failure;
use crate::peer::Peer;
use crate::statistics::{float, float64};

/// How often each table goes to disk in a run: more than three times in each of the three thirds that are compared.
const TURNS: f64 = 18.0;
/// Lookups that fill the memory table of the access journal: 32 MiB, of ten bytes for each name.
const NAMES_A_TURN: f64 = 32.0 * 1024.0 * 1024.0 / 10.0;
/// What is done of each behind one round at the most, so that a slow machine has rounds all the same. Where it is not
/// enough, [`turns`] tells.
const CHANGES_MAX: u64 = 80_000;
const NAMES_MAX: u64 = 600_000;
/// Steps of what is done behind one round; memory is looked at behind each of them. Were it one look to a round, a table
/// that is full behind every fourth would be seen at the same four places each time, which are not its mean.
pub const PARTS: u64 = 4;
/// Changes that are asked at once.
const TOGETHER: usize = 500;
/// Names in one lookup, lookups in flight, and their connections.
const NAMES_A_LOOKUP: u64 = 100;
const IN_FLIGHT: usize = 8;
const CONNECTIONS: usize = 2;

/// Events that fill the part of the AUDIT index in memory. It is the slowest, with the log's own table, in which batches lie
/// packed.
fn changes_a_turn() -> f64 {
    float(CommitterOptions::default().index_rows)
}

/// How often all that gathers in memory went to disk while this was seen.
pub fn turns(looks: &[Look]) -> f64 {
    let changes: u64 = looks.iter().map(|look| look.changes).sum();
    let names: u64 = looks.iter().map(|look| look.names).sum();
    (float64(changes) / changes_a_turn()).min(float64(names) / NAMES_A_TURN)
}

/// Changes and names that are to be seen to behind a round, in a run of so many minutes at this one.
pub fn due(looks: &[Look], minute: f64, minutes: f64, in_round: (u64, u64)) -> (u64, u64) {
    let part = TURNS * (minute / minutes).min(1.0);
    let missing = |all: f64, done: u64, most: u64| {
        // Counting up in steps spares a conversion, and so does one lookup or one change too many.
        let missing = all - float64(done);
        (0..=most / NAMES_A_LOOKUP).map(|step| step * NAMES_A_LOOKUP).find(|n| float64(*n) >= missing).unwrap_or(most)
    };
    let changes = in_round.0 + looks.iter().map(|look| look.changes).sum::<u64>();
    let names = in_round.1 + looks.iter().map(|look| look.names).sum::<u64>();
    (missing(part * changes_a_turn(), changes, CHANGES_MAX), missing(part * NAMES_A_TURN, names, NAMES_MAX))
}

/// Does one of the [`PARTS`] of what is due of changes and names; how many of each there were. The names that are changed
/// begin at number `entities`, below which all are registered.
///
/// # Errors
/// When the server fails, or an answer is wrong.
pub fn part(
    peer: &Peer,
    names: &Entities,
    entities: u64,
    (changes, asked): (u64, u64),
    seed: u64,
) -> Result<(u64, u64), Failure> {
    Ok((change(peer, names, entities, changes / PARTS)?, look_up(peer, entities, asked / PARTS, seed)?))
}

/// Registers names from number `first` on and removes them again, some at a time, until there were so many changes. How
/// many there were.
fn change(peer: &Peer, names: &Entities, first: u64, changes: u64) -> Result<u64, Failure> {
    let mut asker = Asker::new(peer)?;
    let numbers: Vec<u64> = (first..first + changes / 2).collect();
    for numbers in numbers.chunks(TOGETHER) {
        let named = |number: &u64| names.text(Name::Entity(*number));
        let register = |number: &u64| {
            let mut attributes = Vec::new();
            write_value(*number, &mut attributes);
            let attributes: Value = serde_json::from_slice(&attributes).unwrap_or_default();
            json!({"command": "REGISTER", "entity": named(number), "attributes": attributes})
        };
        let remove = |number: &u64| json!({"command": "REMOVE", "entity": named(number)});
        for commands in [numbers.iter().map(register).collect::<Vec<_>>(), numbers.iter().map(remove).collect()] {
            let answers = asker.ask_all(&commands)?;
            if let Some(answer) = answers.iter().find(|answer| answer["status"] != 200) {
                return Err(Failure::peer(&peer.name, format!("answered {answer} to a change that it should take")));
            }
        }
    }
    Ok(changes / 2 * 2)
}

/// Looks up so many names, and checks the answers. How many there were.
fn look_up(peer: &Peer, entities: u64, names: u64, seed: u64) -> Result<u64, Failure> {
    if names < NAMES_A_LOOKUP {
        return Ok(0);
    }
    let plan = Plan {
        workload: Workload::Bulk,
        entities,
        pace: Pace::Max,
        connections: CONNECTIONS,
        in_flight: IN_FLIGHT,
        names_per_message: usize::try_from(NAMES_A_LOOKUP).unwrap_or(1),
        warmup_s: 0.0,
        extent: Extent::Commands(names / NAMES_A_LOOKUP),
        seed,
        ..peer.plan()
    };
    Ok(run(&plan).map_err(Failure::load("looking up many names"))?.names)
}
