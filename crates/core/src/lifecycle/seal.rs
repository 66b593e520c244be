//! The Shamir seal's record: how many shares, and the root key wrapped by what they combine to.
//!
//! `core/seal/shamir` is JSON in clear. Shares and threshold are bound into the wrap, so a record
//! whose numbers were changed does not open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_keys::{RootKey, UnsealKey, Wrapped, Wraps};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::ports::storage::{Batch, Storage};

/// Where it is stored.
pub const KEY: &str = "core/seal/shamir";

/// A seal that people open.
#[derive(Clone, Serialize, Deserialize)]
pub struct ShamirSeal {
    /// `shamir`.
    #[serde(rename = "type")]
    kind: String,
    /// Shares that were handed out.
    pub shares: u8,
    /// Shares that open it.
    pub threshold: u8,
    /// Base64 of the wrapped root key.
    root_key: String,
}

impl ShamirSeal {
    /// A seal under an unseal key.
    pub(super) fn new(
        unseal: &UnsealKey,
        root: &RootKey,
        shares: u8,
        threshold: u8,
    ) -> Result<Self, Error> {
        let wrapped = unseal.wrap(root, &context(shares, threshold))?;
        Ok(Self {
            kind: "shamir".to_owned(),
            shares,
            threshold,
            root_key: STANDARD.encode(wrapped.as_bytes()),
        })
    }

    /// Adds its record to the batch that starts a store.
    pub(super) fn store(&self, batch: Batch) -> Result<Batch, Error> {
        Ok(batch.absent(KEY).put(KEY, crate::barrier::json(self)?))
    }

    /// The root key, or `None` when the unseal key is not the one. A damaged record is an error.
    pub(super) fn open(&self, unseal: &UnsealKey) -> Result<Option<RootKey>, Error> {
        let bytes = STANDARD
            .decode(&self.root_key)
            .map_err(|_| Error::corrupt(KEY))?;
        let wrapped = Wrapped::<RootKey>::from_bytes(bytes);
        match unseal.unwrap(&wrapped, &context(self.shares, self.threshold)) {
            Ok(root) => Ok(Some(root)),
            Err(keyfold_keys::Error::WrongKey) => Ok(None),
            Err(_) => Err(Error::corrupt(KEY)),
        }
    }
}

/// Reads the record.
pub(super) async fn read(storage: &dyn Storage) -> Result<ShamirSeal, Error> {
    let entry = storage.get(KEY).await?.ok_or_else(|| Error::corrupt(KEY))?;
    let seal: ShamirSeal = serde_json::from_slice(&entry.value).map_err(|_| Error::corrupt(KEY))?;
    let sound = seal.kind == "shamir" && seal.threshold >= 1 && seal.threshold <= seal.shares;
    if sound {
        Ok(seal)
    } else {
        Err(Error::corrupt(KEY))
    }
}

fn context(shares: u8, threshold: u8) -> Vec<u8> {
    format!("{KEY} {threshold} of {shares}").into_bytes()
}
