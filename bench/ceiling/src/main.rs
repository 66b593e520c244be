//! The ceiling: what this machine can do for a call of `transit` when nothing but the unavoidable work is done.
//!
//! `keyfold-ceiling [PORT]` listens on 127.0.0.1 (port 0, the default, takes a free one) and prints the port on a
//! line of its own. It keeps no store, checks no token and writes no log: HTTP, JSON, base64 and cryptography only.
//! `bench/run.sh` divides Keyfold's figures by this program's, measured in the same run.
//! `keyfold-ceiling bare` prints what one item of a batch costs without HTTP and JSON, nanoseconds.
//!
//! | request | work |
//! |---|---|
//! | `POST` `{"plaintext": base64}`, `{"batch_input": [{"plaintext": base64}, …]}` | parse, decode, seal under one key, encode, answer |
//! | `POST …/decrypt/KEY`, `…/rewrap/KEY` `{"ciphertext": "vault:v1:…"}` | the reverse; and both |
//! | `POST …/datakey/plaintext/KEY` | draw 32 bytes, seal them, answer both |
//! | `POST …/hmac/KEY`, `…/sign/KEY`, `…/verify/KEY` `{"input": base64, "signature": …}` | HMAC-SHA256; Ed25519 for the key `ed25519`, else ECDSA on P-256 |
//! | `GET` any path | a fixed body of 200 bytes |

#![forbid(unsafe_code)]

mod cipher;
mod signer;
mod work;

use std::convert::Infallible;
use std::io::Write as _;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use work::Keys;

/// What every read is answered with: 200 bytes, the size of a small secret in its response envelope.
static READ_BODY: [u8; 200] = read_body();

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let keys = Keys::new().map_err(std::io::Error::other)?;
    let argument = std::env::args().nth(1).unwrap_or_default();
    if argument == "bare" {
        let item = keys.bare_item().unwrap_or_default();
        return writeln!(std::io::stdout(), "{item:.0}");
    }
    let port = argument.parse().unwrap_or(0u16);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", listener.local_addr()?.port())?;
        out.flush()?;
    }
    let keys: &'static Keys = Box::leak(Box::new(keys));
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, keys));
    }
}

/// Serves one connection until the client hangs up. A broken connection is the client's affair.
async fn serve(stream: TcpStream, keys: &'static Keys) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| answer(request, keys));
    let _ended = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    keys: &'static Keys,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == Method::GET {
        return Ok(json(StatusCode::OK, Bytes::from_static(&READ_BODY)));
    }
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(json(StatusCode::BAD_REQUEST, Bytes::new()));
    };
    Ok(match keys.answer(head.uri.path(), &body.to_bytes()) {
        Some(text) => json(StatusCode::OK, Bytes::from(text)),
        None => json(
            StatusCode::BAD_REQUEST,
            Bytes::from_static(b"{\"errors\":[]}"),
        ),
    })
}

fn json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// `{"data":{"data":{"value":"xxx…"}}}`, filled up to 200 bytes.
const fn read_body() -> [u8; 200] {
    let (head, tail) = (br#"{"data":{"data":{"value":""#, br#""}}}"#);
    let mut body = [b'x'; 200];
    let (start, end) = body.split_at_mut(head.len());
    start.copy_from_slice(head);
    let (_, last) = end.split_at_mut(200 - head.len() - tail.len());
    last.copy_from_slice(tail);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_read_body_is_json_of_200_bytes() {
        let value: serde_json::Value = serde_json::from_slice(&READ_BODY).unwrap();
        assert!(
            value["data"]["data"]["value"]
                .as_str()
                .unwrap()
                .starts_with("xx")
        );
    }
}
