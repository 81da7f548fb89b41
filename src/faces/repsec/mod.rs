//! RepSec itself (draft-ehlers-repsec-00): JSON objects over TLS.
//!
//! | file | duty |
//! |---|---|
//! | [`session`] | one connection: frames messages, keeps answers in order |
//! | [`message`] | one message to one command |
//! | [`answer`] | one outcome to one line of JSON |
//! | [`status`] | the eight status codes and the stable error codes |
//! | `alike` | one message like one before |
//! | `members` | the members of a message |
//! | [`bulk`] | the results of a bulk lookup while they gather |
//! | [`cursor`] | where an AUDIT page ended |
//! | [`id`] | the member that a peer recognizes its answer by |
//! | [`settings`] | what an operator may set |
//!
//! The commands that concern no entity, PING and CAPABILITIES, are answered here: they touch neither shard nor disk,
//! and so work during replay and during a disk failure (`repsec:O15`).

mod alike;
pub mod answer;
pub mod bulk;
pub mod cursor;
pub mod id;
mod lookup;
mod members;
pub mod message;
pub mod session;
pub mod settings;
pub mod status;

pub use crate::faces::Record;
pub use session::Session;
pub use settings::{Limits, Settings};
pub use status::{ErrorCode, Status};
