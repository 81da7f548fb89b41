//! What a peer, an operator and a shell see of the built executable. No code of the product is linked here: every test
//! starts `repsec` as a process, talks TLS to it, sends it signals, and looks at what it leaves on disk.
//!
//! Tests of the server run with both drivers of the event loop, and where it matters with one shard and with three.
//! Longer runs: the manual's page "crashes" has the variables that say how often the crash tests crash, and
//! `REPSEC_SEED` repeats a run that failed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::needless_pass_by_value, reason = "literals read best without a borrow")]

mod audit;
mod cli;
mod crash;
mod disk;
mod faults;
mod framing;
mod harness;
mod hostile;
mod import;
mod lifecycle;
mod linear;
mod once;
mod order;
mod power;
mod pressure;
mod readme;
mod refuse;
mod replay;
mod starting;
mod stop;
mod tls;
mod transcript;
mod trust;
