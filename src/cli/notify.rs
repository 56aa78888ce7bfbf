//! What the service manager is told: ready, alive, stopping. The protocol is one datagram of `NAME=VALUE` lines to the
//! socket that `NOTIFY_SOCKET` names (`sd_notify(3)`); no library is needed for that.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::model::Diagnostic;
use crate::report::sanitize::line;

/// How long a message may wait for a manager that reads none. The loop that sends it stands still meanwhile.
const PATIENCE: Duration = Duration::from_millis(500);

/// A longer status line is cut: the manager takes datagrams of a few KiB, and a person reads one line.
const LONGEST: usize = 256;

/// Tells the service manager that started this process how it is; tells nobody if none asked.
#[derive(Debug, Default)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET` (a path, or `@` and an abstract name), `WATCHDOG_USEC` and `WATCHDOG_PID` from `env`; `pid`
    /// is this process.
    ///
    /// # Errors
    /// A socket was named that cannot be one: a warning, since nothing but the manager suffers from it.
    pub fn new(env: &BTreeMap<String, String>, pid: u32) -> Result<Self, Diagnostic> {
        let Some(name) = env.get("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else { return Ok(Self::default()) };
        let to = address(name).and_then(|to| {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok((socket, to))
        });
        let to = to.map_err(|error| {
            Diagnostic::warning("notify-socket", format!("NOTIFY_SOCKET {name:?} cannot be used: {error}"))
                .help("the service manager sets it; it is a path or @ and a name")
        })?;
        // Variables are inherited: what was meant for the parent is not meant for us.
        let ours = env.get("WATCHDOG_PID").is_none_or(|of| of.parse() == Ok(pid));
        let watchdog = env.get("WATCHDOG_USEC").filter(|_| ours).and_then(|text| text.parse().ok());
        let watchdog = watchdog.filter(|micros| *micros > 0).map(Duration::from_micros);
        Ok(Self { to: Some(to), watchdog })
    }

    /// How often [`Notifier::alive`] must be called: half of what the manager waits. Nothing if it does not watch.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|patience| patience / 2)
    }

    /// The first cycle can begin: everything that depends on this service may start.
    ///
    /// # Errors
    /// The manager cannot be told; it will end the service when its patience for the start is over.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&format!("READY=1\n{}", status_line(status)))
    }

    /// What it is doing, one line for a person.
    ///
    /// # Errors
    /// The manager cannot be told; nothing follows from it.
    pub fn status(&self, status: &str) -> io::Result<()> {
        self.send(&status_line(status))
    }

    /// The loop turns. To be called by that loop alone: a thread of its own would say so of a loop that hangs.
    ///
    /// # Errors
    /// The manager cannot be told; it restarts the service if this goes on.
    pub fn alive(&self) -> io::Result<()> {
        self.send("WATCHDOG=1\n")
    }

    /// Nothing new is begun; what is in flight is finished.
    ///
    /// # Errors
    /// The manager cannot be told; nothing follows from it.
    pub fn stopping(&self, status: &str) -> io::Result<()> {
        self.send(&format!("STOPPING=1\n{}", status_line(status)))
    }

    fn send(&self, message: &str) -> io::Result<()> {
        match &self.to {
            Some((socket, to)) => socket.send_to_addr(message.as_bytes(), to).map(|_| ()),
            None => Ok(()),
        }
    }
}

/// A status is one line: what breaks it would be read as another assignment, and people read it on a terminal.
fn status_line(status: &str) -> String {
    let line: String = line(status).chars().take(LONGEST).collect();
    format!("STATUS={line}\n")
}

fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        #[cfg(target_os = "linux")]
        Some(name) => {
            use std::os::linux::net::SocketAddrExt as _;
            SocketAddr::from_abstract_name(name)
        }
        #[cfg(not(target_os = "linux"))]
        Some(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "abstract names are Linux's")),
        None if name.starts_with('/') => SocketAddr::from_pathname(name),
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "neither an absolute path nor @ and a name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn heard(manager: &UnixDatagram) -> String {
        manager.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn tells_the_manager_ready_status_alive_and_stopping() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let env = env(&[("NOTIFY_SOCKET", path.to_str().unwrap()), ("WATCHDOG_USEC", "30000000")]);
        let notifier = Notifier::new(&env, 7).unwrap();
        assert_eq!(notifier.watchdog(), Some(Duration::from_secs(15)));
        notifier.ready("watching 2 targets").unwrap();
        assert_eq!(heard(&manager), "READY=1\nSTATUS=watching 2 targets\n");
        notifier.status("one\nREADY=0\u{1b}[2J").unwrap();
        assert_eq!(heard(&manager), "STATUS=one\\u{a}READY=0\\u{1b}[2J\n");
        notifier.status(&"ä".repeat(10_000)).unwrap();
        assert_eq!(heard(&manager).chars().count(), "STATUS=\n".len() + LONGEST);
        notifier.alive().unwrap();
        assert_eq!(heard(&manager), "WATCHDOG=1\n");
        notifier.stopping("finishing").unwrap();
        assert_eq!(heard(&manager), "STOPPING=1\nSTATUS=finishing\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_abstract_name_is_a_socket_too() {
        use std::os::linux::net::SocketAddrExt as _;
        let name = format!("ctl-test-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notifier = Notifier::new(&env(&[("NOTIFY_SOCKET", &format!("@{name}"))]), 7).unwrap();
        assert_eq!(notifier.watchdog(), None);
        notifier.alive().unwrap();
        assert_eq!(heard(&manager), "WATCHDOG=1\n");
    }

    #[test]
    fn without_a_manager_nothing_is_said_and_nothing_fails() {
        for env in [env(&[]), env(&[("NOTIFY_SOCKET", ""), ("WATCHDOG_USEC", "1000")])] {
            let notifier = Notifier::new(&env, 7).unwrap();
            assert_eq!(notifier.watchdog(), None);
            notifier.ready("x").unwrap();
            notifier.alive().unwrap();
        }
    }

    #[test]
    fn a_watchdog_of_another_process_or_without_a_time_is_none_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let path = path.to_str().unwrap();
        let interval = |usec: &str, pid: &str| {
            let env = env(&[("NOTIFY_SOCKET", path), ("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)]);
            Notifier::new(&env, 7).unwrap().watchdog()
        };
        assert_eq!(interval("2000000", "7"), Some(Duration::from_secs(1)));
        for (usec, pid) in [("2000000", "8"), ("2000000", "x"), ("0", "7"), ("-1", "7"), ("", "7")] {
            assert_eq!(interval(usec, pid), None, "{usec} {pid}");
        }
    }

    #[test]
    fn a_socket_that_is_none_is_a_warning_and_a_manager_that_is_gone_an_error() {
        for name in ["relative", "vsock:2:3", &format!("/{}", "x".repeat(200))] {
            let told = Notifier::new(&env(&[("NOTIFY_SOCKET", name)]), 7).unwrap_err();
            assert_eq!(told.severity, crate::model::Severity::Warning);
        }
        let notifier = Notifier::new(&env(&[("NOTIFY_SOCKET", "/nowhere/at/all")]), 7).unwrap();
        assert!(notifier.alive().is_err());
    }

    #[test]
    fn a_manager_that_reads_nothing_holds_nothing_up_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let _manager = UnixDatagram::bind(&path).unwrap();
        let notifier = Notifier::new(&env(&[("NOTIFY_SOCKET", path.to_str().unwrap())]), 7).unwrap();
        let refused = (0..100_000).find_map(|_| notifier.alive().err());
        assert_eq!(refused.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
    }
}
