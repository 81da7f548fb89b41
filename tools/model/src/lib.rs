//! The files of the product in which threads meet, compiled over [loom] instead of the standard library and crossbeam:
//! `crate::sync` is another one here. `tests/models.rs` lets their threads run in every order of events. The manual's
//! page `concurrency` says what that covers and how a failure is read.

// What is tried is the product's own source, whose unit tests are not meant for this.
#![cfg(not(test))]

mod explore;
// They are formatted where they live.
#[rustfmt::skip]
#[path = "../../../src/runtime/mailbox.rs"]
pub mod mailbox;
#[rustfmt::skip]
#[path = "../../../src/projection/nonces.rs"]
pub mod nonces;
#[rustfmt::skip]
#[path = "../../../src/projection/prefetch.rs"]
mod prefetch;
#[rustfmt::skip]
#[path = "../../../src/runtime/progress.rs"]
pub mod progress;
#[rustfmt::skip]
#[path = "../../../src/engine/sequencer.rs"]
pub mod sequencer;
pub mod sync;

pub use explore::{Found, explore, find};

// The names under which those files know the rest of the product.
use mailbox::Mesh;
use repsec::types;
