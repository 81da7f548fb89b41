//! Floor 1, syntax: bytes to JSON values and back, without meaning.
//!
//! [`frame`] finds where messages end, [`json`] parses one in place, [`flat`] reads the simplest ones at less cost, and
//! [`shape`] those that are like one before. [`canonical`] writes the one spelling of a value that RFC 8785 prescribes,
//! and [`text`] writes strings and numbers of answers.
//!
//! May use: `types`. Never: sockets, clocks, a protocol's words, `domain`. An error here is a small value without any
//! text of the peer's, so that it can be shown and counted freely.

pub mod canonical;
pub mod flat;
pub mod frame;
pub mod json;
pub mod malformed;
#[cfg(test)]
pub(crate) mod samples;
pub mod shape;
pub mod text;

pub use malformed::Malformed;
