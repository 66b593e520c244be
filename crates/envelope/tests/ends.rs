//! Where an envelope ends, whoever reads it: a file, a stream, a range, or piece by piece. Sizes around a chunk, bytes after
//! the end, cuts, chunks in each other's place: all of them end the same way in all four.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::io::Read as _;
use std::num::NonZeroUsize;

use keyfold_envelope::cobblestone::{CHUNK_LEN, SEALED_CHUNK_LEN};
use keyfold_envelope::header::HEADER_LEN;
use keyfold_envelope::{
    Context, DecryptOptions, EncryptOptions, Envelope, Error, MemoryKeys, NoProgress, Opener,
    TransitKey, decrypt_file, decrypt_stream, encrypt_stream,
};

/// What came out, and how it ended.
type Read = (Vec<u8>, Result<(), Error>);

/// A way to read an envelope.
type Way = fn(&MemoryKeys, &[u8]) -> Read;

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

fn seal(keys: &MemoryKeys, plain: &[u8]) -> Vec<u8> {
    let (mut out, options) = (Vec::new(), EncryptOptions::default());
    let locator = "transit/payments".parse().unwrap();
    let context = Context::new();
    encrypt_stream(
        &[&TransitKey::new(keys, &locator)],
        &context,
        plain,
        &mut out,
        &options,
        &NoProgress,
    )
    .unwrap();
    out
}

fn options() -> DecryptOptions {
    DecryptOptions {
        workers: NonZeroUsize::new(1),
        ..DecryptOptions::default()
    }
}

fn by_file(keys: &MemoryKeys, bytes: &[u8]) -> Read {
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in"), dir.path().join("out"));
    std::fs::write(&input, bytes).unwrap();
    let context = Context::new();
    let result = decrypt_file(&[keys], &context, &input, &output, &options(), &NoProgress);
    (std::fs::read(&output).unwrap_or_default(), result.map(drop))
}

fn by_stream(keys: &MemoryKeys, bytes: &[u8]) -> Read {
    let mut out = Vec::new();
    let context = Context::new();
    let result = decrypt_stream(&[keys], &context, bytes, &mut out, &options(), &NoProgress);
    (out, result.map(drop))
}

fn by_range(keys: &MemoryKeys, bytes: &[u8]) -> Read {
    let mut out = Vec::new();
    let read = |out: &mut Vec<u8>| {
        let mut envelope = Envelope::open(&[keys], &Context::new(), bytes)?;
        let read = envelope.read_to_end(out).map(drop);
        read.map_err(|error| *error.into_inner().unwrap().downcast::<Error>().unwrap())
    };
    let result = read(&mut out);
    (out, result)
}

fn by_pieces(keys: &MemoryKeys, bytes: &[u8]) -> Read {
    let mut out = Vec::new();
    let read = |out: &mut Vec<u8>| {
        let header = bytes.get(..HEADER_LEN).unwrap_or(bytes);
        let mut opener = Opener::new(&[keys], &Context::new(), header)?;
        for piece in bytes[HEADER_LEN..].chunks(10_007) {
            opener.push(piece, out)?;
        }
        opener.finish(out).map(drop)
    };
    let result = read(&mut out);
    (out, result)
}

/// Reads in each way. All end alike, and what they release is a beginning of `plain`; a file is there whole or not at all.
fn read(keys: &MemoryKeys, plain: &[u8], bytes: &[u8], what: &str) -> Result<(), String> {
    let ways: [(&str, Way); 4] = [
        ("file", by_file),
        ("stream", by_stream),
        ("range", by_range),
        ("pieces", by_pieces),
    ];
    let ended = ways.map(|(way, open)| {
        let (released, result) = open(keys, bytes);
        assert!(plain.starts_with(&released), "{what}: {way}");
        if result.is_ok() {
            assert!(released == plain, "{what}: {way}: it is not all");
        } else if way == "file" {
            assert!(released.is_empty(), "{what}: a file came out");
        }
        result.map_err(|error| format!("{error:?}"))
    });
    let [first, rest @ ..] = ended;
    for other in rest {
        assert_eq!(first, other, "{what}");
    }
    first
}

#[test]
fn nothing_may_follow_the_end() {
    let keys = MemoryKeys::new();
    for len in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 2 * CHUNK_LEN] {
        let plain = pattern(len);
        let good = seal(&keys, &plain);
        assert_eq!(read(&keys, &plain, &good, "whole"), Ok(()), "{len}");
        let last_chunk = good.len() - 16 - len % CHUNK_LEN;
        for (what, more) in [
            ("a byte", &[0][..]),
            ("a chunk's length", &[0; CHUNK_LEN]),
            ("a sealed chunk's length", &[0; SEALED_CHUNK_LEN]),
            ("its last chunk again", &good[last_chunk..]),
            ("itself again", &good[..]),
        ] {
            let longer = [&good[..], more].concat();
            let what = format!("{len} bytes, then {what}");
            let ended = read(&keys, &plain, &longer, &what);
            assert_eq!(ended, Err("TrailingBytes".to_owned()), "{what}");
        }
    }
}

#[test]
fn every_cut_is_noticed() {
    let keys = MemoryKeys::new();
    let plain = pattern(2 * CHUNK_LEN + 100);
    let good = seal(&keys, &plain);
    for len in 0..HEADER_LEN {
        for way in [by_stream, by_range, by_pieces] {
            let (released, result) = way(&keys, &good[..len]);
            assert!(result.is_err() && released.is_empty(), "cut to {len}");
        }
    }
    let chunk = |number: usize| HEADER_LEN + number * SEALED_CHUNK_LEN;
    for number in 0..3 {
        for rest in [0, 1, 15] {
            let ended = read(&keys, &plain, &good[..chunk(number) + rest], "cut");
            assert_eq!(ended, Err("Truncated".to_owned()), "{number} and {rest}");
        }
        for rest in [16, 17, 50, 115] {
            let ended = read(&keys, &plain, &good[..chunk(number) + rest], "cut");
            let expected = format!("EndDamaged {{ chunk: {number} }}");
            assert_eq!(ended, Err(expected), "{number} and {rest}");
        }
    }
    // The longest that can be cut off a chunk without its being whole.
    let ended = read(&keys, &plain, &good[..chunk(1) - 1], "cut");
    assert_eq!(ended, Err("EndDamaged { chunk: 0 }".to_owned()));
}

#[test]
fn each_chunk_has_one_place() {
    let keys = MemoryKeys::new();
    let plain = pattern(3 * CHUNK_LEN + 100);
    let good = seal(&keys, &plain);
    let chunk = |number: usize| HEADER_LEN + number * SEALED_CHUNK_LEN;
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let mut swapped = good.clone();
        swapped[chunk(one)..chunk(one + 1)].copy_from_slice(&good[chunk(other)..chunk(other + 1)]);
        let repeated = swapped.clone();
        swapped[chunk(other)..chunk(other + 1)].copy_from_slice(&good[chunk(one)..chunk(one + 1)]);
        let expected = format!("MisplacedChunk {{ chunk: {one}, belongs: {other} }}");
        for bytes in [swapped, repeated] {
            let ended = read(&keys, &plain, &bytes, "moved");
            assert_eq!(ended.as_ref(), Err(&expected), "{one} and {other}");
        }
    }
    let left_out = [&good[..chunk(1)], &good[chunk(2)..]].concat();
    let ended = read(&keys, &plain, &left_out, "left out");
    assert_eq!(
        ended,
        Err("MisplacedChunk { chunk: 1, belongs: 2 }".to_owned())
    );
}
