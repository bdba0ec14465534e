//! What the process has used of the machine's memory.

use std::fs;

/// The most that was resident at any time, in MB (10^6 bytes), from Linux's `/proc`; `None` elsewhere.
pub fn peak_mb() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}
