//! What a power loss leaves of a directory.
//!
//! A program runs with `repsec-powerloss-preload`, which writes down everything that is done to one directory: the
//! [`trace`]. From that, [`Disk`] knows for every moment what had been synced and what had not, and makes directories as
//! the power loss of that moment may leave them. One run gives as many power losses as one likes.
//!
//! The manual's page "crashes" says in words what is kept and what is lost.

mod chance;
mod disk;
pub mod trace;

pub use chance::Chance;
pub use disk::{Disk, Loss, Names};
