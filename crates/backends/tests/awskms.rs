//! The awskms seal on a server that answers what a KMS may answer. What a KMS does is tried on a real
//! one's likeness, in `conformance/python/test_seals.py`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use keyfold_backends::seals::KINDS;
use keyfold_core::ports::seal::{Blob, Seal, SealError};

const KEY: &str = "11111111-2222-3333-4444-555555555555";
const OTHER: &str = "arn:aws:kms:eu-west-1:123456789012:key/99999999-2222-3333-4444-555555555555";
/// What may not be told to everybody.
const SECRET: &str = "arn:aws:iam::123456789012:user/keyfold";

/// Answers the same to whoever asks; its address.
fn answering(status: &'static str, body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                let line = line.to_ascii_lowercase();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut asked = vec![0; length];
            let _gone = reader.read_exact(&mut asked);
            let answer = format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\n\
                 content-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _gone = reader.get_mut().write_all(answer.as_bytes());
        }
    });
    address
}

fn seal(key: &str, endpoint: &str) -> Arc<dyn Seal> {
    let settings = [
        ("kms_key_id", key),
        ("endpoint", endpoint),
        ("region", "eu-west-1"),
        ("access_key", "id"),
        ("secret_key", "secret"),
    ];
    let settings = settings.map(|(k, v)| (k.to_owned(), v.to_owned()));
    let kind = KINDS.iter().find(|kind| kind.name == "awskms").unwrap();
    (kind.make)(&settings.into()).ok().unwrap()
}

/// What the seal says of a wrap of the other key when the KMS answers so.
async fn told(key: &str, status: &'static str, code: &str) -> SealError {
    let body = format!(r#"{{"__type":"{code}","message":"{SECRET} may not"}}"#);
    let blob = Blob {
        key_id: OTHER.into(),
        bytes: vec![7; 40],
    };
    let went = seal(key, &answering(status, body)).unwrap(&blob).await;
    went.err().unwrap()
}

#[tokio::test]
async fn refusals_have_their_class_and_their_words() {
    for (code, class, words) in [
        ("NotFoundException", "refused", "no such key"),
        ("DisabledException", "refused", "the key is disabled"),
        ("KMSInvalidStateException", "refused", "on its way out"),
        ("InvalidKeyUsageException", "refused", "something else"),
        ("UnrecognizedClientException", "refused", "does not know"),
        ("InvalidSignatureException", "refused", "does not know"),
        ("ExpiredTokenException", "refused", "have expired"),
        ("com.amazonaws.kms#SomethingNew", "refused", "SomethingNew"),
        ("no code, a sentence", "refused", "(400)"),
        ("InvalidCiphertextException", "foreign", "not of the KMS's"),
        ("IncorrectKeyException", "foreign", "not of the KMS's key"),
    ] {
        let error = told(KEY, "400 Bad Request", code).await;
        let text = error.to_string();
        assert_eq!(error.class(), class, "{code}: {text}");
        assert!(text.contains(words), "{code}: {text}");
        assert!(!text.contains("arn:"), "{code}: {text}");
    }
}

/// A denial is foreign where the wrap is known to be of another key; of an alias nothing is known.
#[tokio::test]
async fn a_denial_is_told_from_another_key() {
    let denied = "AccessDeniedException";
    let same = OTHER.rsplit('/').next().unwrap();
    for (key, class) in [
        (KEY, "foreign"),
        (same, "refused"),
        (OTHER, "refused"),
        ("alias/unseal", "refused"),
    ] {
        let error = told(key, "400 Bad Request", denied).await;
        assert_eq!(error.class(), class, "{key}: {error}");
    }
}

#[tokio::test]
async fn a_kms_in_trouble_is_down() {
    let (throttled, broken, proxy) = tokio::join!(
        told(KEY, "400 Bad Request", "ThrottlingException"),
        told(KEY, "500 Internal Server Error", "KMSInternalException"),
        told(KEY, "502 Bad Gateway", "not a code"),
    );
    for error in [throttled, broken, proxy] {
        assert_eq!(error.class(), "down", "{error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_refused_or_down() {
    let blob = Blob {
        key_id: OTHER.into(),
        bytes: vec![7; 40],
    };
    for (body, class) in [
        ("{}", "refused"),
        (r#"{"Plaintext":""}"#, "foreign"),
        (r#"{"Plaintext":"AAEC"}"#, "foreign"),
        ("<html>hello</html>", "down"),
    ] {
        let seal = seal(KEY, &answering("200 OK", body.into()));
        let error = seal.unwrap(&blob).await.err().unwrap();
        assert_eq!(error.class(), class, "{body}: {error}");
    }
}
