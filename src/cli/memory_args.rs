//! The options that give the program a fixed amount of memory.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Args;
use scenescribe::limits::{MAX_POOL_BYTES, MIN_POOL_BYTES};
use scenescribe::{Exhaustion, MemoryPool, exit_at_once};

/// Exit code of a program that does not fit its memory.
pub const OUT_OF_MEMORY: u8 = 3;

const OPTION: &str = "--memory";

#[derive(Args)]
pub struct MemoryArgs {
    /// Use no more memory than SIZE (such as 32M), taken at the start
    ///
    /// Every allocation is served from one pool of this size; the program's own pages and the stacks of its threads come
    /// on top. A model that needs more is refused at the start, with exit code 3; so ends the program if the pool runs
    /// out later. SIZE is in bytes, or with K, M or G in powers of 1024.
    #[arg(long, global = true, value_name = "SIZE", value_parser = parse_size, hide_short_help = true)]
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
            return parse_size(value).ok();
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

fn parse_size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err("not a size such as 32M: the units are K, M and G".into()),
    };
    let count: u64 = digits.parse().map_err(|_| "not a size such as 32M".to_string())?;
    let size = count.checked_mul(unit).and_then(|size| usize::try_from(size).ok());
    let size = size.filter(|size| *size <= MAX_POOL_BYTES);
    let size = size.ok_or_else(|| format!("must be at most {}", Size(MAX_POOL_BYTES)))?;
    if size < MIN_POOL_BYTES {
        return Err(format!("must be at least {}", Size(MIN_POOL_BYTES)));
    }
    Ok(size)
}

/// A number of bytes, for people.
pub struct Size(pub usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB", self.0 as f64 / (1 << 20) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(arguments: &[&str]) -> Option<usize> {
        asked_for(&arguments.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn sizes_are_read_in_powers_of_1024() {
        for (text, size) in
            [("8388608", 8 << 20), ("8192k", 8 << 20), ("64M", 64 << 20), ("64MiB", 64 << 20), ("1G", 1 << 30)]
        {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "M", "64X", "1.5M", "-1", "0", "1K", "99999999999999999999", "17179869184G", "é"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert!(parse_size("17179869184G").unwrap_err().contains("at most"));
        assert!(parse_size("1K").unwrap_err().contains("at least"));
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
