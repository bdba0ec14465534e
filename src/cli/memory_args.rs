//! The options that give the program a fixed amount of memory.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use scenescribe::limits::{MAX_POOL_BYTES, MIN_POOL_BYTES};
use scenescribe::{Exhaustion, MemoryPool, exit_at_once};

use super::size::{Size, parse_size};

/// Exit code of a program that does not fit its memory.
pub const OUT_OF_MEMORY: u8 = 3;

const OPTION: &str = "--memory";

#[derive(Args)]
pub struct MemoryArgs {
    /// Use no more memory than SIZE (such as 32M), taken at the start
    ///
    /// Every allocation is served from one pool of this size; the program's own pages and the stacks of its threads come
    /// on top. A model that needs more is refused at the start, with exit code 3; so ends the program if the pool runs
    /// out later. SIZE is in bytes, or with K, M or G (also KiB, MiB, GiB), powers of 1024.
    #[arg(long, global = true, value_name = "SIZE", value_parser = pool_size, hide_short_help = true)]
    memory: Option<usize>,

    /// Touch all of that memory at the start and keep it from being swapped out
    #[arg(long, global = true, hide_short_help = true)]
    lock_memory: bool,
}

/// Takes the pool that the arguments ask for, before anything else is allocated.
///
/// What is wrong with the arguments is left to clap to say.
pub fn take_pool(arguments: &[OsString]) -> Result<(), ExitCode> {
    let Some(size) = asked_for(arguments) else { return Ok(()) };
    MemoryPool::take(size, end).map_err(|error| {
        eprintln!("scenescribe: error: cannot take {} of memory: {error}", Size(size));
        ExitCode::from(OUT_OF_MEMORY)
    })
}

/// Has models that are hostile ended in the same words.
pub fn bound_opening() {
    MemoryPool::bound_opening(end);
}

fn asked_for(arguments: &[OsString]) -> Option<usize> {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(argument) = argument.to_str() else { continue };
        let value = match argument.strip_prefix(OPTION) {
            Some("") => arguments.next()?.to_str(),
            Some(value) => value.strip_prefix('='),
            None if argument == "--" => return None,
            None => continue,
        };
        if let Some(value) = value {
            return pool_size(value).ok();
        }
    }
    None
}

/// Says what was lacking, without allocating, and ends the process.
fn end(exhaustion: Exhaustion) {
    let _ = writeln!(io::stderr().lock(), "scenescribe: error: {exhaustion}: give {OPTION} a larger size");
    exit_at_once(OUT_OF_MEMORY);
}

impl MemoryArgs {
    /// Checks that the pool is what clap has read, and locks it if that is asked for.
    pub fn apply(&self) -> Result<(), ExitCode> {
        if self.memory != MemoryPool::size() || (self.lock_memory && self.memory.is_none()) {
            eprintln!(
                "scenescribe: error: {OPTION} SIZE must stand once, as an argument of its own; --lock-memory needs it"
            );
            return Err(ExitCode::from(2));
        }
        match self.memory.filter(|_| self.lock_memory).map(|_| MemoryPool::lock()) {
            Some(Err(error)) => {
                eprintln!(
                    "scenescribe: error: cannot lock the memory: {error} (ulimit -l, or LimitMEMLOCK= of the service)"
                );
                Err(ExitCode::from(OUT_OF_MEMORY))
            }
            _ => Ok(()),
        }
    }
}

/// The size of a pool.
fn pool_size(text: &str) -> Result<usize, String> {
    match usize::try_from(parse_size(text)?) {
        Ok(size) if size < MIN_POOL_BYTES => Err(format!("must be at least {}", Size(MIN_POOL_BYTES))),
        Ok(size) if size <= MAX_POOL_BYTES => Ok(size),
        _ => Err(format!("must be at most {}", Size(MAX_POOL_BYTES))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(arguments: &[&str]) -> Option<usize> {
        asked_for(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn pools_of_impossible_sizes_are_refused() {
        assert_eq!(pool_size("8MiB"), Ok(8 << 20));
        for (text, problem) in [("17179869183G", "at most"), ("1K", "at least"), ("0", "at least"), ("8MB", "units")] {
            assert!(pool_size(text).unwrap_err().contains(problem), "{text}");
        }
    }

    #[test]
    fn the_option_is_found_where_clap_would_find_it() {
        assert_eq!(size(&["scenescribe", "--memory", "8M", "caption"]), Some(8 << 20));
        assert_eq!(size(&["scenescribe", "caption", "--memory=8M", "a.jpg"]), Some(8 << 20));
        assert_eq!(size(&["scenescribe", "caption", "--", "--memory", "8M"]), None);
        assert_eq!(size(&["scenescribe", "caption", "--memory"]), None);
        assert_eq!(size(&["scenescribe", "caption", "--memory", "much"]), None);
    }
}
