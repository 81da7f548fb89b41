//! The manual: pages for whoever works on the store or with it. They lie beside this file as Markdown, and rustdoc
//! renders each as a module, so that its links and examples are checked with the code.
//!
//! May use: nothing. Never: code.

#[doc = include_str!("architecture.md")]
pub mod architecture {}

#[doc = include_str!("concurrency.md")]
pub mod concurrency {}

#[doc = include_str!("configuration.md")]
pub mod configuration {}

#[doc = include_str!("crashes.md")]
pub mod crashes {}

#[doc = include_str!("decisions.md")]
pub mod decisions {}

#[doc = include_str!("errors.md")]
pub mod errors {}

#[doc = include_str!("flow.md")]
pub mod flow {}

#[doc = include_str!("fuzzing.md")]
pub mod fuzzing {}

#[doc = include_str!("glossary.md")]
pub mod glossary {}

#[doc = include_str!("limits.md")]
pub mod limits {}

#[doc = include_str!("mutants.md")]
pub mod mutants {}

#[doc = include_str!("performance.md")]
pub mod performance {}

#[doc = include_str!("simulation.md")]
pub mod simulation {}

#[doc = include_str!("soak.md")]
pub mod soak {}

#[doc = include_str!("storage_format.md")]
pub mod storage_format {}

#[doc = include_str!("style.md")]
pub mod style {}
