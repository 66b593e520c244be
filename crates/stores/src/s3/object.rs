//! [`Object`]: one detached envelope, to be made or opened.

use std::fs::File;
use std::io;

use keyfold_envelope::cobblestone::{PayloadKey, plaintext_len};
use keyfold_envelope::header::Header;
use keyfold_envelope::{Detached, Error, Output, Progress, ReadAt};

use super::address::Address;
use super::objects::Facts;
use super::upload::Upload;
use super::{Bucket, Sidecar, download};
use crate::OpenError;

/// The object of an address. Nothing was asked of its bucket yet.
pub struct Object {
    pub(super) bucket: Bucket,
    pub(super) sidecar: Sidecar,
}

/// A payload that is there, beside its header.
pub struct Payload<'a> {
    object: &'a Object,
    header: Header,
    facts: Facts,
}

impl Object {
    /// The object of `s3://bucket/key`, in a bucket as of [`Bucket::open`].
    pub fn open(text: &str) -> Result<Self, OpenError> {
        let address = Address::parse(text)?;
        let (payload, header) = address.object()?;
        Ok(Self {
            bucket: Bucket::at(address)?,
            sidecar: Sidecar::new(header, payload),
        })
    }

    /// Encrypts a file into it: the payload first, in parallel parts of whole chunks, then the header.
    /// Where it fails no header appears. Gives the bytes of the plaintext.
    ///
    /// A payload without a header, which a run that was killed left, is replaced where `overwrite` says
    /// so. An envelope that is whole never is: between its old payload and the new header nobody could
    /// open either.
    pub fn encrypt(
        &self,
        sealed: &Detached,
        input: &File,
        overwrite: bool,
        progress: &dyn Progress,
    ) -> Result<u64, Error> {
        let upload = Upload::new(self, sealed, input, overwrite)?;
        self.bucket.objects.wait(upload.run(progress))
    }

    /// Reads the header, and that the payload beside it is the header's.
    pub fn read(&self) -> Result<Payload<'_>, Error> {
        let bucket = &self.bucket;
        let read = async {
            let header = bucket.header(&self.sidecar).await?.header;
            let facts = bucket.payload(&self.sidecar, &header).await?;
            Ok(Payload {
                object: self,
                header,
                facts,
            })
        };
        bucket.objects.wait(read)
    }
}

impl Payload<'_> {
    /// What its key is wrapped in.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Opens it into a file, by ranges that are asked for at once, and gives the bytes of plaintext. On
    /// an error the file holds authentic parts, and is not whole.
    pub fn decrypt(
        &self,
        key: &PayloadKey,
        output: &Output,
        progress: &dyn Progress,
    ) -> Result<u64, Error> {
        let len = plaintext_len(self.facts.sealed_len()).ok_or(Error::Truncated)?;
        progress.total(len);
        output.set_len(len)?;
        let objects = &self.object.bucket.objects;
        let payload = &self.object.sidecar.payload;
        download::open(objects, payload, key, &self.facts, Some(output), progress)?;
        Ok(len)
    }
}

/// For parts, and for pipes, which take one range after the other.
impl ReadAt for Payload<'_> {
    fn size(&self) -> io::Result<u64> {
        Ok(self.facts.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let objects = &self.object.bucket.objects;
        let range = offset..offset.saturating_add(buffer.len() as u64);
        let key = &self.object.sidecar.payload;
        let bytes = objects.wait(objects.range(key, range, &self.facts))?;
        // As many: the range was checked.
        buffer.copy_from_slice(&bytes);
        Ok(())
    }

    fn preferred_len(&self) -> usize {
        download::SPAN
    }
}
