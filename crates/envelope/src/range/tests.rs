//! Ranges against slices of the plaintext, and what they read to get there.

use super::*;
use crate::cobblestone::{CHUNK_LEN, HEAD_LEN, SEALED_CHUNK_LEN};
use crate::encrypt::{EncryptOptions, encrypt_stream, seal_prelude};
use crate::file::BATCH_CHUNKS;
use crate::header::{HEADER_LEN, Prelude};
use crate::labels::Labels;
use crate::progress::NoProgress;
use crate::recipient::TransitKey;
use crate::testing::{Service, locator};
use proptest::prelude::*;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const PLAIN: usize = 3 * CHUNK_LEN + 100;

/// Bytes in memory that count what is read of them.
#[derive(Default)]
struct Counted {
    bytes: Vec<u8>,
    read: AtomicU64,
    calls: AtomicU64,
}

impl Counted {
    fn take(&self) -> (u64, u64) {
        (
            self.read.swap(0, Ordering::Relaxed),
            self.calls.swap(0, Ordering::Relaxed),
        )
    }
}

impl ReadAt for Counted {
    fn size(&self) -> std::io::Result<u64> {
        self.bytes.size()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        self.read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.bytes.read_exact_at(buffer, offset)
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at % 251) as u8).collect()
}

fn sealed(service: &Service, plaintext: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (context, options) = (Context::new(), EncryptOptions::default());
    let locator = locator();
    encrypt_stream(
        &[&TransitKey::new(service, &locator)],
        &context,
        plaintext,
        &mut out,
        &options,
        &NoProgress,
    )
    .unwrap();
    out
}

fn open<S: ReadAt>(service: &Service, source: S) -> Result<Envelope<S>, Error> {
    Envelope::open(&[service], &Context::new(), source)
}

fn part<S: ReadAt>(envelope: &mut Envelope<S>, range: Range<u64>) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    envelope.write_range(range, &mut out).map(|()| out)
}

#[test]
fn a_range_reads_its_chunks_alone_in_one_call() {
    let service = Service::new();
    let plain = pattern(40 * CHUNK_LEN + 7);
    let source = Counted {
        bytes: sealed(&service, &plain),
        ..Counted::default()
    };
    let mut envelope = open(&service, &source).unwrap();
    assert_eq!(source.take(), (HEADER_LEN as u64, 1));
    let chunk = CHUNK_LEN as u64;
    for (range, chunks) in [
        (0..1, 1),
        (chunk - 1..chunk, 0),
        (chunk..chunk + 4096, 1),
        (3 * chunk - 1..3 * chunk + 1, 2),
        (3 * chunk + 1..3 * chunk + 2, 0),
        (5 * chunk + 5..9 * chunk + 5, 5),
        (40 * chunk..40 * chunk + 7, 1),
    ] {
        let found = part(&mut envelope, range.clone()).unwrap();
        assert_eq!(found, plain[range.start as usize..range.end as usize]);
        let (read, calls) = source.take();
        let most = chunks * SEALED_CHUNK_LEN as u64;
        assert!(
            read <= most && read + 16_400 > most,
            "{range:?} reads {read}"
        );
        assert_eq!(calls, chunks.min(1), "{range:?}");
    }
    assert!(part(&mut envelope, 0..plain.len() as u64).unwrap() == plain);
    assert_eq!(source.take().1, 41u64.div_ceil(BATCH_CHUNKS as u64));
    assert_eq!(service.calls().unwrap, 1);
}

#[test]
fn small_reads_open_each_chunk_once() {
    let service = Service::new();
    let source = Counted {
        bytes: sealed(&service, &pattern(PLAIN)),
        ..Counted::default()
    };
    let mut envelope = open(&service, &source).unwrap();
    source.take();
    let (mut all, mut piece) = (Vec::new(), [0; 1000]);
    loop {
        match envelope.read(&mut piece).unwrap() {
            0 => break,
            len => all.extend_from_slice(&piece[..len]),
        }
    }
    assert!(all == pattern(PLAIN));
    assert_eq!(source.take().1, 4);
}

#[test]
fn what_lies_beyond_the_end_is_an_error_and_writes_nothing() {
    let service = Service::new();
    for len in [0, 1, 100, CHUNK_LEN, PLAIN] {
        let bytes = sealed(&service, &pattern(len));
        let mut envelope = open(&service, &bytes).unwrap();
        let len = len as u64;
        assert_eq!(part(&mut envelope, len..len).unwrap(), b"");
        for range in [
            0..len + 1,
            len..len + 1,
            len + 5..len + 5,
            len + 1..0,
            0..u64::MAX,
        ] {
            let mut out = Vec::new();
            let refused = envelope.write_range(range.clone(), &mut out);
            let end = range.end.max(range.start);
            let told = format!("{:?}", refused.unwrap_err());
            assert_eq!(told, format!("OutOfRange {{ end: {end}, len: {len} }}"));
            assert!(out.is_empty());
        }
        let mut out = [0; 2];
        for offset in [len.saturating_sub(1), len, u64::MAX] {
            let refused = envelope.read_at(offset, &mut out);
            assert!(matches!(refused, Err(Error::OutOfRange { .. })), "{offset}");
        }
        assert_eq!(envelope.seek(SeekFrom::End(3)).unwrap(), len + 3);
        assert_eq!(envelope.read(&mut out).unwrap(), 0);
        assert_eq!(envelope.read(&mut []).unwrap(), 0);
    }
}

