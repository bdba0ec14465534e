//! A serial line, 8N1 and raw, that comes back after it was lost.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use rustix::termios::{self, ControlModes, OptionalActions, QueueSelector};

use super::fan_out::{Sinks, WhenFull};
use super::lane::Output;
use super::wire::Framing;
use crate::error::{Error, Result};

/// How often a wait for room looks whether it is to end.
const POLL: Duration = Duration::from_millis(100);

/// A serial device as a sink: 8 data bits, no parity, one stop bit, no flow control, no carrier needed.
///
/// Nobody else can open the device meanwhile. As an [`embedded_io::Write`], `write` waits for room as long as it takes; in
/// [`Sinks::add_serial`] the wait ends with the run, and the device is opened again when it was unplugged and is back.
#[derive(Debug)]
pub struct Serial {
    path: PathBuf,
    baud: u32,
    port: Option<File>,
}

impl Serial {
    /// Opens the device, or what a symbolic link such as `/dev/serial0` points to.
    ///
    /// # Errors
    /// [`Error::Serial`] if it is not there, not allowed, in use, or no serial device; [`Error::BaudRate`].
    pub fn open(path: impl AsRef<Path>, baud: u32) -> Result<Self> {
        let mut serial = Self { path: path.as_ref().to_owned(), baud, port: None };
        serial.connect()?;
        Ok(serial)
    }

    fn connect(&mut self) -> Result<()> {
        self.port = None;
        let port = open_exclusively(&self.path).map_err(|errno| self.error(errno))?;
        let actual = make_raw(&port, self.baud).map_err(|errno| self.error(errno))?;
        // A start bit to a stop bit is ten bits: beyond 3 % the last ones are read in the wrong place.
        if actual.abs_diff(self.baud) > self.baud / 33 {
            return Err(Error::BaudRate { path: self.path.clone(), baud: self.baud, actual });
        }
        self.port = Some(port);
        Ok(())
    }

    fn error(&self, errno: Errno) -> Error {
        let remedy = match errno {
            Errno::NOENT | Errno::NXIO | Errno::NODEV => {
                "is it plugged in? the UART of a Raspberry Pi is switched on by `raspi-config`"
            }
            Errno::ACCESS | Errno::PERM => "is the user in group `dialout`?",
            Errno::BUSY | Errno::WOULDBLOCK => "another program has it: a login console, a modem manager?",
            Errno::NOTTY | Errno::ISDIR => {
                "this is no serial device; one is called /dev/serial0, /dev/ttyUSB0 or /dev/ttyACM0"
            }
            Errno::INVAL => "the driver refuses this --baud",
            _ => "is the device in order? `dmesg` may say more",
        };
        Error::Serial { path: self.path.clone(), cause: errno.into(), remedy }
    }

    /// Writes what there is room for, at least a byte.
    fn write_some(&mut self, bytes: &[u8], is_out_of_time: &dyn Fn() -> bool) -> io::Result<usize> {
        let port = self.port.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        loop {
            match port.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => return written,
            }
            if is_out_of_time() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            wait_for_room(&*port, POLL)?;
        }
    }
}

impl embedded_io::ErrorType for Serial {
    type Error = io::Error;
}

impl embedded_io::Write for Serial {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() { Ok(0) } else { self.write_some(bytes, &|| false) }
    }

    /// Waits until all bits are on the line.
    fn flush(&mut self) -> io::Result<()> {
        let port = self.port.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        Ok(termios::tcdrain(port)?)
    }
}

impl Output for Serial {
    fn write_frame(&mut self, mut frame: &[u8], is_out_of_time: &dyn Fn() -> bool) -> io::Result<()> {
        while !frame.is_empty() {
            let written = self.write_some(frame, is_out_of_time)?;
            frame = &frame[written..];
        }
        Ok(())
    }

    fn reopen(&mut self) -> Option<io::Result<()>> {
        Some(self.connect().map_err(io::Error::other))
    }

    /// A line without a reader cannot be told from one with.
    fn is_abandoned(&self) -> bool {
        false
    }

    /// The last close of a serial device waits in the kernel for its buffer to empty, half a minute if need be: what has not
    /// gone out by the deadline is thrown away.
    fn finish(&mut self, deadline: Instant) {
        let Some(port) = &self.port else { return };
        let left = deadline.saturating_duration_since(Instant::now());
        if !matches!(wait_for_room(port, left), Ok(true)) {
            // A device that is gone has no buffer either.
            let _ = termios::tcflush(port, QueueSelector::OFlush);
        }
    }
}

impl Sinks {
    /// Adds a serial line under the name of its device. It is waited for when it is lost, and never waited for by others.
    ///
    /// # Errors
    /// Those of [`add`](Self::add).
    pub fn add_serial(&mut self, serial: Serial, framing: Framing) -> Result<()> {
        let name = serial.path.display().to_string();
        self.add_output(&name, serial, framing, WhenFull::DropOldest)
    }
}

/// Without waiting for a carrier, without becoming its terminal, and alone: programs that know neither lock are kept out by
/// `TIOCEXCL`, those of root, whom it does not stop, by `flock` if they ask for it too.
fn open_exclusively(path: &Path) -> rustix::io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let port = open(path, flags, Mode::empty())?;
    termios::tcgetattr(&port)?;
    flock(&port, FlockOperation::NonBlockingLockExclusive)?;
    termios::ioctl_tiocexcl(&port)?;
    Ok(port.into())
}

/// 8N1, no flow control, bytes as they are. Gives the rate that the device runs at.
fn make_raw(port: &File, baud: u32) -> rustix::io::Result<u32> {
    let mut settings = termios::tcgetattr(port)?;
    settings.make_raw();
    settings
        .control_modes
        .remove(ControlModes::CSIZE | ControlModes::CSTOPB | ControlModes::PARENB | ControlModes::CRTSCTS);
    settings.control_modes.insert(ControlModes::CS8 | ControlModes::CLOCAL | ControlModes::CREAD);
    settings.set_speed(baud)?;
    termios::tcsetattr(port, OptionalActions::Now, &settings)?;
    Ok(termios::tcgetattr(port)?.output_speed())
}

/// Whether there is room, or an error to be met by writing, within `time`.
fn wait_for_room(port: impl AsFd, time: Duration) -> io::Result<bool> {
    let mut ports = [PollFd::new(&port, PollFlags::OUT)];
    let time = Timespec::try_from(time).map_err(io::Error::other)?;
    match poll(&mut ports, Some(&time)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_remedy() {
        let serial = Serial { path: "/dev/ttyUSB0".into(), baud: 115_200, port: None };
        let cases = [
            (Errno::NOENT, "is it plugged in?"),
            (Errno::ACCESS, "group `dialout`"),
            (Errno::BUSY, "another program has it"),
            (Errno::WOULDBLOCK, "another program has it"),
            (Errno::NOTTY, "no serial device"),
            (Errno::IO, "dmesg"),
        ];
        for (errno, words) in cases {
            let message = serial.error(errno).to_string();
            assert!(
                message.starts_with("cannot open serial device /dev/ttyUSB0: ") && message.contains(words),
                "{message}"
            );
        }
    }

    #[test]
    fn a_line_that_is_not_there_is_an_error_to_write_to() {
        let mut serial = Serial { path: "/dev/ttyUSB0".into(), baud: 115_200, port: None };
        let error = embedded_io::Write::write(&mut serial, b"a dog").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotConnected);
    }
}
