//! The measurements themselves, one file for each set of servers.
//!
//! | file | budgets |
//! |---|---|
//! | [`lookup`] | B1, B2, B3: lookups beside Redis and an echo |
//! | [`durable`] | B4: changes beside a Redis that syncs |
//! | [`large`] | B5 to B8 and B10: a store with ten million entities |
//! | [`replay`] | B5: reading the log, beside a bare scan |
//! | [`idle`] | B9: connections that do nothing |

pub mod durable;
pub mod idle;
pub mod large;
pub mod lookup;
pub mod replay;
