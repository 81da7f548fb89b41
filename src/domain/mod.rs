//! Floor 1, rules: what a command does to the standing of an entity. Pure and total.
//!
//! [`decide`](decide::decide) looks at a standing and a command and says what happens; [`apply`](apply::apply) says what
//! standing an event leaves. Time is an input.
//!
//! May use: `types`. Never: I/O, clocks, randomness, logging, serde, rkyv, a protocol's words, or the order of a hash map.
//! Refusals are values here, not errors; a face gives them their codes.

pub mod apply;
pub mod changes;
pub mod command;
pub mod decide;
pub mod event;
pub mod lookup;
pub mod outcome;
pub mod refusal;
pub mod standing;

pub use apply::{apply, standing_after};
pub use changes::{AskedChange, ChangeRef, Changes};
pub use command::{Asked, At, Claim, Command, Named, Order, Page, Request};
pub use decide::{Context, Decision, decide, decide_change, decide_claim};
pub use event::{Change, Event, EventRef};
pub use lookup::{Found, Lookup, Lookups};
pub use outcome::{Changed, HistoryPage, Outcome, Unavailable, Verified};
pub use refusal::Refusal;
pub use standing::Standing;
