//! [`Kek`]: the key of one term of the keyring. It wraps the mounts' DEKs.

use keyfold_secret::Protected;

use crate::dek::Dek;
use crate::error::Error;
use crate::hierarchy::{Wrapped, Wraps};
use crate::{message, rng, xaes};

const FORMAT: u8 = 1;
const HEADER_LEN: usize = 5;

/// The key-encryption key of a term.
pub struct Kek {
    term: u32,
    bytes: Protected<{ xaes::KEY_LEN }>,
    cipher: xaes::Key,
}

impl Kek {
    /// The term in the keyring that this key is of.
    pub fn term(&self) -> u32 {
        self.term
    }

    pub(crate) fn generate(term: u32) -> Self {
        Self::from_bytes(term, Protected::init_with(|key| rng::fill(key)))
    }

    pub(crate) fn from_bytes(term: u32, bytes: Protected<{ xaes::KEY_LEN }>) -> Self {
        let cipher = xaes::Key::new(bytes.expose());
        Self {
            term,
            bytes,
            cipher,
        }
    }

    /// For the keyring, which stores it.
    pub(crate) fn as_bytes(&self) -> &[u8; xaes::KEY_LEN] {
        self.bytes.expose()
    }
}

/// `format 1 | term u32 BE | nonce 24 | ciphertext 32 | tag 16`, XAES-256-GCM, AAD = format ‖ term ‖
/// storage key.
impl Wraps<Dek> for Kek {
    type Context<'a> = &'a [u8];

    fn wrap(&self, child: &Dek, context: &[u8]) -> Result<Wrapped<Dek>, Error> {
        let [a, b, c, d] = self.term.to_be_bytes();
        let header: [u8; HEADER_LEN] = [FORMAT, a, b, c, d];
        message::seal(&self.cipher, &header, &[context], child.as_bytes()).map(Wrapped::from_bytes)
    }

    fn unwrap(&self, wrapped: &Wrapped<Dek>, context: &[u8]) -> Result<Dek, Error> {
        let term = wrapped.term()?;
        if term != self.term {
            return Err(Error::UnknownTerm(term));
        }
        let key = message::open(&self.cipher, HEADER_LEN, &[context], wrapped.as_bytes())?;
        Dek::from_bytes(key.expose())
    }
}

impl Wrapped<Dek> {
    /// The term of the KEK that opens it, read without a key: not authenticated until it opens.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] when the bytes are no wrapped DEK of a format known here.
    pub fn term(&self) -> Result<u32, Error> {
        match self.as_bytes().split_first_chunk() {
            Some((&[FORMAT, a, b, c, d], _)) => Ok(u32::from_be_bytes([a, b, c, d])),
            _ => Err(Error::Malformed("wrapped DEK")),
        }
    }
}
