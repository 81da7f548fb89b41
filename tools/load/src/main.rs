//! The `repsec-load` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    repsec_load::cli::main()
}
