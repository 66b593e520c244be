//! The shares' record: how many there are, and the root key wrapped by what they combine to.
//!
//! `core/seal/shamir` is JSON in clear. Shares and threshold are bound into the wrap, so a record
//! whose numbers were changed does not open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_keys::{RootKey, UnsealKey, Wrapped, Wraps};
use serde::{Deserialize, Serialize};

use super::wraps::FOLDER;
use crate::error::Error;

/// The name of the record below [`FOLDER`].
pub const NAME: &str = "shamir";

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
    /// Base64 of the wrapped root key; absent where the shares are not to open the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_key: Option<String>,
    /// Hex: tells the right unseal key where it wraps nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

/// What an unseal key is to a [`ShamirSeal`].
pub enum Tried {
    /// The one: it opens the root key.
    Opens(RootKey),
    /// The one, but these shares are not to open the store.
    Proves,
    /// Another one.
    Wrong,
}

impl ShamirSeal {
    /// Shares that open the store.
    pub(in crate::lifecycle) fn opening(
        unseal: &UnsealKey,
        root: &RootKey,
        shares: u8,
        threshold: u8,
    ) -> Result<Self, Error> {
        let wrapped = unseal.wrap(root, &context(shares, threshold))?;
        Ok(Self {
            kind: NAME.to_owned(),
            shares,
            threshold,
            root_key: Some(STANDARD.encode(wrapped.as_bytes())),
            proof: None,
        })
    }

    /// Shares that prove who their holders are, and open nothing.
    pub(in crate::lifecycle) fn proving(
        unseal: &UnsealKey,
        shares: u8,
        threshold: u8,
    ) -> Result<Self, Error> {
        Ok(Self {
            kind: NAME.to_owned(),
            shares,
            threshold,
            root_key: None,
            proof: Some(hex::encode(unseal.proof(&context(shares, threshold))?)),
        })
    }

    /// Whether the shares open the store.
    pub fn opens(&self) -> bool {
        self.root_key.is_some()
    }

    /// Tries an unseal key. A damaged record is an error.
    pub fn attempt(&self, unseal: &UnsealKey) -> Result<Tried, Error> {
        let corrupt = || Error::corrupt(key());
        let context = context(self.shares, self.threshold);
        if let Some(text) = &self.root_key {
            let bytes = STANDARD.decode(text).map_err(|_| corrupt())?;
            let wrapped = Wrapped::<RootKey>::from_bytes(bytes);
            return match unseal.unwrap(&wrapped, &context) {
                Ok(root) => Ok(Tried::Opens(root)),
                Err(keyfold_keys::Error::WrongKey) => Ok(Tried::Wrong),
                Err(_) => Err(corrupt()),
            };
        }
        let proof = self.proof.as_ref().ok_or_else(corrupt)?;
        let given = hex::encode(unseal.proof(&context)?);
        // Both are public functions of a key that can't be guessed: their time tells nothing.
        Ok(if *proof == given {
            Tried::Proves
        } else {
            Tried::Wrong
        })
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let seal: Self = serde_json::from_slice(bytes).ok()?;
        let sound = seal.kind == NAME && seal.threshold >= 1 && seal.threshold <= seal.shares;
        sound.then_some(seal)
    }
}

/// Where the record is stored.
pub(in crate::lifecycle) fn key() -> String {
    format!("{FOLDER}{NAME}")
}

fn context(shares: u8, threshold: u8) -> Vec<u8> {
    format!("{FOLDER}{NAME} {threshold} of {shares}").into_bytes()
}
