//! The program; see [`repsec_budgets`].

use std::process::ExitCode;

fn main() -> ExitCode {
    repsec_budgets::cli::main()
}