#[test]
fn a_cut_file_gives_what_is_left_of_it_and_no_end() {
    let service = Service::new();
    let good = sealed(&service, &pattern(PLAIN));
    let second = HEADER_LEN + SEALED_CHUNK_LEN;
    for (at, error) in [
        (second, "Truncated"),
        (second + 15, "Truncated"),
        (second + 16, "EndDamaged { chunk: 1 }"),
        (second + 5000, "EndDamaged { chunk: 1 }"),
        (good.len() - 1, "EndDamaged { chunk: 3 }"),
    ] {
        let mut envelope = open(&service, &good[..at]).unwrap();
        let chunk = CHUNK_LEN as u64;
        assert!(part(&mut envelope, 7..chunk).unwrap() == pattern(CHUNK_LEN)[7..]);
        let told = |error: Error| format!("{error:?}");
        assert_eq!(told(envelope.plaintext_len().unwrap_err()), error, "{at}");
        assert_eq!(told(envelope.range(Bounds::Last(1)).unwrap_err()), error);
        assert_eq!(
            told(part(&mut envelope, 0..PLAIN as u64 + 1).unwrap_err()),
            error
        );
        assert_eq!(
            told(part(&mut envelope, 0..PLAIN as u64).unwrap_err()),
            error
        );
        let mut all = Vec::new();
        let failed = envelope.read_to_end(&mut all).unwrap_err();
        assert!(failed.to_string().len() > 10 && failed.kind() == ErrorKind::InvalidData);
        assert!(pattern(PLAIN).starts_with(&all) && all.len() < PLAIN);
        assert!(envelope.seek(SeekFrom::End(0)).is_err());
    }
    let cut = open(&service, &good[..HEADER_LEN - 1]);
    assert!(matches!(cut.err(), Some(Error::Truncated)));
}

#[test]
fn a_damaged_chunk_is_named_and_gives_nothing() {
    let service = Service::new();
    let mut bytes = sealed(&service, &pattern(PLAIN));
    bytes[HEADER_LEN + SEALED_CHUNK_LEN + 9] ^= 1;
    let mut envelope = open(&service, &bytes).unwrap();
    let mut out = Vec::new();
    let chunk = CHUNK_LEN as u64;
    let refused = envelope.write_range(chunk - 2..chunk + 2, &mut out);
    assert!(matches!(refused, Err(Error::CorruptChunk { chunk: 1 })));
    assert_eq!(out, pattern(CHUNK_LEN)[CHUNK_LEN - 2..]);
    let mut piece = [0xee; 100];
    assert!(envelope.read_at(chunk, &mut piece).is_err());
    assert!(piece.iter().all(|byte| *byte == 0xee));
    // What is whole is still read.
    envelope.read_at(2 * chunk, &mut piece).unwrap();
    assert!(piece == pattern(PLAIN)[2 * CHUNK_LEN..][..100]);
}

#[test]
fn bytes_after_the_end_are_no_plaintext() {
    let service = Service::new();
    for len in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, PLAIN] {
        let good = sealed(&service, &pattern(len));
        for extra in [1, SEALED_CHUNK_LEN] {
            let bytes = [&good[..], &vec![0; extra]].concat();
            let mut envelope = open(&service, &bytes).unwrap();
            assert!(envelope.plaintext_len().is_err(), "{len} and {extra}");
            let beyond = envelope.read_at(len as u64, &mut [0]);
            assert!(beyond.is_err(), "{len} and {extra}");
            let mut all = Vec::new();
            assert!(envelope.read_to_end(&mut all).is_err());
            assert!(pattern(len).starts_with(&all));
        }
    }
}

#[test]
fn a_clone_reads_by_itself_with_the_same_key() {
    let service = Service::new();
    let bytes = Arc::new(sealed(&service, &pattern(PLAIN)));
    let mut first = open(&service, bytes).unwrap();
    first.seek(SeekFrom::Start(5)).unwrap();
    let mut second = first.clone();
    let (mut a, mut b) = ([0; 10], Vec::new());
    first.read_exact(&mut a).unwrap();
    let thread = std::thread::spawn(move || {
        second.read_to_end(&mut b).unwrap();
        b
    });
    assert_eq!(a, pattern(PLAIN)[5..15]);
    assert!(thread.join().unwrap() == pattern(PLAIN)[5..]);
    assert_eq!(service.calls().unwrap, 1);
    assert!(first.seek(SeekFrom::Current(-16)).is_err());
    assert_eq!(first.seek(SeekFrom::Current(-15)).unwrap(), 0);
}

