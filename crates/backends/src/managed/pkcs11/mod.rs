//! `sys/managed-keys/pkcs11`: a key of a token, an AES key (GCM), an RSA pair (OAEP, PSS or PKCS#1
//! v1.5) or a pair over a curve of NIST's (ECDSA).
//!
//! ```text
//!   kms_library "pkcs11" { name, library }   in the configuration: the only libraries there are
//!   sys/managed-keys/pkcs11/NAME             over the API: names one of them, a token, a PIN, a key
//! ```
//!
//! No path that comes over the API is ever loaded. A PIN is stored with the key's record and shown
//! nowhere; one that a token refused is not tried again before somebody writes the key's record,
//! since a few refusals lock a token.

mod describe;
mod jobs;
mod key;
mod make;
mod members;
mod refused;
mod terms;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keyfold_core::error::Error;
use keyfold_core::ports::managed::{ManagedError, ManagedKey, ManagedKind, Settled};
use keyfold_core::request::Body;
use serde_json::{Map, Value};

use self::key::Pkcs11Key;
use self::refused::RefusedPins;
use self::terms::Stored;
use crate::pkcs11::Library;

/// The kind's name.
const NAME: &str = "pkcs11";
/// How long a call waits for its turn and for the token, each.
const PATIENCE: Duration = Duration::from_secs(10);

/// The tokens that the configured libraries lead to.
pub struct Pkcs11Keys {
    /// Paths by the names that the configuration gives them, in lower case.
    libraries: BTreeMap<String, &'static Library>,
    refused: Arc<RefusedPins>,
    patience: Duration,
}

impl Pkcs11Keys {
    /// Libraries by name and path, as the operator configured them. None is loaded yet.
    pub fn new<'a>(libraries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let libraries = libraries.into_iter();
        let named = |(name, path): (&str, &str)| (name.to_ascii_lowercase(), Library::at(path));
        Self {
            libraries: libraries.map(named).collect(),
            refused: Arc::default(),
            patience: PATIENCE,
        }
    }

    /// The same with another time that a call waits for its turn and for the token, each.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    fn library(&self, name: &str) -> Option<&'static Library> {
        self.libraries.get(&name.to_ascii_lowercase()).copied()
    }
}

impl ManagedKind for Pkcs11Keys {
    fn name(&self) -> &'static str {
        NAME
    }

    fn settle(&self, body: &Body, stored: Option<&[u8]>) -> Result<Settled, Error> {
        let stored = stored.map(Stored::read).transpose()?;
        let (stored, unknown) = members::settle(body, stored)?;
        if self.library(&stored.library).is_none() {
            return Err(Error::field(
                "library",
                "is no name of a kms_library \"pkcs11\" of the server's configuration",
            ));
        }
        // Whoever writes the record means its PIN to be tried.
        self.refused.forget(&stored);
        Ok(Settled {
            record: stored.record()?,
            unknown,
        })
    }

    fn show(&self, stored: &[u8]) -> Result<Map<String, Value>, Error> {
        Ok(Stored::read(stored)?.show())
    }

    fn open(&self, stored: &[u8]) -> Result<Arc<dyn ManagedKey>, ManagedError> {
        let refused = |what: &str| ManagedError::Refused(what.to_owned());
        let stored = Stored::read(stored).map_err(|_| refused("its record is damaged"))?;
        let library = self.library(&stored.library);
        let library = library.ok_or_else(|| {
            refused("its library is in the server's configuration no more (kms_library)")
        })?;
        let refused_pins = self.refused.clone();
        let key = Pkcs11Key::new(library, stored, refused_pins, self.patience);
        Ok(Arc::new(key))
    }
}
