//! A whole envelope file, decrypted with a service whose wrap is the DEK itself: as a stream, as a range, and in pieces.
#![no_main]

#[path = "../src/plain_service.rs"]
mod plain_service;

use std::io::Read as _;

use keyfold_envelope::header::HEADER_LEN;
use keyfold_envelope::{
    Context, DecryptOptions, Envelope, Error, NoProgress, Opener, decrypt_stream,
};
use libfuzzer_sys::fuzz_target;

use plain_service::PlainService;

fuzz_target!(|bytes: &[u8]| {
    let options = DecryptOptions {
        workers: Some(std::num::NonZeroUsize::MIN),
        ..DecryptOptions::default()
    };
    let mut plain = Vec::new();
    let opened = decrypt_stream(
        &[&PlainService],
        &Context::new(),
        bytes,
        &mut plain,
        &options,
        &NoProgress,
    );
    let (by_range, by_pieces) = (range(bytes), pieces(bytes));
    match opened {
        Ok(opened) => {
            assert_eq!(opened.plaintext_len, plain.len() as u64);
            let same = |other: Result<Vec<u8>, Error>| other.is_ok_and(|other| other == plain);
            assert!(same(by_range) && same(by_pieces));
        }
        Err(error) => {
            let told = |other: Result<Vec<u8>, Error>| {
                other.err().map(|other| std::mem::discriminant(&other))
            };
            let error = Some(std::mem::discriminant(&error));
            assert!(told(by_range) == error && told(by_pieces) == error);
        }
    }
    assert!(
        plain.is_empty() || plain.len() < bytes.len(),
        "an envelope is longer than what it holds"
    );
});

fn range(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut envelope = Envelope::open(&[&PlainService], &Context::new(), bytes)?;
    let mut plain = Vec::new();
    match envelope.read_to_end(&mut plain) {
        Ok(_) => Ok(plain),
        Err(error) => Err(error
            .into_inner()
            .and_then(|inner| inner.downcast().ok())
            .map_or(Error::InputChanged, |error| *error)),
    }
}

fn pieces(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let header = bytes.get(..HEADER_LEN).unwrap_or(bytes);
    let mut opener = Opener::new(&[&PlainService], &Context::new(), header)?;
    let mut plain = Vec::new();
    for piece in bytes.get(HEADER_LEN..).unwrap_or_default().chunks(5_000) {
        opener.push(piece, &mut plain)?;
    }
    opener.finish(&mut plain)?;
    Ok(plain)
}
