//! Writes the manual pages and the shells' completions of the program into a folder, for packages.
//!
//! `cargo run --release --example manual -- FOLDER`. The generators stay out of the program itself.

#[allow(dead_code)] // of the program's command line only its description is used here
#[path = "../src/cli/mod.rs"]
mod cli;

use std::path::PathBuf;

use clap_complete::Shell;

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args_os().nth(1).unwrap_or_else(|| ".".into()));
    std::fs::create_dir_all(&folder)?;
    clap_mangen::generate_to(cli::command(), &folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut cli::command(), "scenescribe", &folder)?;
    }
    Ok(())
}
