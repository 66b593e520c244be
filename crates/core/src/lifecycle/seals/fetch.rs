//! The root key from a seal, without people.

use keyfold_keys::{Keyring, RootKey, Wrapped, Wraps as _};

use super::{Seals, Wraps};
use crate::barrier::KEYRING;
use crate::error::Error;
use crate::ports::storage::{Revision, Storage};

/// A root key that opens the keyring of today.
pub(in crate::lifecycle) struct Fetched {
    pub root: RootKey,
    pub keyring: Keyring,
    pub revision: Revision,
    /// The seal that gave it.
    pub by: String,
}

impl Seals {
    /// Asks the seals in their order; the first whose root key opens the keyring counts. A seal
    /// that missed a change of the root key gives the old one: that is no use to anybody.
    pub(in crate::lifecycle) async fn fetch(
        &self,
        storage: &dyn Storage,
    ) -> Result<Fetched, Error> {
        let wraps = Wraps::load(storage).await?;
        let mut failures = Vec::new();
        for slot in self.slots().iter() {
            let name = slot.name.clone();
            let Some(wrap) = wraps.seals.get(&name) else {
                continue;
            };
            match slot.open(&wrap.record).await {
                Err(error) => failures.push(format!("{name} ({}): {error}", error.class())),
                Ok(root) => match prove(storage, &root).await? {
                    None => failures.push(format!("{name}: its wrap is of an older root key")),
                    Some((keyring, revision)) => {
                        self.note(wraps);
                        return Ok(Fetched {
                            root,
                            keyring,
                            revision,
                            by: name,
                        });
                    }
                },
            }
        }
        self.note(wraps);
        if failures.is_empty() {
            failures.push("none has a wrap of it".to_owned());
        }
        Err(Error::NoSeal(failures.join("; ")))
    }
}

/// The keyring that is stored, if this root key opens it.
pub(in crate::lifecycle) async fn prove(
    storage: &dyn Storage,
    root: &RootKey,
) -> Result<Option<(Keyring, Revision)>, Error> {
    let damaged = || Error::corrupt(KEYRING);
    let entry = storage.get(KEYRING).await?.ok_or_else(damaged)?;
    let wrapped = Wrapped::<Keyring>::from_bytes(entry.value);
    match root.unwrap(&wrapped, KEYRING.as_bytes()) {
        Ok(keyring) => Ok(Some((keyring, entry.revision))),
        Err(keyfold_keys::Error::WrongKey) => Ok(None),
        Err(_) => Err(damaged()),
    }
}
