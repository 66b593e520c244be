//! Keys that rewrap encrypts under in place of the one that it was asked for: `to_key`.
//!
//! What moves to another key is read by those who may decrypt with that one. So the caller has to
//! have the right to encrypt with it, as if it had held the plaintext, besides that to rewrap.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;

use super::batch::{Task, Work};
use super::cache::LoadedKey;
use super::ciphers::Ciphers;
use super::encrypt::able;
use super::{Transit, is_name};

/// Other keys of one call: each asks the caller's policies, which may look at the whole body.
const MOST: usize = 16;

/// The keys that the items of a request name, or why one can't be used.
pub(super) struct Destinations {
    keys: BTreeMap<String, Result<Arc<LoadedKey>, String>>,
}

impl Destinations {
    /// Those beside `own`, the key of the call.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] when the caller may not encrypt with one of them, there or not;
    /// [`Error::BadRequest`] for more than [`MOST`].
    pub async fn of(
        transit: &Transit,
        call: &Call<'_>,
        work: &Work<'_>,
        own: &str,
    ) -> Result<Self, Error> {
        let mut keys = BTreeMap::new();
        for task in work.tasks() {
            // A name that is no text is told where the item is worked on.
            let Ok(Some(name)) = task.to_key() else {
                continue;
            };
            if name == own || keys.contains_key(&*name) {
                continue;
            }
            if keys.len() == MOST {
                let text = format!("names more than {MOST} other keys in one call");
                return Err(Error::field("to_key", text));
            }
            let key = match is_name(&name) {
                true => {
                    call.may_update(&format!("encrypt/{name}"))?;
                    load(transit, &name).await
                }
                false => Err(Error::bad("is no name of a key")),
            };
            let key = match key {
                Ok(key) => Ok(key),
                Err(Error::BadRequest(why)) => Err(why),
                Err(error) => return Err(error),
            };
            keys.insert(name.into_owned(), key);
        }
        Ok(Self { keys })
    }

    /// Their ciphers, with the versions that the items ask for.
    pub async fn ciphers<'d>(
        &'d self,
        transit: &Transit,
        call: &Call<'_>,
        work: &Work<'_>,
    ) -> Result<Others<'d>, Error> {
        let mut others = BTreeMap::new();
        for (name, key) in &self.keys {
            let ciphers = match key {
                Ok(key) => {
                    let asked = work.asked_versions(&key.settings);
                    Ok(Ciphers::load(transit, call, key, asked).await?)
                }
                Err(why) => Err(&**why),
            };
            others.insert(&**name, ciphers);
        }
        Ok(Others(others))
    }

    /// One of them lies in a device.
    pub fn managed(&self) -> bool {
        let mut keys = self.keys.values().flatten();
        keys.any(|key| key.settings.is_managed())
    }

    /// One of them makes use of a context.
    pub fn derived(&self) -> bool {
        let mut keys = self.keys.values().flatten();
        keys.any(|key| key.settings.derived)
    }
}

/// The ciphers of other keys.
pub(super) struct Others<'d>(BTreeMap<&'d str, Result<Ciphers<'d>, &'d str>>);

impl<'d> Others<'d> {
    /// Those that an item is to be encrypted with, where it names another key.
    pub fn of(&mut self, task: &Task<'_>) -> Result<Option<&mut Ciphers<'d>>, Error> {
        let Some(name) = task.to_key()? else {
            return Ok(None);
        };
        match self.0.get_mut(&*name) {
            None => Ok(None),
            Some(Ok(ciphers)) => Ok(Some(ciphers)),
            Some(Err(why)) => Err(Error::field("to_key", *why)),
        }
    }
}

async fn load(transit: &Transit, name: &str) -> Result<Arc<LoadedKey>, Error> {
    let key = transit.key(name).await?;
    able(&key.settings)?;
    Ok(key)
}
