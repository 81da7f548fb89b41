//! Floor 0, words: the values that every other floor speaks in.
//!
//! May use: `core`, `std`'s plain data, and libraries for canonical text (IDNA, Unicode, URLs, times) and SIMD.
//! Never: clocks, I/O, locks, anything of ours above this floor.

pub mod attributes;
pub mod entity;
pub mod hash;
pub mod limits;
pub mod nonce;
pub mod principal;
pub mod sequence;
mod sip;
pub mod time;

pub use attributes::{Attributes, Digest};
pub use entity::{Entity, EntityError, Kind, KindCode};
pub use hash::{EntityHash, Fingerprint, HashKey};
pub use nonce::{Nonce, Once, OnceRef};
pub use principal::Principal;
pub use sequence::Sequence;
pub use time::{Day, RFC3339_BYTES_MAX, Timestamp};
