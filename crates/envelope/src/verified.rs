//! Decrypting in two passes: the first authenticates all of an envelope, the second releases it.

use std::fs::File;
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};

use crate::cobblestone;
use crate::context::Context;
use crate::decrypt::{DecryptOptions, Opened, read_header, report};
use crate::error::Error;
use crate::header::HEADER_LEN;
use crate::progress::Progress;
use crate::recipient::Identity;
use crate::unlock::unlock;
use crate::{file, stream};

/// Decrypts a file into a stream, of which no byte is written before the last one of the file has authenticated. It is
/// read twice, so it must be a regular file; one that is changed between the passes ends the second one early.
pub fn decrypt_verified(
    identities: &[&dyn Identity],
    context: &Context,
    mut input: &File,
    mut output: impl Write,
    options: &DecryptOptions,
    progress: &dyn Progress,
) -> Result<Opened, Error> {
    let metadata = input.metadata()?;
    if !metadata.is_file() {
        let words =
            "all of it can be verified first only where it can be read twice: a regular file";
        return Err(io::Error::new(ErrorKind::NotSeekable, words).into());
    }
    input.rewind()?;
    let header = read_header(&mut input)?;
    header.attached()?;
    let unlocked = unlock(identities, &header, context)?;
    let workers = file::worker_count(options.workers);
    let sealed_len = metadata.len().saturating_sub(HEADER_LEN as u64);
    let plaintext_len = cobblestone::plaintext_len(sealed_len).unwrap_or(sealed_len);
    progress.total(plaintext_len.saturating_mul(2));
    file::decrypt(&unlocked.key, input, None, sealed_len, workers, progress)?;
    input.seek(SeekFrom::Start(HEADER_LEN as u64))?;
    let plaintext_len = stream::decrypt(&unlocked.key, input, &mut output, workers, progress)?;
    output.flush()?;
    Ok(report(&header, &unlocked, plaintext_len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cobblestone::{CHUNK_LEN, SEALED_CHUNK_LEN};
    use crate::progress::NoProgress;
    use crate::testing::{Service, envelope};

    #[test]
    fn nothing_is_released_of_a_file_that_is_not_whole() {
        let service = Service::new();
        let dir = tempfile::tempdir().unwrap();
        let plain: Vec<u8> = (0..3 * CHUNK_LEN + 5).map(|at| (at % 251) as u8).collect();
        let path = envelope(&service, dir.path(), "a.kf", &plain);
        let good = std::fs::read(&path).unwrap();
        let decrypt = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let (mut out, options) = (Vec::new(), DecryptOptions::default());
            let input = File::open(&path).unwrap();
            let context = Context::new();
            let opened = decrypt_verified(
                &[&service],
                &context,
                &input,
                &mut out,
                &options,
                &NoProgress,
            );
            (out, opened)
        };
        let (out, opened) = decrypt(&good);
        assert_eq!(opened.unwrap().plaintext_len, plain.len() as u64);
        assert!(out == plain);

        let mut flipped = good.clone();
        flipped[HEADER_LEN + 2 * SEALED_CHUNK_LEN] ^= 1;
        for bytes in [
            &flipped[..],
            &good[..good.len() - 1],
            &good[..HEADER_LEN + SEALED_CHUNK_LEN],
            &[&good[..], &b"x"[..]].concat(),
        ] {
            let (out, opened) = decrypt(bytes);
            assert!(opened.is_err() && out.is_empty());
        }
    }

    #[test]
    fn a_pipe_can_not_be_read_twice() {
        let (reader, _writer) = io::pipe().unwrap();
        let input = File::from(std::os::fd::OwnedFd::from(reader));
        let (mut out, options) = (Vec::new(), DecryptOptions::default());
        let (service, context) = (Service::new(), Context::new());
        let refused = decrypt_verified(
            &[&service],
            &context,
            &input,
            &mut out,
            &options,
            &NoProgress,
        );
        assert!(matches!(refused, Err(Error::Io(error)) if error.kind() == ErrorKind::NotSeekable));
        assert_eq!(service.calls().unwrap, 0);
    }
}
