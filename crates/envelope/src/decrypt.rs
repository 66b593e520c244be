//! Opening envelopes. No byte is released before its chunk is authenticated, and a file appears
//! under its name only when all of it is.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::path::Path;

use crate::context::Context;
use crate::error::Error;
use crate::header::{HEADER_LEN, Header};
use crate::inspect::SlotInfo;
use crate::output::Output;
use crate::progress::Progress;
use crate::recipient::Identity;
use crate::unlock::{Unlocked, unlock};
use crate::{file, stream};

/// How to decrypt.
#[derive(Clone, Debug, Default)]
pub struct DecryptOptions {
    /// Replace an output that exists.
    pub overwrite: bool,
    /// Threads; as many as the machine has cores where `None`.
    pub workers: Option<NonZeroUsize>,
}

/// What was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of plaintext.
    pub plaintext_len: u64,
    /// The slot whose wrap opened it.
    pub slot: SlotInfo,
    /// Slots that are damaged, although another one opened the file: it should be rewrapped.
    pub damaged_slots: usize,
}

/// Decrypts a file into a file, in parallel, with the first of the identities that opens it. On any
/// error no output appears.
pub fn decrypt_file(
    identities: &[&dyn Identity],
    context: &Context,
    input: &Path,
    output: &Path,
    options: &DecryptOptions,
    progress: &dyn Progress,
) -> Result<Opened, Error> {
    let mut source = File::open(input)?;
    let metadata = source.metadata()?;
    let header = read_header(&mut source)?;
    header.attached()?;
    let target = Output::create(output, options.overwrite)?;
    let unlocked = unlock(identities, &header, context)?;
    let workers = file::worker_count(options.workers);
    let (plaintext_len, permissions) = if metadata.is_file() {
        let sealed_len = metadata.len().saturating_sub(HEADER_LEN as u64);
        progress.total(crate::cobblestone::plaintext_len(sealed_len).unwrap_or(sealed_len));
        let out = Some(&target);
        let len = file::decrypt(&unlocked.key, &source, out, sealed_len, workers, progress)?;
        (len, Some(metadata.permissions()))
    } else {
        (
            stream::decrypt(&unlocked.key, source, &target, workers, progress)?,
            None,
        )
    };
    target.publish(permissions)?;
    Ok(report(&header, &unlocked, plaintext_len))
}

/// Decrypts a stream into a stream, in constant memory. Chunks are written as they authenticate,
/// so on an error what was written is an authentic beginning of the plaintext and no more.
pub fn decrypt_stream(
    identities: &[&dyn Identity],
    context: &Context,
    mut input: impl Read + Send,
    mut output: impl Write,
    options: &DecryptOptions,
    progress: &dyn Progress,
) -> Result<Opened, Error> {
    let header = read_header(&mut input)?;
    header.attached()?;
    let unlocked = unlock(identities, &header, context)?;
    let workers = file::worker_count(options.workers);
    let plaintext_len = stream::decrypt(&unlocked.key, input, &mut output, workers, progress)?;
    output.flush()?;
    Ok(report(&header, &unlocked, plaintext_len))
}

/// What is told of an opening.
pub(crate) fn report(header: &Header, unlocked: &Unlocked, plaintext_len: u64) -> Opened {
    Opened {
        plaintext_len,
        slot: unlocked.slot.clone(),
        damaged_slots: header.slots.damaged(),
    }
}

