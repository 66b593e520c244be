//! Keys of type `managed_key`: their secret part lies in a device and never comes here.
//!
//! ```text
//!   settings.managed: version → name and id of a managed key     the only trace of the secret part
//!                     and what it sealed: it has to open that, see `proof`
//!   keys/<id>/<version>: the public half, or that there is none  verify and export read it as ever
//!
//!   encrypt · decrypt · datakey(s) · rewrap · sign ─→ asks ─→ run: by version, in portions ─→ device
//! ```
//!
//! To the rest of the engine such a key is one of its device key's own type, without a private half:
//! a call that is not made for devices finds nothing that it could use.

mod create;
mod data;
mod device;
mod proof;
mod rewrap;
mod sign;

use std::collections::BTreeMap;

use keyfold_core::error::Error;
use keyfold_core::managed::Named;
use serde::{Deserialize, Serialize};

pub(super) use self::create::{Asked, create, rotate};
pub(super) use self::data::{datakeys, decrypt, encrypt};
pub(super) use self::proof::Proven;
pub(super) use self::rewrap::rewrap;
pub(super) use self::sign::sign;
use super::key::Settings;

/// The name of the type.
pub(super) const TYPE: &str = "managed_key";

/// The managed keys of a key's versions.
pub(super) type Held = BTreeMap<u32, Kept>;

/// What is kept of the managed key of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What it is called.
    #[serde(flatten)]
    pub named: Named,
    /// What it sealed when the version was made, in base64; see [`proof`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

impl Settings {
    /// Its secret parts lie in devices.
    pub fn is_managed(&self) -> bool {
        !self.managed.is_empty()
    }

    /// Encrypts and decrypts, here or in its device.
    pub fn encrypts(&self) -> bool {
        self.kind.encrypts() && !self.managed_signs
    }

    /// Signs, here or in its device.
    pub fn signs(&self) -> bool {
        self.kind.signs() && (self.managed_signs || !self.is_managed())
    }

    /// The type as it is shown.
    pub fn type_name(&self) -> &'static str {
        match self.is_managed() {
            true => TYPE,
            false => self.kind.name(),
        }
    }

    /// Refuses what would need the secret part here.
    pub fn here(&self, what: &str) -> Result<(), Error> {
        match self.is_managed() {
            true => Err(Error::bad(format!(
                "{what} is not possible for a key of type {TYPE}: its secret part never leaves its \
                 device"
            ))),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_without_a_proof() {
        let old = r#"{"1":{"name":"n","id":"i"}}"#;
        let held: Held = serde_json::from_str(old).unwrap();
        assert_eq!((&*held[&1].named.id, &held[&1].proof), ("i", &None));
        assert_eq!(serde_json::to_string(&held).unwrap(), old);
    }
}
