//! The command line: arguments in, exit codes out.

mod annotate;
mod arguments;
mod bench;
#[cfg(all(feature = "camera", target_os = "linux"))]
mod cameras;
mod caption;
mod compare;
mod fingerprint;
mod inspect;
mod load_timeout;
mod logger;
mod memory;
mod memory_args;
mod model_args;
mod profile;
mod progress;
mod sink_args;
mod size;
mod source_args;
mod source_values;
mod watch;
mod watch_args;
mod watch_health;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use scenescribe::MemoryPool;

use self::memory_args::MemoryArgs;

/// Captions pictures: a photo in, a sentence out
///
/// Captions go to standard output, all else to standard error.
/// Exit codes: 0 success, 1 failure, 2 wrong usage, 3 out of memory (see --memory).
/// @FILE stands for the lines of FILE, one argument a line.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Log more to standard error (-vv for every frame)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,

    #[command(flatten)]
    memory: MemoryArgs,
}

#[derive(Subcommand)]
enum Command {
    Caption(caption::Args),
    Annotate(annotate::Args),
    Watch(Box<watch::Args>),
    Inspect(inspect::Args),
    Bench(bench::Args),
    #[cfg(all(feature = "camera", target_os = "linux"))]
    Cameras(cameras::Args),
}

/// What the command line is, for manual pages and completions.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program.
pub fn run() -> ExitCode {
    let arguments =
        arguments::from_env().unwrap_or_else(|problem| command().error(ErrorKind::ValueValidation, problem).exit());
    if let Err(code) = memory_args::take_pool(&arguments) {
        return code;
    }
    memory_args::bound_opening();
    MemoryPool::set_thrifty(true);
    let cli = Cli::parse_from(arguments);
    logger::init(cli.verbose);
    if let Err(code) = cli.memory.apply() {
        return code;
    }
    scenescribe::quiet_guarded_panics();
    match cli.command {
        Command::Caption(args) => caption::run(&args),
        Command::Watch(args) => watch::run(&args),
        Command::Annotate(args) => annotate::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Bench(args) => bench::run(&args),
        #[cfg(all(feature = "camera", target_os = "linux"))]
        Command::Cameras(args) => cameras::run(&args),
    }
}

/// Prints what a command found out, or why it could not.
fn print_report(report: Result<String, impl Display>) -> ExitCode {
    match report {
        Ok(report) => exit_code(io::stdout().write_all(report.as_bytes()), ExitCode::SUCCESS),
        Err(error) => fail(&error),
    }
}

fn fail(error: &impl Display) -> ExitCode {
    log::error!("{error}");
    ExitCode::FAILURE
}

/// What becomes of the program after printing; a reader who has gone away is a normal end.
fn exit_code(printed: io::Result<()>, otherwise: ExitCode) -> ExitCode {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            log::error!("cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
        _ => otherwise,
    }
}
