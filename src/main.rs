//! The `repsec` program: server, command line and offline tools in one.

use std::process::ExitCode;

// The sanitizers watch the system's allocator only.
#[cfg(not(system_allocator))]
mod allocator;

fn main() -> ExitCode {
    #[cfg(not(system_allocator))]
    allocator::keep_what_is_free();
    repsec::cli::main()
}
