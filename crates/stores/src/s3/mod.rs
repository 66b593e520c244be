//! [`Bucket`]: detached envelopes in a bucket of a service that speaks S3.
//!
//! ```text
//! KEY       the payload: salt ‖ commitment ‖ chunks     written once, in parallel parts
//! KEY.kf    the header, 4,096 bytes                     written last; replaced when a wrap changes
//! ```
//!
//! The header is replaced as a whole, and only while it is the version that was read (`If-Match`). An
//! object without a header is unfinished; header and payload carry the same salt and commitment, so
//! that neither passes for another's.

mod address;
mod download;
mod listing;
mod object;
mod objects;
mod upload;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream;
use keyfold_envelope::cobblestone::PayloadKey;
use keyfold_envelope::header::{HEADER_LEN, Header};
use keyfold_envelope::{Change, Content, Error, Found, SUFFIX, Store, Unreadable, Written};
use object_store::PutMode;
use object_store::path::Path;

use crate::OpenError;

use address::Address;
use listing::Listing;
use objects::{Objects, Version};

pub use object::{Object, Payload};

/// Envelopes that a thread reads and changes together.
const BATCH: usize = 256;
/// Calls that a thread waits for at once. A job has four threads or more.
const CALLS: usize = 8;

/// The envelopes in a bucket whose keys start the same.
pub struct Bucket {
    address: Address,
    name: String,
    objects: Objects,
}

/// A header that was listed, or is to be made.
pub struct Sidecar {
    key: Path,
    payload: Path,
    /// False for an object that has no header, and is none.
    is_header: bool,
    /// What was last read.
    version: Mutex<Option<Version>>,
}

impl Sidecar {
    fn new(key: Path, payload: Path) -> Self {
        Self {
            key,
            payload,
            is_header: true,
            version: Mutex::new(None),
        }
    }

    /// An object that was listed without a header.
    fn none(key: Path) -> Self {
        Self {
            is_header: false,
            ..Self::new(key.clone(), key)
        }
    }

    /// The header that a key names by its end; `None` for other objects.
    fn listed(key: Path) -> Option<Self> {
        let payload = key.as_ref().strip_suffix(SUFFIX)?;
        let payload = address::exact(payload).filter(|key| !key.as_ref().is_empty())?;
        Some(Self::new(key, payload))
    }

    fn version(&self) -> Option<Version> {
        self.version
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn put(&self, version: Version) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
    }
}

impl Bucket {
    /// True for an address of objects.
    #[must_use]
    pub fn is_address(text: &str) -> bool {
        Address::is_one(text)
    }

    /// The bucket of `s3://bucket/start-of-keys`. Endpoint, region and credentials come from the
    /// variables that AWS's own tools read; plain HTTP is for this machine only.
    pub fn open(text: &str) -> Result<Self, OpenError> {
        Self::at(Address::parse(text)?)
    }

    fn at(address: Address) -> Result<Self, OpenError> {
        let objects = Objects::open(&address)?;
        Ok(Self {
            name: name_of(&address.bucket, &address.key),
            address,
            objects,
        })
    }

    /// What to call it.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.name
    }

    fn name_of(&self, key: &Path) -> PathBuf {
        name_of(&self.address.bucket, key.as_ref()).into()
    }

    /// Reads the header, and the beginning of the payload beside it.
    async fn look(&self, sidecar: &Sidecar) -> Result<Option<Found>, Error> {
        if !sidecar.is_header {
            return Ok(None);
        }
        let version = self.header(sidecar).await?;
        let payload_len = match self.payload(sidecar, &version.header).await {
            Ok(payload) => payload.sealed_len(),
            // In an archive, or not for this token to read: its header can be rewrapped all the same.
            Err(Error::Io(error)) if error.kind() == ErrorKind::PermissionDenied => 0,
            Err(error) => return Err(error),
        };
        let content = Content::Header(Box::new(version.header.clone()));
        sidecar.put(version);
        Ok(Some(Found {
            content,
            len: payload_len.saturating_add(HEADER_LEN as u64),
        }))
    }

    /// Reads the header of a payload that is an object of its own.
    async fn header(&self, sidecar: &Sidecar) -> Result<Version, Error> {
        let version = self.objects.header(&sidecar.key).await?;
        if version.header.prelude.is_detached() {
            Ok(version)
        } else {
            let what = "a header whose payload should follow it, alone in a bucket";
            Err(Error::Unsupported(what))
        }
    }

    /// The payload beside a header, which begins as the header says.
    async fn payload(&self, sidecar: &Sidecar, header: &Header) -> Result<objects::Facts, Error> {
        let (head, facts) = self.objects.head(&sidecar.payload).await.map_err(|error| {
            let is_missing =
                matches!(&error, Error::Io(error) if error.kind() == ErrorKind::NotFound);
            match is_missing {
                true => Error::NoPayload(self.name_of(&sidecar.payload)),
                false => error,
            }
        })?;
        match header.is_of(&head) {
            true => Ok(facts),
            false => Err(Error::OtherPayload(self.name_of(&sidecar.payload))),
        }
    }

    /// Replaces a header, where it is what the change was planned on. A header that was replaced by
    /// somebody meanwhile is read once more.
    async fn replace(&self, sidecar: &Sidecar, change: &Change) -> Result<Written, Error> {
        let mut version = match sidecar.version() {
            Some(version) => version,
            None => self.header(sidecar).await?,
        };
        let mut is_last = false;
        loop {
            let Some((bytes, written)) = change.whole(&version.header)? else {
                return Ok(Written::default());
            };
            let mode = PutMode::Update(version.tag.clone());
            match self.objects.put_header(&sidecar.key, bytes, mode).await {
                Ok(tag) => {
                    let header = Header::parse(&bytes)?;
                    sidecar.put(Version { header, tag });
                    return Ok(written);
                }
                Err(Error::SlotsChanged) if !is_last => {
                    is_last = true;
                    version = self.header(sidecar).await?;
                    // It was done, and the answer lost on its way.
                    if version.header == Header::parse(&bytes)? {
                        sidecar.put(version);
                        return Ok(written);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// What to call an object.
fn name_of(bucket: &str, key: &str) -> String {
    format!("s3://{bucket}/{key}").replace(char::is_control, "?")
}

impl Store for Bucket {
    type Entry = Sidecar;

    fn list(&self) -> Box<dyn Iterator<Item = Result<Sidecar, Unreadable>> + Send + '_> {
        Box::new(Listing::of(self))
    }

    /// Listing is a call for each thousand objects.
    fn count(&self) -> Option<u64> {
        None
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn name(&self, sidecar: &Sidecar) -> PathBuf {
        self.name_of(&sidecar.key)
    }

    fn read(&self, sidecars: &mut [Sidecar]) -> Vec<Result<Option<Found>, Error>> {
        let calls = sidecars.iter().map(|sidecar| self.look(sidecar));
        let calls = stream::iter(calls).buffered(CALLS);
        self.objects.wait(calls.collect())
    }

    fn change(&self, changes: &[(&Sidecar, &Change)]) -> Vec<Result<Written, Error>> {
        let calls = changes
            .iter()
            .map(|(sidecar, change)| self.replace(sidecar, change));
        let calls = stream::iter(calls).buffered(CALLS);
        self.objects.wait(calls.collect())
    }

    fn check_payload(&self, sidecar: &Sidecar, key: &PayloadKey) -> Result<(), Error> {
        download::check(&self.objects, &sidecar.payload, key)
    }

    /// The service answers when it has kept what it was given.
    fn settle(&self) -> Result<(), Error> {
        Ok(())
    }
}
