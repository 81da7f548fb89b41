//! Stands between a program and the file system by `LD_PRELOAD`, for one directory: `POWERLOSS_DIRECTORY`.
//!
//! - `POWERLOSS_TRACE=FILE` appends everything that is done to the directory to a trace (`repsec_powerloss::trace`).
//! - `POWERLOSS_FAIL=WHAT:N:ERRNO` lets the n-th `read`, `open`, `write`, `sync` or `name` (renaming, linking, removing,
//!   making a directory) fail; `WHAT:N+:ERRNO` lets all from the n-th on fail.
//! - `POWERLOSS_COUNTS=FILE` keeps how many of each there were, and how many failed: six numbers of 8 bytes.
//! - `POWERLOSS_SYNC=pretend` says of every sync that it was done, and does not do it.
//!
//! It knows the functions that the program uses: those of the libc below Rust's standard library and RocksDB. Files that
//! are mapped for writing, or written through the C library's streams, pass by unseen.

#![allow(unsafe_code, reason = "functions of libc are unsafe to stand in for")]
#![allow(clippy::missing_safety_doc, missing_docs, reason = "each has the contract of the function of its name")]

mod calls;
mod watch;
