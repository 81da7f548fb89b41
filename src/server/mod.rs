//! Floor 4, the doing: sockets, TLS, threads; what the engine says is done here.
//!
//! ```text
//!  connection ──▶ session (face) ──▶ core::pump ──▶ what gathers ──▶ engine of this core, or a letter to another
//!      ▲                                                                    │ effects
//!      └──── writer task ◀── session ◀── answers ◀──────────────────────────┴──▶ committer thread, reader threads
//! ```
//!
//! May use: all floors below. Never: names RocksDB, rkyv, simd-json or monoio; decides what a command means.

mod buffers;
mod certificates;
mod connection;
mod core;
mod error;
mod filling;
mod history;
mod journal;
mod letter;
mod listener;
mod moment;
mod numbered;
mod pages;
mod recovery;
mod run;
mod settings;
mod shard;
mod shared;
mod snapshot;
mod stepped;
pub mod tls;

pub use certificates::{CertificateFiles, make_development, server_config};
pub use error::StartError;
pub use letter::{Answers, Questions, Tag};
pub use recovery::{Rebuilt, rebuild};
pub use run::{Ended, run};
pub use settings::Settings;
pub use stepped::{SteppedConnection, SteppedCores, SteppedOptions};

/// The exit status of a process whose log can no longer be written.
pub const EXIT_FAILED: i32 = 3;
/// The exit status of a process one of whose threads panicked, as Rust's own for the main thread.
pub const EXIT_PANIC: i32 = 101;
