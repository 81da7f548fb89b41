//! The `repsec` program: server, command line and offline tools in one.

use std::process::ExitCode;

fn main() -> ExitCode {
    repsec::cli::main()
}
