//! The ceiling: what this machine can do for `transit/encrypt` when nothing but the unavoidable work is done.
//!
//! `keyfold-ceiling [PORT]` listens on 127.0.0.1 (port 0, the default, takes a free one) and prints the port on a
//! line of its own. It keeps no store, checks no token and writes no log: HTTP, JSON, base64 and AES-256-GCM only.
//! `bench/run.sh` divides Keyfold's figures by this program's, measured in the same run.
//!
//! | request | work |
//! |---|---|
//! | `POST …/decrypt…` `{"ciphertext": "vault:v1:…"}` | the reverse of the next line |
//! | `POST` any other path `{"plaintext": base64}` | parse, decode, seal under one key, encode, answer |
//! | `GET` any path | a fixed body of 200 bytes |

#![forbid(unsafe_code)]

mod cipher;

use std::convert::Infallible;
use std::io::Write as _;

use bytes::Bytes;
use cipher::Cipher;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};

/// What every read is answered with: 200 bytes, the size of a small secret in its response envelope.
static READ_BODY: [u8; 200] = read_body();

#[derive(Deserialize)]
struct Encrypt<'a> {
    #[serde(borrow)]
    plaintext: &'a str,
}

#[derive(Deserialize)]
struct Decrypt<'a> {
    #[serde(borrow)]
    ciphertext: &'a str,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0u16);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", listener.local_addr()?.port())?;
        out.flush()?;
    }
    let cipher: &'static Cipher =
        Box::leak(Box::new(Cipher::new().map_err(std::io::Error::other)?));
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve(stream, cipher));
    }
}

/// Serves one connection until the client hangs up. A broken connection is the client's affair.
async fn serve(stream: TcpStream, cipher: &'static Cipher) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request| answer(request, cipher));
    let _ended = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    cipher: &'static Cipher,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == Method::GET {
        return Ok(json(StatusCode::OK, Bytes::from_static(&READ_BODY)));
    }
    let decrypts = request.uri().path().contains("/decrypt");
    let Ok(body) = request.into_body().collect().await else {
        return Ok(json(StatusCode::BAD_REQUEST, Bytes::new()));
    };
    let body = body.to_bytes();
    let made = if decrypts {
        decrypt(&body, cipher)
    } else {
        encrypt(&body, cipher)
    };
    Ok(match made {
        Some(text) => json(StatusCode::OK, Bytes::from(text)),
        None => json(
            StatusCode::BAD_REQUEST,
            Bytes::from_static(b"{\"errors\":[]}"),
        ),
    })
}

fn encrypt(body: &[u8], cipher: &Cipher) -> Option<String> {
    let request: Encrypt<'_> = serde_json::from_slice(body).ok()?;
    let mut text = String::with_capacity(request.plaintext.len() + 128);
    text.push_str(r#"{"data":{"ciphertext":""#);
    cipher.seal_into(request.plaintext, &mut text)?;
    text.push_str(r#"","key_version":1}}"#);
    Some(text)
}

fn decrypt(body: &[u8], cipher: &Cipher) -> Option<String> {
    let request: Decrypt<'_> = serde_json::from_slice(body).ok()?;
    let mut text = String::with_capacity(request.ciphertext.len() + 64);
    text.push_str(r#"{"data":{"plaintext":""#);
    cipher.open_into(request.ciphertext, &mut text)?;
    text.push_str(r#""}}"#);
    Some(text)
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
    fn what_was_encrypted_decrypts() {
        let cipher = Cipher::new().unwrap();
        let sealed = encrypt(br#"{"plaintext":"aGVsbG8="}"#, &cipher).unwrap();
        let answer: serde_json::Value = serde_json::from_str(&sealed).unwrap();
        let ciphertext = answer["data"]["ciphertext"].as_str().unwrap();
        assert!(ciphertext.starts_with("vault:v1:"));
        let opened = decrypt(
            format!(r#"{{"ciphertext":"{ciphertext}"}}"#).as_bytes(),
            &cipher,
        );
        assert_eq!(opened.unwrap(), r#"{"data":{"plaintext":"aGVsbG8="}}"#);
    }

    #[test]
    fn bad_bodies_and_foreign_ciphertexts_are_refused() {
        let cipher = Cipher::new().unwrap();
        for body in [&b"{"[..], b"{}", br#"{"plaintext":"!"}"#] {
            assert!(encrypt(body, &cipher).is_none());
        }
        for text in ["", "vault:v1:", "vault:v1:AAAA", "vault:v2:aGVsbG8="] {
            let body = format!(r#"{{"ciphertext":"{text}"}}"#);
            assert!(decrypt(body.as_bytes(), &cipher).is_none(), "{text}");
        }
    }

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
