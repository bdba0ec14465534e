//! What the process has used of the machine's memory, in MB (10^6 bytes), from Linux's `/proc`; `None` elsewhere.

use std::fs;

/// The most that was resident at any time.
pub fn peak_mb() -> Option<f64> {
    field("VmHWM:")
}

/// What is resident now: pages of the program's file, and those that are the process's own.
pub fn resident_mb() -> Option<[f64; 2]> {
    Some([field("RssFile:")?, field("RssAnon:")?])
}

fn field(name: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}
