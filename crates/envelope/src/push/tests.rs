//! Pieces of any size against the engine for streams.

use super::*;
use crate::cobblestone::{CHUNK_LEN, SEALED_CHUNK_LEN};
use crate::context::Context;
use crate::decrypt::{DecryptOptions, decrypt_stream};
use crate::encrypt::seal_header;
use crate::error::Error;
use crate::header::HEADER_LEN;
use crate::labels::Labels;
use crate::progress::NoProgress;
use crate::recipient::TransitKey;
use crate::testing::{Service, locator};
use proptest::prelude::*;
use std::io::{ErrorKind, Read, Write};

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

fn sealer(service: &Service) -> Sealer {
    let locator = locator();
    let key = TransitKey::new(service, &locator);
    Sealer::new(&[&key], &Context::new(), &Labels::default()).unwrap()
}

fn seal(service: &Service, plain: &[u8]) -> Vec<u8> {
    let (mut sealer, mut out) = (sealer(service), Vec::new());
    sealer.push(plain, &mut out).unwrap();
    let made = sealer.finish(&mut out).unwrap();
    assert_eq!(made.plaintext_len, plain.len() as u64);
    assert_eq!(made.envelope_len, out.len() as u64);
    out
}

fn opener(service: &Service, envelope: &[u8]) -> Result<Opener, Error> {
    let header = envelope.get(..HEADER_LEN).unwrap_or(envelope);
    Opener::new(&[service], &Context::new(), header)
}

/// Splits `bytes` at places that `cuts` tells.
fn pieces<'a>(mut bytes: &'a [u8], cuts: &'a [usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for cut in cuts {
        let (piece, rest) = bytes.split_at((*cut).min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_split_gives_the_bytes_of_the_stream_engine(
        len in 0usize..70_000,
        cuts in prop::collection::vec(prop_oneof![0usize..40, 0usize..40_000], 0..12),
    ) {
        let service = Service::new();
        let plain = pattern(len);
        let key = |header: &crate::encrypt::SealedHeader| header.header.encode().to_vec();
        let locator = locator();
        let recipient = TransitKey::new(&service, &locator);
        let made = seal_header(&[&recipient], &Context::new(), &Labels::default()).unwrap();
        let mut expected = key(&made);
        crate::stream::encrypt(&made.key, &plain[..], &mut expected, 2, &NoProgress).unwrap();

        let head = key(&made);
        let (mut sealer, mut out) = (Sealer::of(made, head), Vec::new());
        for piece in pieces(&plain, &cuts) {
            sealer.push(piece, &mut out).unwrap();
        }
        sealer.finish(&mut out).unwrap();
        prop_assert!(out == expected);

        let (mut opener, mut back) = (opener(&service, &out).unwrap(), Vec::new());
        for piece in pieces(&out[HEADER_LEN..], &cuts) {
            opener.push(piece, &mut back).unwrap();
            prop_assert!(plain.starts_with(&back));
        }
        let opened = opener.finish(&mut back).unwrap();
        prop_assert_eq!(opened.plaintext_len, len as u64);
        prop_assert!(back == plain);
    }
}

#[test]
fn an_unfinished_envelope_is_a_cut_one() {
    let service = Service::new();
    for len in [0, 1, CHUNK_LEN, CHUNK_LEN + 1] {
        let (mut sealer, mut out) = (sealer(&service), Vec::new());
        sealer.push(&pattern(len), &mut out).unwrap();
        drop(sealer);
        let (mut released, options) = (Vec::new(), DecryptOptions::default());
        let context = Context::new();
        let result = decrypt_stream(
            &[&service],
            &context,
            &out[..],
            &mut released,
            &options,
            &NoProgress,
        );
        assert!(matches!(result, Err(Error::Truncated)), "{len}");

        let mut opener = opener(&service, &out).unwrap();
        let mut plain = Vec::new();
        opener.push(&out[HEADER_LEN..], &mut plain).unwrap();
        assert!(matches!(opener.finish(&mut plain), Err(Error::Truncated)));
        assert!(plain == released);
    }
}

#[test]
fn an_error_stays_and_releases_no_more() {
    let service = Service::new();
    let mut bytes = seal(&service, &pattern(4 * CHUNK_LEN));
    bytes[HEADER_LEN + SEALED_CHUNK_LEN + 3] ^= 1;
    let (mut opener, mut plain) = (opener(&service, &bytes).unwrap(), Vec::new());
    for piece in [&bytes[HEADER_LEN..], b"", b"more"] {
        let refused = opener.push(piece, &mut plain);
        assert!(matches!(refused, Err(Error::CorruptChunk { chunk: 1 })));
        assert!(plain == pattern(CHUNK_LEN));
    }
    let refused = opener.finish(&mut plain);
    assert!(matches!(refused, Err(Error::CorruptChunk { chunk: 1 })));
    assert!(plain == pattern(CHUNK_LEN));
}

