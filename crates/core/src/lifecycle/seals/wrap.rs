//! The record of a seal that needs no people.
//!
//! ```text
//!   core/seal/<name>   { type, key_id, share, root_key }      JSON in clear
//!                                      │       └─ the root key, under an unseal key of this wrap's own
//!                                      └─ that unseal key, as the seal wrapped it
//! ```
//!
//! Where several ways have to come together, `share` is a part of their common unseal key, and
//! `part` in the place of `root_key` says of which.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_keys::{RootKey, Share, UnsealKey, Wrapped, Wraps};
use serde::{Deserialize, Serialize};

use super::quorum::{Membership, Quorum, copy};
use super::wraps::FOLDER;
use crate::clock::Time;
use crate::error::Error;
use crate::ports::seal::{Blob, SealError};

/// A root key as a seal keeps it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SealWrap {
    /// `static`, `transit`, …: for people and reports; what counts is whether the seal opens it.
    #[serde(rename = "type")]
    pub kind: String,
    /// The key that the seal used.
    pub key_id: String,
    /// Base64 of the seal's ciphertext.
    share: String,
    /// Base64 of the wrapped root key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_key: Option<String>,
    /// The split that the share is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Membership>,
    /// When it was made, RFC 3339. Older versions did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
}

/// What a seal gave.
pub(super) enum Given {
    /// The root key itself.
    Root(RootKey),
    /// A part of what opens it.
    Part(Share),
}

/// An unseal key for one wrap, in the form that a seal takes.
pub(super) struct Fresh {
    unseal: UnsealKey,
    pub share: Share,
}

impl Fresh {
    pub(super) fn new() -> Result<Self, Error> {
        let unseal = UnsealKey::generate();
        let [share] = <[Share; 1]>::try_from(unseal.split(1, 1)?)
            .map_err(|_| Error::Bug("one share is not one"))?;
        Ok(Self { unseal, share })
    }

    /// The record, once the seal has wrapped the share.
    pub(super) fn wrap(
        &self,
        (kind, name): (&str, &str),
        blob: &Blob,
        root: &RootKey,
        now: Time,
    ) -> Result<SealWrap, Error> {
        let wrapped = self.unseal.wrap(root, &context(name))?;
        Ok(SealWrap {
            root_key: Some(STANDARD.encode(wrapped.as_bytes())),
            ..SealWrap::of(kind, blob, now)
        })
    }
}

impl SealWrap {
    /// The record of a part, once the seal has wrapped it.
    pub(super) fn of_part(kind: &str, blob: &Blob, part: Membership, now: Time) -> Self {
        Self {
            part: Some(part),
            ..Self::of(kind, blob, now)
        }
    }

    fn of(kind: &str, blob: &Blob, now: Time) -> Self {
        Self {
            kind: kind.to_owned(),
            key_id: blob.key_id.clone(),
            share: STANDARD.encode(&blob.bytes),
            root_key: None,
            part: None,
            made: Some(now.rfc3339()),
        }
    }

    /// It holds a part of this split.
    pub(super) fn is_of(&self, quorum: Option<&Quorum>) -> bool {
        let of = self.part.as_ref().map(|part| &part.quorum);
        quorum.is_some_and(|quorum| of == Some(&quorum.id))
    }

    /// What the seal is asked to unwrap.
    pub(super) fn blob(&self) -> Result<Blob, SealError> {
        Ok(Blob {
            key_id: self.key_id.clone(),
            bytes: STANDARD.decode(&self.share).map_err(|_| damaged())?,
        })
    }

    /// What the share that the seal unwrapped gives: the root key under it, or itself.
    pub(super) fn open(&self, name: &str, share: &Share) -> Result<Given, SealError> {
        if let Some(part) = &self.part {
            let right = share.number() == Some(part.number);
            let copy = copy(share).filter(|_| right);
            return copy.map(Given::Part).ok_or_else(damaged);
        }
        let unseal = UnsealKey::from_share_of_one(share).map_err(|_| damaged())?;
        let text = self.root_key.as_ref().ok_or_else(damaged)?;
        let bytes = STANDARD.decode(text).map_err(|_| damaged())?;
        let wrapped = Wrapped::<RootKey>::from_bytes(bytes);
        let root = unseal.unwrap(&wrapped, &context(name));
        root.map(Given::Root).map_err(|_| damaged())
    }
}

fn damaged() -> SealError {
    SealError::Foreign("the stored wrap does not open: it is damaged, or of another place".into())
}

fn context(name: &str) -> Vec<u8> {
    format!("{FOLDER}{name}").into_bytes()
}
