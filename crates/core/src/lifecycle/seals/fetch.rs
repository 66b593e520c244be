//! The root key from the seals; from several of them, and people, where these have to come together.

use keyfold_keys::{Keyring, RootKey, Share, Wrapped, Wraps as _};

use super::quorum::{Quorum, copy};
use super::wrap::Given;
use super::{Seals, Wraps};
use crate::barrier::KEYRING;
use crate::error::Error;
use crate::ports::storage::{Revision, Storage};

/// A root key that opens the keyring of today.
pub(in crate::lifecycle) struct Fetched {
    pub root: RootKey,
    /// The ways that gave it.
    pub by: String,
    /// The parts that opened it, where it took several.
    pub parts: Vec<Share>,
}

impl Seals {
    /// Asks the seals in their order; the first whose root key opens the keyring counts. A seal
    /// that missed a change of the root key gives the old one: that is no use to anybody.
    ///
    /// Where several ways are required, `people` is the part that the share holders gave.
    pub(in crate::lifecycle) async fn fetch(
        &self,
        storage: &dyn Storage,
        people: Option<&Share>,
    ) -> Result<Fetched, Error> {
        let wraps = Wraps::load(storage).await?;
        let mut failures = Vec::new();
        let mut opened = Vec::new();
        let mut parts = Vec::new();
        if let Some(part) = people.and_then(copy) {
            opened.push(super::shares::NAME.to_owned());
            parts.push(part);
        }
        let quorum = wraps.quorum.as_ref().map(|kept| kept.record.clone());
        for slot in self.slots().iter() {
            let name = slot.name.clone();
            let Some(wrap) = wraps.seals.get(&name) else {
                continue;
            };
            let went = slot.open(&wrap.record).await;
            match (went, &quorum) {
                (Err(error), _) => failures.push(format!("{name} ({}): {error}", error.class())),
                (Ok(Given::Root(root)), None) => {
                    if prove(storage, &root).await?.is_some() {
                        self.note_stored(storage).await?;
                        return Ok(Fetched {
                            root,
                            by: name,
                            parts,
                        });
                    }
                    // What was read of it before may have been made anew while the seal was at work.
                    let now = Wraps::load(storage).await?;
                    if now.revision(&name) != wraps.revision(&name) {
                        return Err(Error::Contended);
                    }
                    failures.push(format!("{name}: its wrap is of an older root key"));
                }
                (Ok(Given::Part(part)), Some(quorum)) if wrap.record.is_of(Some(quorum)) => {
                    opened.push(name);
                    parts.push(part);
                }
                (Ok(_), _) => failures.push(format!("{name}: its wrap is of another split")),
            }
        }
        self.note_stored(storage).await?;
        match quorum {
            Some(quorum) => together(storage, &quorum, (&opened, &parts), failures).await,
            None => Err(none(failures)),
        }
    }
}

/// Puts the parts together.
async fn together(
    storage: &dyn Storage,
    quorum: &Quorum,
    (opened, parts): (&[String], &[Share]),
    mut failures: Vec<String>,
) -> Result<Fetched, Error> {
    let by = opened.join(", ");
    if let Some((root, parts)) = quorum.open(parts) {
        if prove(storage, &root).await?.is_some() {
            return Ok(Fetched { root, by, parts });
        }
        failures.push("the parts are of an older root key".to_owned());
    } else if parts.len() >= usize::from(quorum.require) {
        failures.push(format!("the parts of {by} do not fit together"));
    } else {
        let opened = if by.is_empty() { "none has" } else { &by };
        let require = quorum.require;
        failures.insert(
            0,
            format!("{require} ways have to open it together; so far: {opened}"),
        );
    }
    Err(none(failures))
}

fn none(mut failures: Vec<String>) -> Error {
    if failures.is_empty() {
        failures.push("none that is configured has a wrap of it".to_owned());
    }
    Error::NoSeal(failures.join("; "))
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
