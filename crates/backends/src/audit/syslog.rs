//! Audit lines for the system's log, as RFC 3164 has them on a local socket:
//! `<PRIORITY>Mmm dd hh:mm:ss TAG[PID]: LINE`, the time in UTC.

use std::io::{self, Write as _};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use keyfold_core::clock::{Clock as _, SystemClock};
use keyfold_core::ports::audit::{AuditDevice, AuditKind, DeviceOptions, Origin, WRITE_DEADLINE};

use super::options::known;
use super::stream;

/// `syslog`: options `facility` (`AUTH`), `tag` (`keyfold`) and `address`, the path of the
/// daemon's socket.
pub const KIND: AuditKind = AuditKind {
    name: "syslog",
    remote: true,
    open,
};

/// In the order of their numbers.
const FACILITIES: [&str; 24] = [
    "KERN", "USER", "MAIL", "DAEMON", "AUTH", "SYSLOG", "LPR", "NEWS", "UUCP", "CRON", "AUTHPRIV",
    "FTP", "NTP", "AUDIT", "ALERT", "CLOCK", "LOCAL0", "LOCAL1", "LOCAL2", "LOCAL3", "LOCAL4",
    "LOCAL5", "LOCAL6", "LOCAL7",
];
/// The severity of all lines.
const INFO: usize = 6;
/// Where daemons listen.
const PLACES: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];
/// Longest tag, bytes; RFC 3164 has 32.
const TAG: usize = 32;

/// Bytes of the longest line. A datagram, head included, has to fit into the buffer of a local
/// socket, of which Linux gives 212,992 bytes where nothing else is set.
const LONGEST: usize = 200_000;

fn open(options: &DeviceOptions, _: Origin<'_>) -> Result<Arc<dyn AuditDevice>, String> {
    known(options, "syslog", &["address", "facility", "tag"])?;
    let text = |name| {
        let text: Option<&String> = options.get(name);
        text.map(String::as_str).filter(|text| !text.is_empty())
    };
    let facility = text("facility").unwrap_or("AUTH").to_ascii_uppercase();
    let number = FACILITIES.iter().position(|name| *name == facility);
    let number = number.ok_or("facility: not one of KERN, USER, … AUTH, … LOCAL0 to LOCAL7")?;
    let tag = text("tag").unwrap_or("keyfold");
    if tag.len() > TAG
        || !tag
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b':')
    {
        return Err(format!(
            "tag: has to be at most {TAG} visible ASCII characters, no colon"
        ));
    }
    let places = match text("address") {
        Some(path) => vec![path.into()],
        None => PLACES.iter().map(PathBuf::from).collect(),
    };
    Ok(Arc::new(Syslog {
        priority: number * 8 + INFO,
        tag: tag.to_owned(),
        places,
        link: Mutex::default(),
    }))
}

struct Syslog {
    priority: usize,
    tag: String,
    places: Vec<PathBuf>,
    /// The connection, while there is one.
    link: Mutex<Option<Link>>,
}

enum Link {
    Datagrams(UnixDatagram),
    Stream(UnixStream),
}

impl AuditDevice for Syslog {
    fn write(&self, lines: &[u8]) -> io::Result<()> {
        let deadline = Instant::now() + WRITE_DEADLINE;
        let mut place = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        let head = self.head();
        if let Some(mut link) = place.take().and_then(Link::open) {
            match link.send(&head, lines, deadline) {
                Ok(()) => {
                    *place = Some(link);
                    return Ok(());
                }
                // A daemon that was started anew has another socket at the same place.
                Err(error) if !stream::is_gone(&error) => return Err(error),
                Err(_) => {}
            }
        }
        let mut link = self.connect()?;
        link.send(&head, lines, deadline)?;
        *place = Some(link);
        Ok(())
    }

    fn reopen(&self) -> io::Result<()> {
        let link = self.connect()?;
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
        Ok(())
    }

    fn waits(&self) -> Option<Duration> {
        Some(WRITE_DEADLINE)
    }

    fn longest(&self) -> usize {
        LONGEST
    }
}

