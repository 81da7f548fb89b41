//! A load generator that measures a RepSec server beside its peers, with the same client for all of them.
//!
//! What a number means depends on how it was made, so this is what the client does and does not do:
//!
//! - **Open loop.** At [`Pace::PerSecond`] each command has an intended time on an even schedule, and its latency counts
//!   from then, whether or not it could be sent then. A server that stalls is charged for every command that it kept
//!   waiting, also for those that were not sent because of it. At [`Pace::Max`] the loop is closed: as many commands as
//!   allowed are kept in flight, and latency counts from the sending.
//! - **Every answer is checked**, in order: its status, what it says, its `id` if one was sent, the value that Redis gives
//!   back, every byte that is echoed. The first wrong answer ends the run with what was asked and what came.
//! - **The window.** Connections and their handshakes come before the start, then the warm-up, then the window that is
//!   counted. Throughput is the commands answered inside the window, over its length. Latencies are, in the open loop,
//!   those of the commands *intended* inside it, however late their answers; in the closed loop those answered inside it.
//! - **CPU** of client and server is read twice, at the same moments as the count of answers, and divided by what was
//!   answered in between. [`process::Usage`] says what it covers.
//! - **One client.** All targets are driven by the same sockets, the same TLS and the same loop; they differ in how a
//!   command is spelled and how its answer is read. TLS is 1.3, and the report names the cipher suite.
//!
//! ```no_run
//! use repsec_load::{Pace, Plan, Target, Workload, run};
//!
//! let mut plan = Plan::new(Target::RepSec, "127.0.0.1:4655".parse()?, "data/tls/ca.pem");
//! plan.workload = Workload::VerifyHit;
//! plan.entities = 1_000_000;
//! plan.connections = 4;
//! plan.in_flight = 128;
//! plan.pace = Pace::PerSecond(100_000);
//! plan.pid = Some(4711);
//! let report = run(&plan)?;
//! println!("{:.0}/s, p99 {} us", report.commands_per_s, report.latency.p99_us);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | duty |
//! |---|---|
//! | [`plan`] | what a run is told |
//! | [`entities`] | which names there are, and what is known of them |
//! | `draw`, `schedule`, `script` | which name is asked for, when, and what about it |
//! | `protocol` | spelling commands and checking answers, for each target |
//! | `tls`, `link`, `dialogue`, `tally`, `worker` | one connection, and many on one thread |
//! | [`mod@run`], [`mod@hold`] | a measurement from beginning to end |
//! | [`report`], [`process`] | what came of it |
//! | [`echo`] | the echo server: the floor below all servers |
//!
//! May use: of `repsec` its runtime, TLS, development certificates and rules for names. Never: its faces, to spell
//! commands or to read answers; a client that shared them would share their mistakes. (Tests compare the two.)

pub mod cli;
mod dialogue;
mod draw;
pub mod echo;
pub mod entities;
pub mod error;
pub mod hold;
mod link;
pub mod plan;
pub mod process;
mod protocol;
pub mod report;
pub mod run;
mod schedule;
mod script;
mod tally;
mod tls;
mod worker;

pub use entities::Entities;
pub use error::LoadError;
pub use hold::{Hold, HoldReport, hold};
pub use plan::{Extent, Keys, Pace, Plan, Target, Workload};
pub use process::Usage;
pub use report::Report;
pub use run::{Progress, run, run_with};
