#![doc = include_str!("../README.md")]
//!
//! # The house
//!
//! Floors, each of which knows only those below it:
//!
//! ```text
//!   cli         config                 the surface: what people type and write
//!   server                             the doing: sockets, TLS, threads
//!   engine      projection             one shard's brain, and what it remembers
//!   faces       log         runtime    meaning at the edge; disk; machine
//!   domain      wire                   pure rules; pure syntax
//!   types                              words
//! ```
//!
//! [`manual::architecture`] tells what each may use and never does, and a test holds it to that.

pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod faces;
pub mod log;
pub mod manual;
pub mod projection;
pub mod runtime;
pub mod server;
mod sync;
pub mod types;
pub mod wire;
