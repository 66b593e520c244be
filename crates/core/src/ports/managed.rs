//! Keys that lie in a device and stay there: managed keys.
//!
//! ```text
//!   sys/managed-keys/KIND/NAME ─→ ManagedKind::settle ─→ record (core keeps it, knows no member)
//!   an engine ─→ core::managed ─→ ManagedKind::open ───→ ManagedKey ─→ the device
//! ```
//!
//! Core knows who may use which key, and nothing of any device. A device is slow, may be away, and
//! may never answer: what works with it waits on threads of its own and gives up after a while.

use std::sync::Arc;

use async_trait::async_trait;
use keyfold_keys::transit::{Block, ServiceKey};
use keyfold_secret::Secret;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::request::Body;

/// A kind of device: `pkcs11`.
pub trait ManagedKind: Send + Sync + 'static {
    /// Its name in the path.
    fn name(&self) -> &'static str;

    /// What is to be stored of a key: the members of a request that are the kind's own, over those
    /// that are stored. The device is not asked.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] names the member.
    fn settle(&self, body: &Body, stored: Option<&[u8]>) -> Result<Settled, Error>;

    /// What is stored, as it is shown: without its secrets.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] for what was not stored by [`ManagedKind::settle`].
    fn show(&self, stored: &[u8]) -> Result<Map<String, Value>, Error>;

    /// A key. The device is not asked yet: it may be away.
    ///
    /// # Errors
    ///
    /// [`ManagedError::Refused`] when the configuration of the server does not fit it any more.
    fn open(&self, stored: &[u8]) -> Result<Arc<dyn ManagedKey>, ManagedError>;
}

/// What [`ManagedKind::settle`] gives.
pub struct Settled {
    /// To be stored; it may hold a PIN.
    pub record: Secret<Vec<u8>>,
    /// Members that are none of the kind's.
    pub unknown: Vec<String>,
}

/// A key in a device.
#[async_trait]
pub trait ManagedKey: Send + Sync + 'static {
    /// Whether it is meant for a use, by its configuration.
    fn allows(&self, what: Use) -> bool;

    /// What it is: its type, and its public half where it has one. With `make`, a key that is not
    /// there yet is made.
    async fn describe(&self, make: bool) -> Result<ServiceKey, ManagedError>;

    /// Does jobs; the results in their order. An error as a whole where the device is away.
    async fn run(&self, jobs: Vec<Job>) -> Result<Vec<Done>, ManagedError>;
}

/// How a job went: the bytes, or why not these.
pub type Done = Result<Secret<Vec<u8>>, ManagedError>;

/// What a key can be meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// To encrypt.
    Encrypt,
    /// To decrypt.
    Decrypt,
    /// To sign.
    Sign,
    /// To verify.
    Verify,
}

impl Use {
    /// Its name in configurations and texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Sign => "sign",
            Self::Verify => "verify",
        }
    }
}

/// One thing to be done with a key.
pub enum Job {
    /// Gives `nonce 12 | ciphertext | tag 16` of AES-GCM, or the ciphertext of RSA.
    Encrypt {
        /// What is sealed.
        plaintext: Secret<Vec<u8>>,
        /// What is authenticated with it; empty for RSA.
        aad: Vec<u8>,
    },
    /// Gives the plaintext of what [`Job::Encrypt`] gave.
    Decrypt {
        /// What it gave.
        sealed: Vec<u8>,
        /// As it was.
        aad: Vec<u8>,
    },
    /// Gives a signature: of ECDSA its two halves side by side.
    Sign(Block),
}

impl Job {
    /// What the key has to be meant for.
    pub const fn what(&self) -> Use {
        match self {
            Self::Encrypt { .. } => Use::Encrypt,
            Self::Decrypt { .. } => Use::Decrypt,
            Self::Sign(_) => Use::Sign,
        }
    }
}

/// Why a device did not do it. The texts are shown to callers: they name no path and no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManagedError {
    /// It is not there, or does not answer in time: trying again helps.
    #[error("{0}")]
    Away(String),
    /// It will not: a wrong PIN, a key that is gone, an input that is too long.
    #[error("{0}")]
    Refused(String),
    /// It works, and the ciphertext is none of the key's.
    #[error("cipher: message authentication failed")]
    Foreign,
}
