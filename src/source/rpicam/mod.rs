//! A Raspberry Pi's own camera, through the program `rpicam-vid`.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid};

use super::counters::Counters;
use super::layout::{PixelFormat, RawLayout};
use super::mjpeg::MjpegStream;
use super::pipe::Pipe;
use super::raw_frame::{RawFrame, RawSource};
use super::raw_stream::{RPICAM_ALIGNMENT, RawStream};
use super::stop::Stop;
use crate::error::{Error, Result};

/// Its name now, and before 2023.
const PROGRAMS: [&str; 2] = ["rpicam-vid", "libcamera-vid"];

/// How long the program may take to end when it is asked to.
const GRACE: Duration = Duration::from_millis(500);

/// What is asked of the camera.
#[derive(Debug, Clone)]
pub struct RpicamOptions {
    /// Programs to try, one after another; `None` is `rpicam-vid`, then `libcamera-vid`, on the path.
    pub programs: Option<Vec<PathBuf>>,
    /// Width and height in pixels, even numbers.
    pub size: (u32, u32),
    /// Whether frames come as JPEGs; uncoded, they cost the processor less.
    pub is_mjpeg: bool,
    /// Longest silence before the camera counts as lost.
    pub stall: Duration,
}

/// The first of `rpicam-vid` and `libcamera-vid` on the path.
pub fn find_rpicam() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places = || std::env::split_paths(&path);
    PROGRAMS.iter().find_map(|program| places().map(|place| place.join(program)).find(|program| program.is_file()))
}

/// Frames of a child process, which ends with this.
pub struct Rpicam {
    frames: Box<dyn RawSource>,
    child: Process,
    stop: Stop,
}

impl Rpicam {
    /// Starts the program.
    ///
    /// # Errors
    /// [`Error::CameraProgram`] if there is none, [`Error::StreamSize`].
    pub fn start(options: &RpicamOptions, stop: &Stop, counters: Counters) -> Result<Self> {
        let (width, height) = options.size;
        let tight = RawLayout::new(PixelFormat::Yuv420, width, height)?;
        let layout = tight.with_stride(tight.stride().next_multiple_of(RPICAM_ALIGNMENT) as u32)?;
        let mut child = Process::start(options)?;
        let stdout = child.child.stdout.take();
        let stdout = stdout.ok_or_else(|| child.lost(io::ErrorKind::BrokenPipe.into()))?;
        let pipe = Pipe::new(stdout, stop, Some(options.stall));
        let name = Path::new(&child.name);
        let frames: Box<dyn RawSource> = match options.is_mjpeg {
            true => Box::new(MjpegStream::new(pipe, name, stop, counters)),
            false => Box::new(RawStream::new(pipe, name, layout, stop, counters)),
        };
        Ok(Self { frames, child, stop: stop.clone() })
    }
}

impl RawSource for Rpicam {
    /// The end of the program's output is an error: a camera does not end.
    fn next_raw(&mut self, frame: &mut RawFrame) -> Result<bool> {
        match self.frames.next_raw(frame) {
            Ok(false) if !self.stop.is_requested() => Err(self.child.ended()),
            Err(Error::Read { cause, .. }) => Err(self.child.lost(cause)),
            outcome => outcome,
        }
    }
}

/// A child in a process group of its own, so that its children end with it.
struct Process {
    child: Child,
    group: Pid,
    name: String,
}

impl Process {
    fn start(options: &RpicamOptions) -> Result<Self> {
        let usual = || PROGRAMS.iter().map(PathBuf::from).collect();
        let programs = options.programs.clone().unwrap_or_else(usual);
        let names = || programs.iter().map(|program| program.display().to_string()).collect::<Vec<_>>().join(" or ");
        for program in &programs {
            let child = command(program, options).spawn();
            match child {
                Ok(child) => {
                    let (group, name) = (Pid::from_child(&child), program.display().to_string());
                    return Ok(Self { child, group, name });
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(Error::CameraProgram { programs: program.display().to_string(), cause }),
            }
        }
        Err(Error::CameraProgram { programs: names(), cause: io::ErrorKind::NotFound.into() })
    }

    /// What is said when the program has closed its output.
    fn ended(&self) -> Error {
        let status = self.wait(GRACE);
        let words = match status.map(|status| (status.exit_status(), status.terminating_signal())) {
            Some((Some(code), _)) => format!("it ended with exit code {code}"),
            Some((None, Some(signal))) => format!("it was ended by signal {signal}"),
            _ => "it closed its output".into(),
        };
        self.lost(io::Error::new(io::ErrorKind::UnexpectedEof, words))
    }

    fn lost(&self, cause: io::Error) -> Error {
        Error::CameraLost { name: self.name.clone(), cause }
    }

    /// Waits for the end of the program, a while. Its number is kept from being given to another process.
    fn wait(&self, longest: Duration) -> Option<WaitIdStatus> {
        const STEP: Duration = Duration::from_millis(5);
        for _ in 0..longest.as_millis() / STEP.as_millis() {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            match waitid(WaitId::Pid(self.group), options) {
                Ok(None) => thread::sleep(STEP),
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
        None
    }

    fn signal(&self, signal: Signal) {
        // A group that is gone already is what was wanted.
        let _ = kill_process_group(self.group, signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        self.wait(GRACE);
        // Also after the program has ended: it may have left children of its own in the group.
        self.signal(Signal::KILL);
        if let Err(error) = self.child.wait() {
            log::warn!("{} cannot be waited for: {error}", self.name);
        }
    }
}

fn command(program: &Path, options: &RpicamOptions) -> Command {
    let (width, height) = options.size;
    let codec = if options.is_mjpeg { "mjpeg" } else { "yuv420" };
    let mut command = Command::new(program);
    command.args(["--timeout", "0", "--nopreview", "--verbose=0", "--codec", codec]);
    command.args(["--width".into(), width.to_string(), "--height".into(), height.to_string()].map(OsString::from));
    // Without --flush the end of a frame waits for the next one.
    command.args(["--flush", "--output", "-"]).stdin(Stdio::null()).stdout(Stdio::piped());
    command.process_group(0);
    command
}

#[cfg(test)]
mod tests;
