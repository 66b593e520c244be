//! Streams in memory, whose pieces come as they like.

use super::*;
use keyfold_envelope::cobblestone::{CHUNK_LEN, SEALED_CHUNK_LEN};
use keyfold_envelope::header::HEADER_LEN;
use keyfold_envelope::{Context, DecryptOptions, Labels, MemoryKeys, NoProgress, decrypt_stream};
use std::io::ErrorKind;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

fn keys() -> Arc<MemoryKeys> {
    Arc::new(MemoryKeys::new())
}

async fn sealed(keys: &Arc<MemoryKeys>, plain: &[u8]) -> Vec<u8> {
    let (keys, locator) = (keys.clone(), "transit/payments".parse().unwrap());
    let mut stream = seal(keys, locator, Context::new(), Labels::default(), plain)
        .await
        .unwrap();
    let mut out = Vec::new();
    stream.read_to_end(&mut out).await.unwrap();
    let made = stream.encrypted().unwrap();
    assert_eq!(made.plaintext_len, plain.len() as u64);
    assert_eq!(made.envelope_len, out.len() as u64);
    out
}

#[tokio::test]
async fn there_and_back_in_pieces_of_any_size() {
    let keys = keys();
    for len in [0, 1, CHUNK_LEN, CHUNK_LEN + 1, 300_000] {
        let envelope = sealed(&keys, &pattern(len)).await;
        // The same format as everybody's.
        let (mut plain, options) = (Vec::new(), DecryptOptions::default());
        let context = Context::new();
        decrypt_stream(
            &[&*keys],
            &context,
            &envelope[..],
            &mut plain,
            &options,
            &NoProgress,
        )
        .unwrap();
        assert!(plain == pattern(len));

        for piece in [1000, 70_000] {
            let (mut writer, reader) = duplex(piece);
            let bytes = envelope.clone();
            let send = tokio::spawn(async move { writer.write_all(&bytes).await });
            let mut stream = open(keys.clone(), Context::new(), reader).await.unwrap();
            let mut plain = Vec::new();
            assert!(stream.opened().is_none());
            stream.read_to_end(&mut plain).await.unwrap();
            assert!(plain == pattern(len));
            assert_eq!(stream.opened().unwrap().plaintext_len, len as u64);
            send.await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_bad_envelope_ends_with_its_error_after_what_is_authentic() {
    let keys = keys();
    let good = sealed(&keys, &pattern(3 * CHUNK_LEN)).await;
    let mut flipped = good.clone();
    flipped[HEADER_LEN + SEALED_CHUNK_LEN] ^= 1;
    for (bytes, chunks) in [
        (&good[..good.len() - 1], 3),
        (&good[..HEADER_LEN + SEALED_CHUNK_LEN], 1),
        (&flipped, 1),
        (&[&good[..], &b"x"[..]].concat(), 3),
    ] {
        let mut stream = open(keys.clone(), Context::new(), bytes).await.unwrap();
        let mut plain = Vec::new();
        let failed = stream.read_to_end(&mut plain).await.unwrap_err();
        assert!(failed.get_ref().is_some_and(|inner| inner.is::<Error>()));
        assert!(plain == pattern(chunks * CHUNK_LEN));
        let again = stream.read(&mut [0; 9]).await.unwrap_err();
        assert_eq!(again.kind(), ErrorKind::InvalidData);
        assert!(stream.opened().is_none());
    }
    let cut = open(keys, Context::new(), &good[..HEADER_LEN - 1]).await;
    assert!(matches!(cut.err(), Some(Error::Truncated)));
}

#[tokio::test]
async fn an_input_that_fails_makes_no_whole_envelope() {
    let keys = keys();
    let input = failing(pattern(CHUNK_LEN));
    let locator = "transit/payments".parse().unwrap();
    let mut stream = seal(
        keys.clone(),
        locator,
        Context::new(),
        Labels::default(),
        input,
    )
    .await
    .unwrap();
    let mut out = Vec::new();
    assert!(stream.read_to_end(&mut out).await.is_err());
    assert!(stream.encrypted().is_none());
    drop(stream);
    let mut stream = open(keys, Context::new(), &out[..]).await.unwrap();
    assert!(stream.read_to_end(&mut Vec::new()).await.is_err());
}

/// Gives `bytes` and then fails.
fn failing(bytes: Vec<u8>) -> impl tokio::io::AsyncRead + Unpin {
    struct Failing;
    impl tokio::io::AsyncRead for Failing {
        fn poll_read(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
            _: &mut tokio::io::ReadBuf<'_>,
        ) -> std::task::Poll<io::Result<()>> {
            std::task::Poll::Ready(Err(ErrorKind::ConnectionReset.into()))
        }
    }
    io::Cursor::new(bytes).chain(Failing)
}