/// Reads the first 4 KiB of an input.
pub(crate) fn read_header(input: &mut impl Read) -> Result<Header, Error> {
    let mut bytes = [0u8; HEADER_LEN];
    let len = stream::fill(input, &mut bytes)?;
    Header::parse_prefix(bytes.get(..len).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cobblestone::{CHUNK_LEN, SEALED_CHUNK_LEN};
    use crate::encrypt::{EncryptOptions, encrypt_file, encrypt_stream};
    use crate::file::{BATCH_CHUNKS, BATCH_PLAIN, BATCH_SEALED};
    use crate::progress::NoProgress;
    use crate::recipient::TransitKey;
    use crate::testing::{Service, envelope, locator};
    use proptest::prelude::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    const PAYLOAD: usize = HEADER_LEN;

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at % 251) as u8).collect()
    }

    fn workers(count: usize) -> DecryptOptions {
        DecryptOptions {
            workers: NonZeroUsize::new(count),
            ..DecryptOptions::default()
        }
    }

    /// Opens bytes as a file and as a stream; both must end the same way.
    fn open(service: &Service, bytes: &[u8]) -> (Vec<u8>, Result<Opened, Error>) {
        let dir = tempfile::tempdir().unwrap();
        let (input, output) = (dir.path().join("in.kf"), dir.path().join("out"));
        std::fs::write(&input, bytes).unwrap();
        let context = Context::new();
        let by_file = decrypt_file(
            &[service],
            &context,
            &input,
            &output,
            &workers(3),
            &NoProgress,
        );
        let mut released = Vec::new();
        let options = workers(3);
        let by_stream = decrypt_stream(
            &[service],
            &context,
            bytes,
            &mut released,
            &options,
            &NoProgress,
        );
        let told = |result: &Result<Opened, Error>| format!("{result:?}");
        assert_eq!(told(&by_file), told(&by_stream));
        if by_file.is_ok() {
            assert_eq!(std::fs::read(&output).unwrap(), released);
        } else {
            let left = std::fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(left, 1, "only the input is there");
        }
        (released, by_stream)
    }

    fn sealed(service: &Service, plaintext: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let (context, options) = (Context::new(), EncryptOptions::default());
        encrypt_stream(
            &[&TransitKey::new(service, &locator())],
            &context,
            plaintext,
            &mut out,
            &options,
            &NoProgress,
        )
        .unwrap();
        out
    }

    #[test]
    fn files_and_streams_are_the_same_format_at_every_border() {
        let service = Service::new();
        let dir = tempfile::tempdir().unwrap();
        let batch = BATCH_PLAIN;
        for len in [
            0,
            1,
            CHUNK_LEN - 1,
            CHUNK_LEN,
            CHUNK_LEN + 1,
            batch - 1,
            batch,
            batch + 1,
            3 * batch + CHUNK_LEN,
            20 * batch + 7,
        ] {
            let plaintext = pattern(len);
            let (opened, result) = open(&service, &sealed(&service, &plaintext));
            assert_eq!(result.unwrap().plaintext_len, len as u64);
            assert!(opened == plaintext, "stream of {len}");
            let path = envelope(&service, dir.path(), &format!("{len}.kf"), &plaintext);
            let bytes = std::fs::read(path).unwrap();
            assert_eq!(
                crate::cobblestone::sealed_len(len as u64),
                Some(bytes.len() as u64 - 4096)
            );
            assert!(open(&service, &bytes).0 == plaintext, "file of {len}");
        }
    }

    #[test]
    fn permissions_follow_the_file_and_outputs_are_not_overwritten() {
        use std::os::unix::fs::PermissionsExt;
        let service = Service::new();
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("in"), "text").unwrap();
        std::fs::set_permissions(at("in"), std::fs::Permissions::from_mode(0o640)).unwrap();
        let (context, progress) = (Context::from_pairs(["a=b"]).unwrap(), &NoProgress);
        let encrypt = |overwrite| {
            let options = EncryptOptions {
                overwrite,
                ..EncryptOptions::default()
            };
            encrypt_file(
                &[&TransitKey::new(&service, &locator())],
                &context,
                &at("in"),
                &at("x"),
                &options,
                progress,
            )
        };
        encrypt(false).unwrap();
        assert!(matches!(encrypt(false), Err(Error::OutputExists(_))));
        encrypt(true).unwrap();
        decrypt_file(
            &[&service],
            &context,
            &at("x"),
            &at("out"),
            &workers(1),
            progress,
        )
        .unwrap();
        for name in ["x", "out"] {
            let mode = std::fs::metadata(at(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o640);
        }
        let again = decrypt_file(
            &[&service],
            &context,
            &at("x"),
            &at("out"),
            &workers(1),
            progress,
        );
        assert!(matches!(again, Err(Error::OutputExists(_))));
        let other = Context::new();
        let wrong = decrypt_file(
            &[&service],
            &other,
            &at("x"),
            &at("y"),
            &workers(1),
            progress,
        );
        assert!(matches!(wrong, Err(Error::WrongContext)));
        assert!(!at("y").exists());
    }

    #[test]
    fn each_kind_of_damage_has_its_error_and_releases_an_authentic_beginning() {
        /// The first chunk of the second batch.
        const B: usize = BATCH_CHUNKS;
        let service = Service::new();
        let plaintext = pattern(BATCH_PLAIN + 3 * CHUNK_LEN + 100);
        let good = sealed(&service, &plaintext);
        let chunk = |n: usize| PAYLOAD + n * SEALED_CHUNK_LEN;
        let check = |what: &str, bytes: &[u8], chunks_released: usize, error: &str| {
            let (released, result) = open(&service, bytes);
            assert_eq!(released.len(), chunks_released * CHUNK_LEN, "{what}");
            assert!(plaintext.starts_with(&released), "{what}");
            assert_eq!(format!("{:?}", result.unwrap_err()), error, "{what}");
        };

        let mut bytes = good.clone();
        bytes[chunk(B + 1) + 5] ^= 1;
        let error = format!("CorruptChunk {{ chunk: {} }}", B + 1);
        check("flipped bit", &bytes, B + 1, &error);
        bytes[chunk(2) + 5] ^= 1;
        check("the first of two", &bytes, 2, "CorruptChunk { chunk: 2 }");

        let mut bytes = good.clone();
        let (a, b) = bytes.split_at_mut(chunk(B + 2));
        a[chunk(3)..chunk(4)].swap_with_slice(&mut b[..SEALED_CHUNK_LEN]);
        check(
            "swapped",
            &bytes,
            3,
            &format!("MisplacedChunk {{ chunk: 3, belongs: {} }}", B + 2),
        );
        let mut bytes = good.clone();
        bytes.drain(chunk(1)..chunk(2));
        check(
            "left out",
            &bytes,
            1,
            "MisplacedChunk { chunk: 1, belongs: 2 }",
        );

        for n in [0, 1, B, B + 1, B + 3] {
            check("cut between chunks", &good[..chunk(n)], n, "Truncated");
            check(
                "cut in a tag's width",
                &good[..chunk(n) + 15],
                n,
                "Truncated",
            );
        }
        check(
            "cut in a chunk",
            &good[..chunk(B) + 900],
            B,
            &format!("EndDamaged {{ chunk: {B} }}"),
        );
        check(
            "cut by a byte",
            &good[..good.len() - 1],
            B + 3,
            &format!("EndDamaged {{ chunk: {} }}", B + 3),
        );

        for extra in [1, 16, SEALED_CHUNK_LEN, BATCH_SEALED + 9] {
            let bytes = [&good[..], &vec![0; extra]].concat();
            check("bytes after the end", &bytes, B + 3, "TrailingBytes");
        }
        check(
            "twice",
            &[&good[..], &good[..]].concat(),
            B + 3,
            "TrailingBytes",
        );

        check("cut in the header", &good[..4095], 0, "Truncated");
        check("empty", b"", 0, "NotAnEnvelope");
        check("text", &vec![b'a'; 5000], 0, "NotAnEnvelope");
    }

    #[test]
    fn an_exact_number_of_chunks_is_not_mistaken_for_a_cut() {
        let service = Service::new();
        let good = sealed(&service, &pattern(2 * CHUNK_LEN));
        assert_eq!(good.len(), PAYLOAD + 2 * SEALED_CHUNK_LEN + 16);
        let (released, result) = open(&service, &good[..good.len() - 16]);
        assert_eq!(released.len(), 2 * CHUNK_LEN);
        assert!(matches!(result, Err(Error::Truncated)));
    }

    /// Every bit of a small envelope: the file opens unchanged, or with a named error; never with
    /// other plaintext.
    #[test]
    fn no_flipped_bit_goes_unnoticed() {
        let service = Service::new();
        let plaintext = pattern(20);
        let good = sealed(&service, &plaintext);
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 1 << (at % 8);
            let mut released = Vec::new();
            let options = workers(1);
            let context = Context::new();
            let result = decrypt_stream(
                &[&service],
                &context,
                &bytes[..],
                &mut released,
                &options,
                &NoProgress,
            );
            // An empty slot that became a damaged one is the only thing a reader passes over.
            if (1024..3584).contains(&at) {
                assert_eq!(result.unwrap().damaged_slots, 1, "byte {at}");
                assert_eq!(released, plaintext);
            } else {
                assert!(result.is_err(), "byte {at}");
                assert!(released.is_empty(), "byte {at}");
            }
        }
    }

    #[test]
    fn progress_adds_up() {
        #[derive(Default)]
        struct Seen(AtomicU64, AtomicU64);
        impl Progress for Seen {
            fn total(&self, amount: u64) {
                self.0.store(amount, Ordering::Relaxed);
            }
            fn advance(&self, amount: u64) {
                self.1.fetch_add(amount, Ordering::Relaxed);
            }
        }
        let service = Service::new();
        let dir = tempfile::tempdir().unwrap();
        let len = BATCH_PLAIN + 5;
        let path = envelope(&service, dir.path(), "a.kf", &pattern(len));
        let (seen, out) = (Seen::default(), dir.path().join("out"));
        decrypt_file(
            &[&service],
            &Context::new(),
            &path,
            &out,
            &workers(2),
            &seen,
        )
        .unwrap();
        assert_eq!(
            (seen.0.into_inner(), seen.1.into_inner()),
            (len as u64, len as u64)
        );
    }

    #[test]
    fn a_closed_output_ends_the_stream() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let service = Service::new();
        let good = sealed(&service, &pattern(40 * BATCH_PLAIN));
        let options = workers(2);
        let context = Context::new();
        let result = decrypt_stream(
            &[&service],
            &context,
            &good[..],
            Closed,
            &options,
            &NoProgress,
        );
        assert!(matches!(result, Err(Error::Io(_))));
    }

    #[test]
    fn a_failing_input_releases_no_more_and_reports_its_error() {
        struct Failing<'a>(&'a [u8]);
        impl Read for Failing<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                match self.0.read(buffer)? {
                    0 => Err(std::io::ErrorKind::ConnectionReset.into()),
                    len => Ok(len),
                }
            }
        }
        let service = Service::new();
        let good = sealed(&service, &pattern(2 * BATCH_PLAIN));
        let mut released = Vec::new();
        let input = Failing(&good[..PAYLOAD + BATCH_SEALED + 5]);
        let options = workers(2);
        let context = Context::new();
        let result = decrypt_stream(
            &[&service],
            &context,
            input,
            &mut released,
            &options,
            &NoProgress,
        );
        assert!(matches!(result, Err(Error::Io(_))));
        assert_eq!(released, pattern(BATCH_PLAIN));
    }

    proptest! {
        #[test]
        fn random_bytes_never_open(mut bytes in prop::collection::vec(any::<u8>(), 0..9000),
                                   dressed in any::<bool>()) {
            // Half of the cases get past the prelude.
            if dressed && bytes.len() >= HEADER_LEN {
                let header = sealed(&Service::new(), b"");
                bytes[..512].copy_from_slice(&header[..512]);
                bytes[3584..4040].fill(0);
            }
            let mut released = Vec::new();
            let (context, options) = (Context::new(), workers(1));
            let service = Service::new();
            let result = decrypt_stream(
                &[&service], &context, &bytes[..], &mut released, &options, &NoProgress);
            prop_assert!(result.is_err());
            prop_assert!(released.is_empty());
        }
    }
}
