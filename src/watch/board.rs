//! What the board and the kernel tell about this process: memory, temperature, throttling.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where `/proc` and `/sys` are. What is not there, as on another system, is left out.
#[derive(Debug, Clone)]
pub struct Board {
    memory: PathBuf,
    temperature: PathBuf,
    throttled: Option<PathBuf>,
}

impl Board {
    /// The board that this runs on.
    pub fn here() -> Self {
        Self::below(Path::new("/"))
    }

    /// A board whose `proc` and `sys` are below `root`.
    pub fn below(root: &Path) -> Self {
        Self {
            memory: root.join("proc/self/status"),
            temperature: root.join("sys/class/thermal/thermal_zone0/temp"),
            throttled: throttled_file(&root.join("sys/devices/platform")),
        }
    }

    /// Resident memory of this process in bytes.
    pub fn resident_bytes(&self) -> Option<u64> {
        let mut buffer = [0; 4096];
        let status = read(&self.memory, &mut buffer)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        kibibytes.checked_mul(1024)
    }

    /// Temperature of the chip in degrees Celsius.
    pub fn celsius(&self) -> Option<f32> {
        let millidegrees: i32 = read(&self.temperature, &mut [0; 32])?.trim().parse().ok()?;
        Some(millidegrees as f32 / 1000.0)
    }

    /// What slows a Raspberry Pi down, as its firmware's bits: 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft
    /// temperature limit; 16 to 19 the same at any time since the start.
    pub fn throttled(&self) -> Option<u32> {
        let mut buffer = [0; 32];
        let text = read(self.throttled.as_deref()?, &mut buffer)?.trim();
        u32::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
    }
}

/// `soc/soc:firmware/get_throttled`; a Pi 5 has the chip's address in both names.
fn throttled_file(platform: &Path) -> Option<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_soc = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"soc"));
    let mut files = entries(platform).filter(is_soc).flat_map(|soc| entries(&soc).collect::<Vec<_>>());
    files.find_map(|folder| {
        let is_firmware = folder.file_name()?.as_encoded_bytes().ends_with(b":firmware");
        let file = folder.join("get_throttled");
        (is_firmware && file.is_file()).then_some(file)
    })
}

/// The beginning of a small file.
fn read<'a>(path: &Path, buffer: &'a mut [u8]) -> Option<&'a str> {
    let len = File::open(path).ok()?.read(buffer).ok()?;
    str::from_utf8(&buffer[..len]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_board_tells_what_it_has() {
        for firmware in ["soc/soc:firmware", "soc@107c000000/soc@107c000000:firmware"] {
            let root = tempfile::tempdir().unwrap();
            write(root.path(), "proc/self/status", "Name:\tx\nVmHWM:\t    9 kB\nVmRSS:\t   48312 kB\nThreads:\t2\n");
            write(root.path(), "sys/class/thermal/thermal_zone0/temp", "61234\n");
            write(root.path(), &format!("sys/devices/platform/{firmware}/get_throttled"), "50005\n");
            let board = Board::below(root.path());
            assert_eq!(board.resident_bytes(), Some(48_312 * 1024));
            assert_eq!(board.celsius(), Some(61.234));
            assert_eq!(board.throttled(), Some(0x50005));
        }
    }

    #[test]
    fn what_is_not_there_or_makes_no_sense_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        let board = Board::below(root.path());
        assert_eq!((board.resident_bytes(), board.celsius(), board.throttled()), (None, None, None));
        for (path, text) in [
            ("proc/self/status", "VmRSS: much\n"),
            ("sys/class/thermal/thermal_zone0/temp", ""),
            ("sys/devices/platform/soc/soc:firmware/get_throttled", "\u{fffd}"),
        ] {
            write(root.path(), path, text);
        }
        let board = Board::below(root.path());
        assert_eq!((board.resident_bytes(), board.celsius(), board.throttled()), (None, None, None));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_the_memory_of_this_process() {
        let resident = Board::here().resident_bytes().unwrap();
        assert!((1 << 20..1 << 36).contains(&resident), "{resident}");
    }
}
