//! Telling systemd how the service does: the protocol of `sd_notify(3)`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process;
use std::time::{Duration, Instant};

/// Bytes of a status line.
const MAX_STATUS_BYTES: usize = 256;

/// A socket to systemd; by default to nowhere, as for a process that systemd did not start. Allocates nothing once it is open.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, Address)>,
    watchdog: Option<Duration>,
    last_fed: Option<Instant>,
}

/// A path in the file system, or a name without one (Linux).
#[derive(Debug)]
enum Address {
    Path(PathBuf),
    #[cfg(target_os = "linux")]
    Abstract(SocketAddr),
}

impl Notifier {
    /// The socket that the environment names, with the watchdog's period if there is one; else one to nowhere.
    ///
    /// # Errors
    /// If `NOTIFY_SOCKET` names what cannot be a socket.
    pub fn from_environment() -> io::Result<Self> {
        match env::var_os("NOTIFY_SOCKET") {
            Some(name) => Self::to(&name, watchdog_period(|name| env::var_os(name))),
            None => Ok(Self::default()),
        }
    }

    /// A socket by path, or by abstract name behind an `@`.
    ///
    /// # Errors
    /// If `name` cannot be a socket, or the system gives none.
    pub fn to(name: &OsStr, watchdog: Option<Duration>) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Some((socket, Address::new(name)?)), watchdog, last_fed: None })
    }

    /// All is open; frames are awaited.
    ///
    /// # Errors
    /// Those of the socket, here and below; the service can go on.
    pub fn ready(&self) -> io::Result<()> {
        self.send(b"READY=1")
    }

    /// The service is about to end.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn stopping(&self) -> io::Result<()> {
        self.send(b"STOPPING=1")
    }

    /// A line for `systemctl status`, cut after 247 bytes.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn status(&self, status: &dyn std::fmt::Display) -> io::Result<()> {
        let mut message = Message(heapless::String::new());
        // A message that is full is a status that is cut.
        let _ = write!(message, "STATUS={status}");
        self.send(message.0.as_bytes())
    }

    /// A frame has come: feeds the watchdog, at most four times in its period.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn frame(&mut self, now: Instant) -> io::Result<()> {
        let Some(period) = self.watchdog else { return Ok(()) };
        if self.last_fed.is_some_and(|fed| now.saturating_duration_since(fed) < period / 4) {
            return Ok(());
        }
        self.last_fed = Some(now);
        self.send(b"WATCHDOG=1")
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        match &self.socket {
            None => Ok(()),
            Some((socket, Address::Path(path))) => socket.send_to(message, path).map(drop),
            #[cfg(target_os = "linux")]
            Some((socket, Address::Abstract(address))) => socket.send_to_addr(message, address).map(drop),
        }
    }
}

impl Address {
    fn new(name: &OsStr) -> io::Result<Self> {
        match name.as_bytes() {
            #[cfg(target_os = "linux")]
            [b'@', name @ ..] => {
                use std::os::linux::net::SocketAddrExt;
                SocketAddr::from_abstract_name(name).map(Self::Abstract)
            }
            [b'/', ..] => SocketAddr::from_pathname(name).map(|_| Self::Path(name.into())),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "NOTIFY_SOCKET is neither a path from / nor a name behind @",
            )),
        }
    }
}

/// One line of at most [`MAX_STATUS_BYTES`].
struct Message(heapless::String<MAX_STATUS_BYTES>);

impl std::fmt::Write for Message {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for letter in text.chars() {
            let letter = if letter == '\n' { ' ' } else { letter };
            self.0.push(letter).map_err(|_| std::fmt::Error)?;
        }
        Ok(())
    }
}

/// How often systemd wants to hear from this process: `WATCHDOG_USEC`, unless `WATCHDOG_PID` names another.
pub fn watchdog_period(variable: impl Fn(&str) -> Option<OsString>) -> Option<Duration> {
    let number = |name| variable(name).and_then(|value| value.to_str()?.parse::<u64>().ok());
    let is_other = variable("WATCHDOG_PID").is_some() && number("WATCHDOG_PID") != Some(process::id().into());
    let microseconds = number("WATCHDOG_USEC").filter(|microseconds| *microseconds > 0)?;
    (!is_other).then(|| Duration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].into()).unwrap()
    }

    fn is_empty(socket: &UnixDatagram) -> bool {
        socket.set_nonblocking(true).unwrap();
        socket.recv(&mut [0; 1]).is_err()
    }

    #[test]
    fn messages_arrive_at_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::to(path.as_os_str(), None).unwrap();
        notifier.ready().unwrap();
        notifier.status(&"a dog\nruns").unwrap();
        notifier.status(&"ä".repeat(200)).unwrap();
        notifier.stopping().unwrap();
        assert_eq!(received(&socket), "READY=1");
        assert_eq!(received(&socket), "STATUS=a dog runs");
        assert_eq!(received(&socket), format!("STATUS={}", "ä".repeat(124)));
        assert_eq!(received(&socket), "STOPPING=1");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn messages_arrive_at_an_abstract_name() {
        use std::os::linux::net::SocketAddrExt;
        let name = format!("scenescribe-test-{}", process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Notifier::to(OsStr::new(&format!("@{name}")), None).unwrap().ready().unwrap();
        assert_eq!(received(&socket), "READY=1");
    }

    #[test]
    fn the_watchdog_is_fed_by_frames_alone_and_not_by_each() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut notifier = Notifier::to(path.as_os_str(), Some(Duration::from_secs(8))).unwrap();
        let start = Instant::now();
        for second in 0..=4 {
            notifier.frame(start + Duration::from_secs(second)).unwrap();
        }
        (0..3).for_each(|_| assert_eq!(received(&socket), "WATCHDOG=1"));
        assert!(is_empty(&socket));
    }

    #[test]
    fn without_systemd_nothing_is_said_and_a_wrong_name_is_refused() {
        let mut nowhere = Notifier::default();
        nowhere.ready().unwrap();
        nowhere.frame(Instant::now()).unwrap();
        for name in ["", "relative/path", "/nul\0byte"] {
            assert!(Notifier::to(OsStr::new(name), None).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_watchdog_of_another_process_is_not_ours() {
        let own = process::id().to_string();
        for (period, process, expected) in [
            (Some("30000000"), None, Some(Duration::from_secs(30))),
            (Some("30000000"), Some(own.as_str()), Some(Duration::from_secs(30))),
            (Some("30000000"), Some("1"), None),
            (Some("0"), None, None),
            (Some("soon"), None, None),
            (None, None, None),
        ] {
            let found = watchdog_period(|name| match name {
                "WATCHDOG_USEC" => period.map(OsString::from),
                _ => process.map(OsString::from),
            });
            assert_eq!(found, expected, "{period:?} {process:?}");
        }
    }
}
