//! The parts of the store, each measured alone: `cargo bench --bench micro`, or `-- frame` for one of them.
//!
//! One program for all of them, since each links the whole store. Every module is named for one thing, says which
//! question it answers and what its numbers are not, and checks its results once before anything is timed. The server
//! as a whole (sockets, cores, peers) is not measured here.
//!
//! Under `cargo test` each measurement runs once, on small inputs.

mod append;
mod apply;
mod audit;
mod decide;
mod face;
mod floor;
mod frame;
mod json;
mod mailbox;
mod record;
mod replay;
mod store;
mod table;
mod tls;
mod workload;

use criterion::{criterion_group, criterion_main};

criterion_group!(syntax, frame::measure, json::measure);
criterion_group!(rules, decide::measure, apply::measure);
criterion_group!(memory, table::measure, mailbox::measure);
criterion_group!(disk, record::measure, append::measure, replay::measure, audit::measure);
criterion_group!(edge, tls::measure, face::measure, floor::measure);
criterion_main!(syntax, rules, memory, disk, edge);
