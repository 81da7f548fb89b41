//! Floor 3, projections: what is derived from the log and kept in memory. Each is a function of the events and can be
//! rebuilt from them at any time (P3).
//!
//! May use: `types`, `domain`, and the log's plain data. Never: RocksDB, faces, sockets, clocks.

mod arena;
pub mod belt;
pub mod current;
mod index;
mod names;
pub mod nonces;
mod prefetch;
mod record;
mod region;
pub mod state_hash;

pub use belt::{AHEAD, on_belt};
pub use current::{Current, Position, Walk};
pub use nonces::{Claimed, NonceWalk, Nonces, Remembered, Repeatable, STRIPES, Used};
pub use region::Region;
pub use state_hash::{StateHash, StateSum};
