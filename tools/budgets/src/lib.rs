//! Measures a RepSec server beside Redis over TLS, a TLS echo server and a bare RocksDB: on the same machine, in the same
//! run, with the same client; and says of each budget of the design whether it is met, and by how much.
//!
//! The peers take turns within each round (A B C A B C ...), and ratios are taken within a round, so that a machine that
//! grows slower meanwhile tells nothing about any of them. Before each measurement all servers must have come to rest.
//!
//! | module | duty |
//! |---|---|
//! | [`budget`], [`statistics`], [`mod@unit`] | goals and verdicts, medians and ratios, numbers for people |
//! | [`peer`], [`ending`], [`scratch`] | the servers, and that nothing of them stays behind |
//! | [`bench`](mod@bench), [`measure`] | the measurements |
//! | [`forecast`] | how long a run takes |
//! | [`patience`], [`others`] | how long is waited for quiet, and how quiet it was |
//! | [`ask`], [`scan`] | what the load generator does not do |
//! | [`row`], [`book`] | what was found |
//! | [`machine`], [`results`], [`folder`], [`privacy`], [`table`], [`plot`] | a whole run, for people and programs |
//! | [`compare`] | whether two runs agree |
//! | [`profile`] | where the time of a command goes |
//! | [`soak`] | whether a server stays as it is over a long time |
//! | [`settings`], [`run`](mod@run), [`cli`] | what a run is told, and its course |
//!
//! May use: `repsec-load` for every load, and of `repsec` the development certificates. Never: judges speed in a test.

pub mod ask;
pub mod bench;
pub mod book;
pub mod budget;
pub mod cli;
pub mod compare;
pub mod ending;
pub mod failure;
pub mod folder;
pub mod forecast;
pub mod machine;
pub mod measure;
pub mod others;
pub mod patience;
pub mod peer;
pub mod plot;
pub mod privacy;
pub mod profile;
pub mod results;
pub mod row;
pub mod run;
pub mod scan;
pub mod scratch;
pub mod settings;
pub mod soak;
pub mod statistics;
pub mod table;
pub mod unit;

use std::path::PathBuf;

/// The repository that this program was built from.
pub fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
