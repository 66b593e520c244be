//! Keys of type `managed_key`: their secret part lies in a device and never comes here.
//!
//! ```text
//!   settings.managed: version → name and id of a managed key     the only trace of the secret part
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
mod rewrap;
mod sign;

use std::collections::BTreeMap;

use keyfold_core::error::Error;
use keyfold_core::managed::Named;

pub(super) use self::create::{Asked, create, rotate};
pub(super) use self::data::{datakeys, decrypt, encrypt};
pub(super) use self::rewrap::rewrap;
pub(super) use self::sign::sign;
use super::key::Settings;

/// The name of the type.
pub(super) const TYPE: &str = "managed_key";

/// The managed keys of a key's versions.
pub(super) type Held = BTreeMap<u32, Named>;

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
