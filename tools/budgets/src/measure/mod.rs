//! The measurements themselves, one file for each set of servers.
//!
//! | file | budgets |
//! |---|---|
//! | [`lookup`] | B1, B2, B3: lookups beside Redis and an echo |
//! | [`durable`] | B4: changes beside a Redis that syncs |
//! | [`large`] | B5 to B8: a store with ten million entities |
//! | [`growth`] | B10: the same and smaller ones, beside Redis |
//! | [`replay`] | B5: reading the log, beside two bare scans and two floors |
//! | [`idle`] | B9: connections that do nothing |

pub mod durable;
pub mod growth;
pub mod idle;
pub mod large;
pub mod lookup;
pub mod replay;
