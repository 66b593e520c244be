//! [`Upload`]: a file becomes a payload, and then a header beside it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use keyfold_envelope::cobblestone::{CHUNK_LEN, HEAD_LEN, TAG_LEN, sealed_len};
use keyfold_envelope::{Detached, Error, Progress, seal_batch};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStoreExt as _, PutMode};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::object::Object;
use super::objects::{Lying, Objects, fault};

/// Chunks of a part at least: parts are 5 MiB or more but for the last.
const PART_CHUNKS: u64 = 512;
/// Parts of an upload at most, with some left: S3 takes 10,000.
const MOST_PARTS: u64 = 9_000;
/// Parts that are on their way at once, and their bytes where parts are long.
const ON_THE_WAY: u64 = 8;
const MOST_BYTES: u64 = 256 << 20;

/// How long a service may take to join parts, with a wide margin.
const JOIN: Duration = Duration::from_mins(15);

/// One that is about to be made.
pub(super) struct Upload<'a> {
    object: &'a Object,
    sealed: &'a Detached,
    source: Source<'a>,
    /// An unfinished payload may be replaced.
    overwrite: bool,
}

impl<'a> Upload<'a> {
    pub(super) fn new(
        object: &'a Object,
        sealed: &'a Detached,
        input: &'a File,
        overwrite: bool,
    ) -> Result<Self, Error> {
        Ok(Self {
            object,
            sealed,
            source: Source::of(input)?,
            overwrite,
        })
    }

    /// The payload, whole, and then the header; the bytes of the plaintext.
    pub(super) async fn run(&self, progress: &dyn Progress) -> Result<u64, Error> {
        progress.total(self.source.len);
        let mode = self.mode().await?;
        match self.source.parts {
            1 => {
                let body = self.source.seal(0, self.sealed)?;
                self.source.check_unchanged()?;
                self.claim(body, mode).await?;
                progress.advance(self.source.len);
            }
            _ => self.send(progress).await?,
        }
        self.check_payload().await?;
        self.put_header().await?;
        // Whoever replaces what is unfinished may have taken this for it.
        self.check_payload().await?;
        Ok(self.source.len)
    }

    /// How the payload is put: where there is none, or over the unfinished one that is there.
    async fn mode(&self) -> Result<PutMode, Error> {
        let (objects, sidecar) = (self.objects(), &self.object.sidecar);
        if objects.lying(&sidecar.key).await?.is_some() {
            return Err(self.exists(&sidecar.key));
        }
        match objects.lying(&sidecar.payload).await? {
            None => Ok(PutMode::Create),
            Some(found) if self.overwrite && may_be_joined(&found) => Err(Error::Unsupported(
                "a payload whose parts somebody may be joining still: try again in a quarter of an hour",
            )),
            Some(found) if self.overwrite => Ok(PutMode::Update(found.tag)),
            Some(_) => Err(self.exists(&sidecar.payload)),
        }
    }

    /// Puts a payload, or how it begins, under its key, which is nobody else's from then on.
    async fn claim(&self, body: Bytes, mode: PutMode) -> Result<(), Error> {
        let payload = &self.object.sidecar.payload;
        match self.objects().put(payload, body, mode).await {
            Ok(_) => Ok(()),
            Err(Error::SlotsChanged) => match self.objects().head(payload).await {
                // It was done, and the answer lost on its way.
                Ok((head, _)) if head == self.sealed.head() => Ok(()),
                _ => Err(self.exists(payload)),
            },
            Err(error) => Err(error),
        }
    }

    /// Sends a payload in parts. It appears when all of them are there, in the place of a claim: to
    /// join parts has no condition of its own at many services, and puts have one.
    async fn send(&self, progress: &dyn Progress) -> Result<(), Error> {
        let store = &self.objects().store;
        let payload = &self.object.sidecar.payload;
        let mut upload = store.put_multipart(payload).await.map_err(fault)?;
        let done = async {
            self.send_parts(upload.as_mut(), progress).await?;
            self.source.check_unchanged()?;
            let head = Bytes::copy_from_slice(&self.sealed.head());
            self.claim(head, self.mode().await?).await?;
            let joined = upload.complete().await;
            // An answer may be lost on its way.
            match (joined, self.check_payload().await) {
                (_, Ok(())) => Ok(()),
                (Err(error), _) => Err(fault(error)),
                (Ok(_), Err(error)) => Err(error),
            }
        };
        let done = done.await;
        if done.is_err() {
            // Where that fails, too, the rules of the bucket clear away unfinished uploads.
            let _ = upload.abort().await;
        }
        done
    }

    async fn send_parts(
        &self,
        upload: &mut dyn MultipartUpload,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let source = &self.source;
        let at_once = (MOST_BYTES / source.size).clamp(2, ON_THE_WAY);
        let mut on_the_way = VecDeque::<Sent>::new();
        for number in 0..source.parts {
            if on_the_way.len() as u64 >= at_once {
                arrived(&mut on_the_way, progress).await?;
            }
            let body = source.seal(number, self.sealed)?;
            let part = tokio::spawn(upload.put_part(body.into()));
            on_the_way.push_back((source.len_of(number), part));
        }
        while !on_the_way.is_empty() {
            arrived(&mut on_the_way, progress).await?;
        }
        Ok(())
    }

