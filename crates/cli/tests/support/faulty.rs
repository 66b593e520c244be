//! A proxy before a server that fails as it is told.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the proxy does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Hands it on.
    None,
    /// 503, as a balancer says it that finds no server behind it.
    Unavailable,
    /// 403, as a server says it.
    Forbidden,
    /// 200 and a page: somebody else answers at this address.
    Page,
    /// Never an answer.
    Silence,
    /// The connection is cut.
    Reset,
}

/// Listens on a port of its own until the test ends.
pub struct Proxy {
    pub address: String,
    fault: Arc<Mutex<(Fault, &'static str)>>,
}

impl Proxy {
    /// Before the server at `upstream`, `http://HOST:PORT`.
    pub fn before(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let fault = Arc::new(Mutex::new((Fault::None, "")));
        let told = Arc::clone(&fault);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (told, upstream) = (Arc::clone(&told), upstream.clone());
                // Whoever goes away in the middle ends his connection alone.
                std::thread::spawn(move || one(client, &upstream, &told));
            }
        });
        Self { address, fault }
    }

    /// From now on, for requests whose path contains `part`.
    pub fn fail(&self, fault: Fault, part: &'static str) {
        *self.fault.lock().unwrap() = (fault, part);
    }
}

/// One request a connection: what comes next is asked on a new one, and meets the fault of then.
fn one(mut client: TcpStream, upstream: &str, told: &Mutex<(Fault, &'static str)>) -> Option<()> {
    let request = request(&mut client)?;
    let path = request.split(|byte| *byte == b'\r').next()?.to_vec();
    let (fault, part) = *told.lock().unwrap();
    let fault = if String::from_utf8_lossy(&path).contains(part) {
        fault
    } else {
        Fault::None
    };
    let answer = match fault {
        Fault::None => {
            let mut server = TcpStream::connect(upstream).ok()?;
            server.write_all(&request).ok()?;
            let mut answer = Vec::new();
            server.read_to_end(&mut answer).ok()?;
            answer
        }
        Fault::Unavailable => text("503 Service Unavailable", "<html>no server is there</html>"),
        Fault::Forbidden => text("403 Forbidden", r#"{"errors":["permission denied"]}"#),
        Fault::Page => text("200 OK", "<html>log in to this network</html>"),
        Fault::Silence => {
            std::thread::sleep(Duration::from_secs(30));
            return None;
        }
        Fault::Reset => return client.shutdown(Shutdown::Both).ok(),
    };
    client.write_all(&answer).ok()
}

/// Head and body, with a head that asks for the end of the connection.
fn request(client: &mut TcpStream) -> Option<Vec<u8>> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let len = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            let len: usize = len.map_or(0, |len| len.trim().parse().unwrap());
            if bytes.len() >= end + 4 + len {
                bytes.splice(end..end, b"\r\nConnection: close".iter().copied());
                return Some(bytes);
            }
        }
        match client.read(&mut buffer).ok()? {
            0 => return None,
            read => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

fn text(status: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}
