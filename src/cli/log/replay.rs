//! `repsec log replay`: the state, rebuilt from the first event on.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::log::Store;
use crate::server::{Rebuilt, rebuild};

use super::open::{Progress, failed};

/// Rebuilds the state of `shards` shards and shows its hash.
pub(super) fn run(store: &Store, shards: usize, json: bool, out: &mut dyn Write) -> Result<Exit, Failure> {
    let bar = Progress::new("replaying");
    let began = Instant::now();
    // What comes behind the last batch is the hash of the state, which is no part of the replay.
    let mut replayed = Duration::ZERO;
    let mut progress = |done, total| {
        bar.at(done, total);
        replayed = began.elapsed();
    };
    let rebuilt = rebuild(store, shards, &mut progress).map_err(failed)?;
    drop(bar);
    let (seconds, replay_seconds) = (began.elapsed().as_secs_f64(), replayed.as_secs_f64());
    let Rebuilt { sequence, entities, registered, state_hash } = rebuilt;
    if json {
        let line = json!({
            "sequence": sequence.value(),
            "entities": entities,
            "registered": registered,
            "shards": shards,
            "state_hash": state_hash.to_string(),
            "replay_seconds": replay_seconds,
            "seconds": seconds,
        });
        writeln!(out, "{line}")?;
    } else {
        let rows = [
            ("events".to_owned(), sequence.to_string()),
            ("entities".to_owned(), entities.to_string()),
            ("registered".to_owned(), registered.to_string()),
            ("shards".to_owned(), shards.to_string()),
            ("state hash".to_owned(), state_hash.to_string()),
            ("seconds to replay".to_owned(), format!("{replay_seconds:.3}")),
            ("seconds".to_owned(), format!("{seconds:.3}")),
        ];
        out.write_all(output::listing(rows).as_bytes())?;
    }
    out.flush()?;
    Ok(Exit::Yes)
}