    /// The payload that is there is this one, and all of it.
    async fn check_payload(&self) -> Result<(), Error> {
        let object = self.object;
        let payload = object.bucket.payload(&object.sidecar, self.sealed.header());
        let len = payload.await?.sealed_len();
        match sealed_len(self.source.len) == Some(len) {
            true => Ok(()),
            false => Err(Error::Truncated),
        }
    }

    async fn put_header(&self) -> Result<(), Error> {
        let key = &self.object.sidecar.key;
        let bytes = self.sealed.header().encode();
        match self.objects().put_header(key, bytes, PutMode::Create).await {
            Ok(_) => Ok(()),
            Err(Error::SlotsChanged) => match self.objects().header(key).await {
                // It was done, and the answer lost on its way.
                Ok(version) if version.header == *self.sealed.header() => Ok(()),
                _ => Err(self.exists(key)),
            },
            Err(error) => Err(error),
        }
    }

    fn exists(&self, key: &Path) -> Error {
        Error::OutputExists(self.object.bucket.name_of(key))
    }

    fn objects(&self) -> &Objects {
        &self.object.bucket.objects
    }
}

/// A part that is on its way, and its bytes of plaintext.
type Sent = (u64, JoinHandle<object_store::Result<()>>);

/// Waits for the part that was sent first.
async fn arrived(on_the_way: &mut VecDeque<Sent>, progress: &dyn Progress) -> Result<(), Error> {
    let Some((plain, part)) = on_the_way.pop_front() else {
        return Ok(());
    };
    let done = part
        .await
        .map_err(|error| Error::Io(io::Error::other(error)))?;
    done.map_err(fault)?;
    progress.advance(plain);
    Ok(())
}

/// The file, in parts of whole chunks.
struct Source<'a> {
    file: &'a File,
    len: u64,
    modified: Option<SystemTime>,
    /// Plaintext bytes of a part but the last.
    size: u64,
    parts: u64,
}

impl<'a> Source<'a> {
    fn of(file: &'a File) -> Result<Self, Error> {
        let facts = file.metadata()?;
        if !facts.is_file() {
            return Err(Error::Unsupported(
                "an input that is no file, into a bucket",
            ));
        }
        let (size, parts) = parts_of(facts.len());
        Ok(Self {
            file,
            len: facts.len(),
            modified: facts.modified().ok(),
            size,
            parts,
        })
    }

    /// Plaintext bytes of a part.
    fn len_of(&self, number: u64) -> u64 {
        let at = number.saturating_mul(self.size);
        self.len.saturating_sub(at).min(self.size)
    }

    /// Seals one part. The first one begins with salt and commitment.
    fn seal(&self, number: u64, sealed: &Detached) -> Result<Bytes, Error> {
        let len = usize::try_from(self.len_of(number)).map_err(|_| Error::TooLong)?;
        let mut plain = Zeroizing::new(vec![0; len]);
        let at = number.saturating_mul(self.size);
        self.file
            .read_exact_at(&mut plain, at)
            .map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof => Error::InputChanged,
                _ => Error::Io(error),
            })?;
        let is_last = number.saturating_add(1) == self.parts;
        let head = sealed.head();
        let head = if number == 0 { &head[..] } else { &[] };
        let chunks = (len / CHUNK_LEN).saturating_add(1);
        let room = len.saturating_add(chunks.saturating_mul(TAG_LEN));
        let mut body = vec![0; room.saturating_add(head.len())];
        let (start, rest) = body.split_at_mut(head.len());
        start.copy_from_slice(head);
        let first = at / CHUNK_LEN as u64;
        let len = seal_batch(sealed.key(), first, &plain, is_last, rest)?.len();
        body.truncate(len.saturating_add(head.len()));
        Ok(body.into())
    }

    fn check_unchanged(&self) -> Result<(), Error> {
        let now = self.file.metadata()?;
        match now.len() == self.len && now.modified().ok() == self.modified {
            true => Ok(()),
            false => Err(Error::InputChanged),
        }
    }
}

/// Plaintext bytes of a part, and how many there are. The last part holds the last chunk, which is
/// short or empty.
fn parts_of(len: u64) -> (u64, u64) {
    let chunks = (len / CHUNK_LEN as u64).saturating_add(1);
    let chunks = chunks.div_ceil(MOST_PARTS).max(PART_CHUNKS);
    let size = chunks.saturating_mul(CHUNK_LEN as u64);
    (size, (len / size).saturating_add(1))
}

/// True for a claim, which is shorter than any payload, of a moment ago. Whoever made it may be gone and the service at
/// work: what it joins then it puts over whatever is there.
fn may_be_joined(found: &Lying) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    found.len <= HEAD_LEN as u64 && now.saturating_sub(found.since) < JOIN.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_has_the_short_chunk() {
        let part = PART_CHUNKS * CHUNK_LEN as u64;
        for (len, count) in [
            (0, 1),
            (1, 1),
            (part - 1, 1),
            (part, 2),
            (part + 1, 2),
            (3 * part, 4),
        ] {
            assert_eq!(parts_of(len), (part, count), "{len}");
        }
        let (size, count) = parts_of(1 << 42);
        assert!(count <= MOST_PARTS + 1);
        assert_eq!(size % CHUNK_LEN as u64, 0);
    }
}
