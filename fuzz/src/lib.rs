//! The bodies of all fuzz targets. Each is a plain function that takes bytes and panics when a promise is broken, so
//! that libFuzzer drives it (`bins/`), and `cargo test` replays what was found (`corpus/`) without any of that.
//!
//! May use: the public items of the product. Never: time, randomness, or anything that makes two runs differ.

pub mod access;
pub mod answer;
pub mod batch;
pub mod canary;
pub mod commands;
pub mod config;
pub mod entity;
pub mod flat;
pub mod frame;
pub mod import;
pub mod json;
pub mod message;
pub mod recovery;
pub mod shape;
pub mod tree;

/// A target with its name, which is also that of its binary and of its folder in `corpus/`.
pub type Target = (&'static str, fn(&[u8]));

/// All targets that must find nothing. The canary is not among them.
pub const ALL: [Target; 13] = [
    ("access", access::run),
    ("answer", answer::run),
    ("batch", batch::run),
    ("commands", commands::run),
    ("config", config::run),
    ("entity", entity::run),
    ("flat", flat::run),
    ("frame", frame::run),
    ("import", import::run),
    ("json", json::run),
    ("message", message::run),
    ("recovery", recovery::run),
    ("shape", shape::run),
];

/// Splits the front off: how a stream is cut. The first byte says how many lengths follow, at most 7.
pub fn pieces(data: &[u8]) -> (Vec<usize>, &[u8]) {
    let Some((first, rest)) = data.split_first() else { return (vec![1], data) };
    let (lengths, rest) = rest.split_at(usize::from(first % 8).min(rest.len()));
    let mut lengths: Vec<usize> = lengths.iter().map(|length| usize::from(*length).max(1)).collect();
    lengths.push(usize::from(first / 8).max(1));
    (lengths, rest)
}
