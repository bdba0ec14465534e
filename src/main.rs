//! The program `scenescribe`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
