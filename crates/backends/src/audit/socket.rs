//! Audit lines over the network or to a local socket.
//!
//! A connection is opened with the first line and kept. One that the other end closed is opened
//! anew and gets the lines again, so a collector may see a line twice but loses none.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use keyfold_core::ports::audit::{AuditDevice, AuditKind, DeviceOptions, Origin};

use super::options::{known, write_timeout};
use super::stream::{self, Stream};

/// `socket`: options `address` (host and port, or a path), `socket_type` (`tcp`, `udp`, `unix`)
/// and `write_timeout`.
pub const KIND: AuditKind = AuditKind {
    name: "socket",
    remote: true,
    open,
};

/// Bytes of a datagram of UDP over IPv4 at most.
const LONGEST_DATAGRAM: usize = 65_507;

fn open(options: &DeviceOptions, _: Origin<'_>) -> Result<Arc<dyn AuditDevice>, String> {
    known(
        options,
        "socket",
        &["address", "socket_type", "write_timeout"],
    )?;
    let text = |name| options.get(name).map(String::as_str);
    let address = text("address").filter(|address| !address.is_empty());
    let address = address.ok_or("address is required")?;
    let to = match text("socket_type") {
        None | Some("" | "tcp") => To::Tcp(host_and_port(address)?),
        Some("udp") => To::Udp(host_and_port(address)?),
        Some("unix") => To::Unix(address.into()),
        Some(_) => return Err("socket_type: has to be tcp, udp or unix".to_owned()),
    };
    Ok(Arc::new(Socket {
        to,
        timeout: write_timeout(text("write_timeout"))?,
        link: Mutex::default(),
    }))
}

fn host_and_port(address: &str) -> Result<String, String> {
    let (host, port) = address.rsplit_once(':').unwrap_or_default();
    match port.parse::<u16>() {
        Ok(1..) if !host.is_empty() => Ok(address.to_owned()),
        _ => Err("address: has to be HOST:PORT".to_owned()),
    }
}

struct Socket {
    to: To,
    timeout: Duration,
    /// The connection, while there is one.
    link: Mutex<Option<Link>>,
}

enum To {
    Tcp(String),
    Udp(String),
    Unix(PathBuf),
}

enum Link {
    Stream(Box<dyn Stream + Send>),
    Datagrams(UdpSocket),
}

impl Link {
    /// The connection, where its other end has not closed it.
    fn open(mut self) -> Option<Self> {
        let closed = match &mut self {
            Self::Stream(stream) => stream::is_closed(&mut **stream),
            Self::Datagrams(_) => false,
        };
        (!closed).then_some(self)
    }
}

impl AuditDevice for Socket {
    fn write(&self, lines: &[u8]) -> io::Result<()> {
        let deadline = Instant::now() + self.timeout;
        let mut place = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(link) = place.take().and_then(Link::open) {
            match self.send(link, lines, deadline) {
                Ok(link) => {
                    *place = Some(link);
                    return Ok(());
                }
                Err(error) if !stream::is_gone(&error) => return Err(error),
                Err(_) => {}
            }
        }
        let link = self.connect(deadline)?;
        *place = Some(self.send(link, lines, deadline)?);
        Ok(())
    }

    fn reopen(&self) -> io::Result<()> {
        let link = self.connect(Instant::now() + self.timeout)?;
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
        Ok(())
    }

    fn waits(&self) -> Option<Duration> {
        Some(self.timeout)
    }

    fn longest(&self) -> usize {
        match self.to {
            To::Udp(_) => LONGEST_DATAGRAM,
            To::Tcp(_) | To::Unix(_) => usize::MAX,
        }
    }
}

impl Socket {
    /// The connection comes back only where it took all lines: a cut line must not be followed by
    /// another.
    fn send(&self, mut link: Link, lines: &[u8], deadline: Instant) -> io::Result<Link> {
        match &mut link {
            Link::Stream(stream) => stream::send(&mut **stream, lines, deadline)?,
            Link::Datagrams(socket) => {
                for line in lines.split_inclusive(|byte| *byte == b'\n') {
                    socket.set_write_timeout(Some(stream::left(deadline)?))?;
                    socket.send(line)?;
                }
            }
        }
        Ok(link)
    }

