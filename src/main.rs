//! The `repsec` program: server, command line and offline tools in one.

use std::process::ExitCode;

// The sanitizers watch the system's allocator only.
#[cfg(not(system_allocator))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    repsec::cli::main()
}
