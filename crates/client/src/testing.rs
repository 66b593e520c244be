//! A server for tests: canned answers in order, one connection each, on 127.0.0.1 port 0.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

/// Answers each request with the next of a list. A 307's body is its `Location`.
pub(crate) struct Answers {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Answers {
    pub(crate) fn start(answers: &[(u16, &str)]) -> Self {
        Self::serve(
            answers
                .iter()
                .map(|(status, body)| whole(*status, body))
                .collect(),
        )
    }

    /// Announces more bytes than it sends.
    pub(crate) fn start_cut_short() -> Self {
        Self::serve(vec![
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_owned(),
        ])
    }

    pub(crate) fn start_unix(path: &Path, answers: &[(u16, &str)]) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let answers: Vec<_> = answers
            .iter()
            .map(|(status, body)| whole(*status, body))
            .collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                reply(&mut stream, &answer, &log);
            }
        });
        Self { port: 0, asked }
    }

    pub(crate) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The requests so far, each as it came.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The address of a port that nobody listens at any more.
    pub(crate) fn close(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    }

    fn serve(answers: Vec<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                reply(&mut stream, &answer, &log);
            }
        });
        Self { port, asked }
    }
}

fn whole(status: u16, body: &str) -> String {
    let (location, body) = match status {
        307 => (format!("Location: {body}\r\n"), ""),
        _ => (String::new(), body),
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\n{location}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

fn reply<S: Read + Write>(stream: &mut S, answer: &str, log: &Mutex<Vec<String>>) {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).unwrap();
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert_ne!(read, 0, "the head ended early");
            continue;
        };
        let wanted = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        if body.len() >= wanted {
            log.lock().unwrap().push(text.into_owned());
            break;
        }
    }
    stream.write_all(answer.as_bytes()).unwrap();
}