#[test]
fn a_detached_payload_is_a_message_by_itself() {
    let service = Service::new();
    let prelude = Prelude::new([7; 16], &Context::new(), &Labels::default()).unwrap();
    let locator = locator();
    let key = TransitKey::new(&service, &locator);
    let made = seal_prelude(&[&key], prelude.detached()).unwrap();
    let mut payload = [&made.header.salt[..], &made.header.commitment].concat();
    assert_eq!(payload.len(), HEAD_LEN);
    crate::stream::encrypt(&made.key, &pattern(PLAIN)[..], &mut payload, 1, &NoProgress).unwrap();

    let header = made.header.encode();
    let context = Context::new();
    let mut envelope = Envelope::open_detached(&[&service], &context, &header, &payload).unwrap();
    assert_eq!(envelope.plaintext_len().unwrap(), PLAIN as u64);
    let found = part(&mut envelope, 100..40_000).unwrap();
    assert!(found == pattern(PLAIN)[100..40_000]);
    for (bounds, want) in [(None, 0..PLAIN), (Some(Bounds::Last(9)), PLAIN - 9..PLAIN)] {
        let mut out = Vec::new();
        let opened = open_detached_range(
            &[&service],
            &context,
            &made.header,
            &payload,
            bounds,
            &mut out,
        );
        assert_eq!(opened.unwrap().plaintext_len, want.len() as u64);
        assert!(out == pattern(PLAIN)[want]);
    }

    let attached = [&header[..], &payload[HEAD_LEN..]].concat();
    let refused = open(&service, &attached);
    assert!(matches!(refused.err(), Some(Error::Unsupported(_))));
    let whole = sealed(&service, b"x");
    let refused = Envelope::open_detached(
        &[&service],
        &context,
        whole.first_chunk().unwrap(),
        &payload,
    );
    assert!(matches!(refused.err(), Some(Error::HeaderDamaged(_))));
    let cut = Envelope::open_detached(&[&service], &context, &header, &payload[..HEAD_LEN - 1]);
    assert!(matches!(cut.err(), Some(Error::Truncated)));
}

#[test]
fn parts_become_files_and_only_whole_ones() {
    use std::os::unix::fs::PermissionsExt;
    let service = Service::new();
    let dir = tempfile::tempdir().unwrap();
    let (input, output) = (dir.path().join("in.kf"), dir.path().join("out"));
    std::fs::write(&input, sealed(&service, &pattern(PLAIN))).unwrap();
    let context = Context::new();
    let extract = |bounds, overwrite| {
        open_range_file(&[&service], &context, &input, bounds, &output, overwrite)
    };
    let opened = extract(Bounds::Between(10, 20_000), false).unwrap();
    assert_eq!(opened.plaintext_len, 19_991);
    assert!(std::fs::read(&output).unwrap() == pattern(PLAIN)[10..=20_000]);
    let mode = std::fs::metadata(&output).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let exists = extract(Bounds::Last(1), false);
    assert!(matches!(exists, Err(Error::OutputExists(_))));
    let beyond = extract(Bounds::From(PLAIN as u64), true);
    assert!(matches!(beyond, Err(Error::OutOfRange { .. })));
    assert_eq!(
        std::fs::read(&output).unwrap().len(),
        19_991,
        "it is as it was"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    extract(Bounds::Last(3), true).unwrap();
    assert_eq!(std::fs::read(&output).unwrap(), pattern(PLAIN)[PLAIN - 3..]);
}

#[test]
fn a_pipe_has_no_ranges() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let file = File::from(std::os::fd::OwnedFd::from(reader));
    let refused = open(&Service::new(), file).err().unwrap();
    assert!(matches!(refused, Error::Io(error) if error.kind() == ErrorKind::NotSeekable));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Each of 200 random ranges is the slice, and no more is read than its chunks.
    #[test]
    fn any_range_is_that_slice(
        len in prop::sample::select(vec![0usize, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, PLAIN]),
        a in 0usize..60_000, b in 0usize..60_000,
    ) {
        let service = Service::new();
        let plain = pattern(len);
        let source = Counted { bytes: sealed(&service, &plain), ..Counted::default() };
        let mut envelope = open(&service, &source).unwrap();
        source.take();
        let range = a.min(b)..a.max(b);
        let found = part(&mut envelope, range.start as u64..range.end as u64);
        match plain.get(range.clone()) {
            Some(slice) => prop_assert!(found.unwrap() == slice),
            None => prop_assert!(matches!(found, Err(Error::OutOfRange { .. })), "{:?}", range),
        }
        let most = range.len() + 2 * SEALED_CHUNK_LEN + 16 * (range.len() / CHUNK_LEN);
        prop_assert!(source.take().0 <= most as u64);
    }
}