    fn connect(&self, deadline: Instant) -> io::Result<Link> {
        match &self.to {
            To::Tcp(address) => {
                let stream = first(address, |to| {
                    TcpStream::connect_timeout(&to, stream::left(deadline)?)
                })?;
                stream.set_nodelay(true)?;
                Ok(Link::Stream(Box::new(stream)))
            }
            To::Udp(address) => first(address, |to| {
                let any: SocketAddr = match to {
                    SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                    SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(to)?;
                Ok(Link::Datagrams(socket))
            }),
            To::Unix(path) => Ok(Link::Stream(Box::new(UnixStream::connect(path)?))),
        }
    }
}

/// What works with the first address that a name has and that works.
fn first<T>(name: &str, connect: impl Fn(SocketAddr) -> io::Result<T>) -> io::Result<T> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the host has no address");
    for address in name.to_socket_addrs()? {
        match connect(address) {
            Ok(done) => return Ok(done),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn device(pairs: &[(&str, &str)]) -> Result<Arc<dyn AuditDevice>, String> {
        let pairs = pairs.iter();
        let options = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        open(&options.collect(), Origin::Operator)
    }

    fn line(from: impl io::Read) -> String {
        let mut line = String::new();
        BufReader::new(from).read_line(&mut line).unwrap();
        line
    }

    #[test]
    fn mistakes_name_the_option() {
        let refused = |pairs: &[(&str, &str)]| device(pairs).err().unwrap();
        assert_eq!(refused(&[]), "address is required");
        for address in ["nowhere", "host:", ":9", "host:0", "host:x", "host:70000"] {
            assert!(refused(&[("address", address)]).starts_with("address:"));
        }
        let to = ("address", "127.0.0.1:9");
        assert!(refused(&[to, ("socket_type", "pigeon")]).starts_with("socket_type:"));
        assert!(refused(&[to, ("write_timeout", "x")]).starts_with("write_timeout:"));
        assert!(refused(&[to, ("colour", "1")]).starts_with("colour:"));
        let device = device(&[to, ("write_timeout", "3s")]).unwrap();
        assert_eq!(device.waits(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_collector_that_comes_back_gets_the_next_line() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let device = device(&[("address", &address)]).unwrap();
        device.write(b"one\n").unwrap();
        let (stream, _) = listener.accept().unwrap();
        assert_eq!(line(&stream), "one\n");
        drop(stream);
        device.write(b"two\n").unwrap();
        let (stream, _) = listener.accept().unwrap();
        assert_eq!(line(&stream), "two\n");
        drop((stream, listener));
        assert!(device.write(b"three\n").is_err());
        assert!(device.reopen().is_err());
        let listener = TcpListener::bind(&address).unwrap();
        device.write(b"four\n").unwrap();
        assert_eq!(line(listener.accept().unwrap().0), "four\n");
    }

    #[test]
    fn a_peer_that_never_reads_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let options = [("address", address.as_str()), ("write_timeout", "1s")];
        let device = device(&options).unwrap();
        let much = vec![b'x'; 64 * 1024 * 1024];
        let error = device.write(&much).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn datagrams_and_local_sockets() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = receiver.local_addr().unwrap().to_string();
        let udp = device(&[("address", &address), ("socket_type", "udp")]).unwrap();
        udp.write(b"one\ntwo\n").unwrap();
        let mut buffer = [0; 64];
        for wanted in [&b"one\n"[..], b"two\n"] {
            let length = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], wanted);
        }

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let path = path.to_str().unwrap();
        let unix = device(&[("address", path), ("socket_type", "unix")]).unwrap();
        assert!(unix.write(b"one\n").is_err());
        let listener = UnixListener::bind(path).unwrap();
        unix.write(b"one\n").unwrap();
        assert_eq!(line(listener.accept().unwrap().0), "one\n");
    }
}
