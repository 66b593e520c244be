//! One HTTP/1.1 request over a connection of its own.
//!
//! Stories need what HTTP libraries tidy away: `/../` in a path, methods such as `LIST`, a body on `GET`, a request
//! that is answered before it was read to its end. So the bytes go out as they stand in the story.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take before the story fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request; `target` is the path and query exactly as sent.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// `GET`, `PUT`, `LIST`, …
    pub method: String,
    /// For example `/v1/sys/health?standbyok=true`.
    pub target: String,
    /// Sent in this order, beside `Host`, `Connection` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// `None` sends no `Content-Length`.
    pub body: Option<Vec<u8>>,
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body without its transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON, `Null` when it is empty or none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Sends the request and reads the answer. Each call opens a connection.
pub fn send(address: SocketAddr, request: &Request) -> io::Result<Response> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    head.push_str(&format!("Host: {address}\r\nConnection: close\r\n"));
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = &request.body {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(request.body.as_deref().unwrap_or_default());
    // A server may answer 413 and close while the body is still being written: then the answer counts, not the error.
    let written = stream.write_all(&bytes);
    let read = read_response(BufReader::new(stream), request.method == "HEAD");
    match (written, read) {
        (_, Ok(response)) => Ok(response),
        (Err(error), Err(_)) | (Ok(()), Err(error)) => Err(error),
    }
}

fn read_response(mut input: impl BufRead, no_body: bool) -> io::Result<Response> {
    let line = read_line(&mut input)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .ok_or_else(|| bad(format!("no status line: {line:?}")))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(&mut input)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| bad("a header without a colon"))?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut response = Response {
        status,
        headers,
        body: Vec::new(),
    };
    if no_body || status == 204 || status == 304 {
        return Ok(response);
    }
    if response
        .header("transfer-encoding")
        .is_some_and(|coding| coding.contains("chunked"))
    {
        response.body = read_chunks(&mut input)?;
    } else if let Some(length) = response
        .header("content-length")
        .and_then(|n| n.parse().ok())
    {
        input.take(length).read_to_end(&mut response.body)?;
        if response.body.len() as u64 != length {
            return Err(bad("the body is shorter than its Content-Length"));
        }
    } else {
        input.read_to_end(&mut response.body)?;
    }
    Ok(response)
}

fn read_chunks(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(input)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(bad)?;
        input.by_ref().take(size).read_to_end(&mut body)?;
        read_line(input)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn read_line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

fn bad(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> io::Result<Response> {
        read_response(text.as_bytes(), false)
    }

    #[test]
    fn bodies_come_by_length_by_chunks_or_by_the_end() {
        let sized = parse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\nhixx").unwrap();
        assert_eq!((sized.status, sized.text().as_str()), (200, "hi"));
        assert_eq!(sized.header("x-a"), Some("b"));
        let chunks =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;x\r\n!\r\n0\r\n\r\n";
        assert_eq!(parse(chunks).unwrap().text(), "hi!");
        assert_eq!(
            parse("HTTP/1.1 400 Bad\r\n\r\nrest").unwrap().text(),
            "rest"
        );
    }

    #[test]
    fn broken_answers_are_errors() {
        for text in [
            "",
            "HTTP/1.1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