impl Syslog {
    fn head(&self) -> String {
        let now = i128::from(SystemClock.now().0);
        let now = Timestamp::from_nanosecond(now).unwrap_or_default();
        let time = now.strftime("%b %e %H:%M:%S");
        let (priority, tag, pid) = (self.priority, &self.tag, std::process::id());
        format!("<{priority}>{time} {tag}[{pid}]: ")
    }

    fn connect(&self) -> io::Result<Link> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for place in &self.places {
            match connect(place) {
                Ok(link) => return Ok(link),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// Most daemons take datagrams; some take streams only.
fn connect(place: &Path) -> io::Result<Link> {
    let datagrams = UnixDatagram::unbound()?;
    let Err(error) = datagrams.connect(place) else {
        return Ok(Link::Datagrams(datagrams));
    };
    UnixStream::connect(place)
        .map(Link::Stream)
        .map_err(|_| error)
}

impl Link {
    /// The connection, where its other end has not closed it.
    fn open(mut self) -> Option<Self> {
        let closed = match &mut self {
            Self::Stream(stream) => stream::is_closed(stream),
            Self::Datagrams(_) => false,
        };
        (!closed).then_some(self)
    }

    /// Each line with its head.
    fn send(&mut self, head: &str, lines: &[u8], deadline: Instant) -> io::Result<()> {
        let mut message = Vec::new();
        for line in lines.split(|byte| *byte == b'\n').filter(|l| !l.is_empty()) {
            message.clear();
            message.write_all(head.as_bytes())?;
            message.write_all(line)?;
            match self {
                Self::Datagrams(socket) => {
                    socket.set_write_timeout(Some(stream::left(deadline)?))?;
                    socket.send(&message)?;
                }
                Self::Stream(stream) => {
                    message.push(b'\n');
                    stream::send(stream, &message, deadline)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    use super::*;

    fn device(pairs: &[(&str, &str)]) -> Result<Arc<dyn AuditDevice>, String> {
        let pairs = pairs.iter();
        let options = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        open(&options.collect(), Origin::Operator)
    }

    #[test]
    fn mistakes_name_the_option() {
        let refused = |name: &str, value: &str| device(&[(name, value)]).err().unwrap();
        assert!(refused("facility", "LOCAL9").starts_with("facility:"));
        assert!(refused("tag", "a b").starts_with("tag:"));
        assert!(refused("tag", &"x".repeat(33)).starts_with("tag:"));
        assert!(refused("colour", "1").starts_with("colour:"));
        assert!(device(&[("facility", "local7"), ("tag", "vault")]).is_ok());
    }

    #[test]
    fn each_line_is_a_datagram_with_a_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let address = path.to_str().unwrap();
        let options = [("address", address), ("facility", "LOCAL1"), ("tag", "k")];
        let device = device(&options).unwrap();
        assert!(device.write(b"x\n").is_err(), "nobody listens");
        let daemon = UnixDatagram::bind(&path).unwrap();
        device.write(b"{1}\n{2}\n").unwrap();
        let mut buffer = [0; 128];
        for wanted in ["{1}", "{2}"] {
            let length = daemon.recv(&mut buffer).unwrap();
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            // Priority: 17 * 8 + 6.
            assert!(text.starts_with("<142>"), "{text}");
            let end = format!(" k[{}]: {wanted}", std::process::id());
            assert!(text.ends_with(&end), "{text}");
            // `Nov  5 01:02:03`
            assert_eq!(text.len(), "<142>".len() + 15 + end.len(), "{text}");
        }

        // The daemon is started anew.
        drop(daemon);
        std::fs::remove_file(&path).unwrap();
        let daemon = UnixDatagram::bind(&path).unwrap();
        device.write(b"{3}\n").unwrap();
        let length = daemon.recv(&mut buffer).unwrap();
        assert!(buffer[..length].ends_with(b"{3}"));
    }

    #[test]
    fn a_daemon_that_takes_streams() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let listener = UnixListener::bind(&path).unwrap();
        let device = device(&[("address", path.to_str().unwrap())]).unwrap();
        device.write(b"{1}\n").unwrap();
        let mut line = String::new();
        let (stream, _) = listener.accept().unwrap();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(
            line.starts_with("<38>") && line.ends_with(": {1}\n"),
            "{line}"
        );
    }
}