#[test]
fn a_detached_payload_goes_with_its_header_alone() {
    let service = Service::new();
    let (context, locator) = (Context::new(), locator());
    let key = TransitKey::new(&service, &locator);
    let make = || {
        let labels = Labels::default();
        let mut sealer = Sealer::detached(&[&key], &context, &labels).unwrap();
        let (header, mut payload) = (sealer.header(), Vec::new());
        sealer.push(&pattern(20_000), &mut payload).unwrap();
        sealer.finish(&mut payload).unwrap();
        (header, payload)
    };
    let ((header, payload), (_, other)) = (make(), make());
    let open = |payload: &[u8], piece: usize| {
        let mut opener = Opener::detached(&[&service], &context, &header).unwrap();
        let mut plain = Vec::new();
        for piece in payload.chunks(piece) {
            opener.push(piece, &mut plain)?;
        }
        opener.finish(&mut plain).map(|_| plain)
    };
    for piece in [1, 55, 56, 57, 100_000] {
        assert!(open(&payload, piece).unwrap() == pattern(20_000), "{piece}");
        assert!(
            matches!(open(&other, piece), Err(Error::WrongKey)),
            "{piece}"
        );
    }
    assert!(matches!(open(&payload[..40], 7), Err(Error::Truncated)));
    assert!(matches!(open(&[], 7), Err(Error::Truncated)));
    assert!(Opener::new(&[&service], &context, &header).is_err());
    let attached = seal(&service, b"x");
    assert!(Opener::detached(&[&service], &context, &attached[..HEADER_LEN]).is_err());
}

#[test]
fn a_writer_and_a_reader() {
    let service = Service::new();
    let (context, labels, locator) = (Context::new(), Labels::default(), locator());
    let key = TransitKey::new(&service, &locator);
    for len in [0, 5, CHUNK_LEN, 300_000] {
        let mut writer = SealWriter::new(&[&key], &context, &labels, Vec::new()).unwrap();
        writer.write_all(&pattern(len)).unwrap();
        writer.flush().unwrap();
        let (envelope, made) = writer.finish().unwrap();
        assert_eq!(made.envelope_len, envelope.len() as u64);

        let mut reader = OpenReader::new(&[&service], &context, &envelope[..]).unwrap();
        let (mut first, mut rest) = ([0; 3], Vec::new());
        assert!(reader.opened().is_none());
        let begun = reader.read(&mut first).unwrap();
        reader.read_to_end(&mut rest).unwrap();
        assert!([&first[..begun], &rest].concat() == pattern(len));
        assert_eq!(reader.opened().unwrap().plaintext_len, len as u64);
        assert_eq!(reader.read(&mut first).unwrap(), 0);
    }
}

#[test]
fn a_reader_of_a_bad_envelope_never_says_that_it_ended() {
    let service = Service::new();
    let good = seal(&service, &pattern(3 * CHUNK_LEN));
    let mut flipped = good.clone();
    flipped[HEADER_LEN + SEALED_CHUNK_LEN] ^= 1;
    for (bytes, chunks) in [
        (&good[..good.len() - 1], 3),
        (&good[..HEADER_LEN + SEALED_CHUNK_LEN], 1),
        (&flipped, 1),
        (&[&good[..], &b"x"[..]].concat(), 3),
    ] {
        let mut reader = OpenReader::new(&[&service], &Context::new(), bytes).unwrap();
        let mut plain = Vec::new();
        let failed = reader.read_to_end(&mut plain).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::InvalidData);
        assert!(failed.get_ref().is_some_and(|inner| inner.is::<Error>()));
        assert!(plain == pattern(chunks * CHUNK_LEN));
        for _ in 0..2 {
            assert!(reader.read(&mut [0; 9]).is_err());
            assert!(reader.opened().is_none());
        }
    }
}

#[test]
fn a_failed_write_can_not_be_finished() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            match self.0.checked_sub(bytes.len()) {
                Some(left) => self.0 = left,
                None => return Err(ErrorKind::StorageFull.into()),
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let service = Service::new();
    let (context, labels, locator) = (Context::new(), Labels::default(), locator());
    let key = TransitKey::new(&service, &locator);
    let mut writer = SealWriter::new(&[&key], &context, &labels, Full(30_000)).unwrap();
    writer.write_all(&pattern(CHUNK_LEN)).unwrap();
    let full = writer.write_all(&pattern(CHUNK_LEN)).unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
    assert!(writer.write_all(b"x").is_err());
    assert!(writer.finish().is_err());
}
