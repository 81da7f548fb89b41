//! What threads meet at, for the code whose meeting is worked out by hand. It names these here and nowhere else, so that
//! `tools/model` can compile the very same files over others, with which every order of events is tried.

pub use std::os::unix::net::UnixStream;
pub use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, fence};
pub use std::sync::{Mutex, MutexGuard};

pub use crossbeam::queue::{ArrayQueue, SegQueue};
