//! [`Dek`]: the key of one mount. It wraps the records of the mount.

use keyfold_secret::{Protected, Secret};

use crate::error::Error;
use crate::hierarchy::{Wrapped, Wraps};
use crate::record::{self, Location, Record};
use crate::{message, rng, xaes};

/// The data-encryption key of a mount. Destroying it destroys all that is stored under it.
pub struct Dek {
    bytes: Protected<{ xaes::KEY_LEN }>,
    cipher: xaes::Key,
}

impl Dek {
    /// A new random key.
    pub fn generate() -> Self {
        Self::new(Protected::init_with(|key| rng::fill(key)))
    }

    /// The record for `plaintext`, to be kept at storage key `key` of the mount `mount`. `version`
    /// is that of this DEK: [`record::version`] finds it again.
    ///
    /// # Panics
    ///
    /// When `plaintext` is 64 GiB or longer, which no request and no storage takes; the cipher can
    /// not carry more under one nonce.
    pub fn seal(&self, version: u32, mount: &str, key: &str, plaintext: &[u8]) -> Vec<u8> {
        #[expect(
            clippy::expect_used,
            reason = "documented: values of 64 GiB do not exist"
        )]
        self.try_seal(version, Location { mount, key }, plaintext)
            .expect("less than 64 GiB")
    }

    /// The plaintext of a record that was sealed by this DEK for this mount and storage key.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] for bytes that are no record, [`Error::WrongKey`] for a record of
    /// another DEK or place, or one that was changed.
    pub fn open(&self, mount: &str, key: &str, record: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        record::version(record)?;
        let (mount_len, mount) = (mount_len(mount), mount.as_bytes());
        let context = [mount_len.as_slice(), mount, key.as_bytes()];
        message::open(&self.cipher, record::HEADER_LEN, &context, record)
    }

    fn try_seal(&self, version: u32, at: Location<'_>, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let mount_len = mount_len(at.mount);
        let context = [mount_len.as_slice(), at.mount.as_bytes(), at.key.as_bytes()];
        message::seal(&self.cipher, &record::header(version), &context, plaintext)
    }

    fn new(bytes: Protected<{ xaes::KEY_LEN }>) -> Self {
        let cipher = xaes::Key::new(bytes.expose());
        Self { bytes, cipher }
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let bytes: &[u8; xaes::KEY_LEN] = bytes.try_into().map_err(|_| Error::Malformed("DEK"))?;
        Ok(Self::new(Protected::init_with(|key| {
            key.copy_from_slice(bytes)
        })))
    }

    /// For the KEK, which wraps it.
    pub(crate) fn as_bytes(&self) -> &[u8; xaes::KEY_LEN] {
        self.bytes.expose()
    }
}

/// The layout is drawn in [`record`].
impl Wraps<Record> for Dek {
    type Context<'a> = Location<'a>;

    fn wrap(&self, child: &Record, context: Location<'_>) -> Result<Wrapped<Record>, Error> {
        self.try_seal(child.version(), context, child.plaintext().expose())
            .map(Wrapped::from_bytes)
    }

    fn unwrap(&self, wrapped: &Wrapped<Record>, context: Location<'_>) -> Result<Record, Error> {
        let version = record::version(wrapped.as_bytes())?;
        let plaintext = self.open(context.mount, context.key, wrapped.as_bytes())?;
        Ok(Record::new(version, plaintext))
    }
}

fn mount_len(mount: &str) -> [u8; 8] {
    (mount.len() as u64).to_be_bytes()
}
