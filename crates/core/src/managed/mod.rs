//! Managed keys: which key in which device goes by a name, and which mounts may use it.
//!
//! ```text
//!   sys/managed-keys/<name>   record: id, kind, what is common to all kinds, and the kind's own part
//! ```
//!
//! A name is one key, whatever its kind. An engine that uses a key notes the id too: a name that is
//! given to another key later is not taken for the first.

mod record;

use std::sync::Arc;

use serde_json::{Map, Value};

pub use self::record::{Common, Named};
use self::record::{Record, is_id, is_name};
use crate::barrier::{View, json};
use crate::error::Error;
use crate::id;
use crate::mounts::{MountRecord, Table};
use crate::ports::engine::Call;
use crate::ports::managed::{ManagedError, ManagedKey, ManagedKind};
use crate::ports::storage::{Batch, Revision};

/// Folder of the records.
const FOLDER: &str = "managed-keys/";
/// Names that are read at once.
const PAGE: usize = 256;

/// The managed keys of an open vault.
pub struct ManagedKeys {
    view: View,
    kinds: Vec<Arc<dyn ManagedKind>>,
}

/// A managed key that a mount may use.
pub struct Usable {
    /// What it is called.
    pub named: Named,
    /// Of its record: another one may lead to another key.
    pub revision: Revision,
    /// It is made in the device where it is not there yet.
    pub may_make: bool,
    /// The key.
    pub key: Arc<dyn ManagedKey>,
}

/// A name and its record.
type Found = (String, (Record, Revision));

impl ManagedKeys {
    /// Those whose records lie in a view. Without `kinds` there are none.
    pub fn new(view: View, kinds: Vec<Arc<dyn ManagedKind>>) -> Self {
        Self { view, kinds }
    }

    /// The names of a kind's keys that come after one, `limit` at most; zero for no bound.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] for a kind that is not offered.
    pub async fn list(&self, kind: &str, after: &str, limit: usize) -> Result<Vec<String>, Error> {
        self.kind(kind)?;
        let (mut names, mut after) = (Vec::new(), after.to_owned());
        loop {
            let page = self.view.list(FOLDER, &after, PAGE).await?;
            for name in &page.names {
                if self.of_kind(kind, name).await?.is_some() {
                    names.push(name.clone());
                }
                if limit > 0 && names.len() == limit {
                    return Ok(names);
                }
            }
            match page.names.into_iter().next_back() {
                Some(last) if page.more => after = last,
                _ => return Ok(names),
            }
        }
    }

    /// A key as it is shown.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where none of the kind has the name.
    pub async fn read(&self, kind: &str, name: &str) -> Result<Map<String, Value>, Error> {
        let own = self.kind(kind)?;
        let (record, _) = self.of_kind(kind, name).await?.ok_or(Error::NotFound)?;
        let mut shown = own.show(record.own.expose().as_bytes())?;
        record.show(name, &mut shown);
        Ok(shown)
    }

    /// Makes a key's record, or changes it: members that are left out stay as they are.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] names the member; or the name is taken by a key of another kind.
    pub async fn write(&self, kind: &str, name: &str, call: &Call<'_>) -> Result<(), Error> {
        let own = self.kind(kind)?;
        if !is_name(name) {
            return Err(Error::field(
                "name",
                "must be of lower-case letters, digits, '-', '_' and '.', 64 at most",
            ));
        }
        let asked = call.body.decode::<Common>()?;
        let at = key(name);
        self.view
            .change(&at, || async {
                let stored = self.view.read::<Record>(&at).await?;
                if let Some((record, _)) = &stored
                    && record.kind != kind
                {
                    return Err(Error::field("name", "is that of a key of another type"));
                }
                let before = stored
                    .as_ref()
                    .map(|(record, _)| record.own.expose().as_bytes());
                let settled = own.settle(call.body, before)?;
                let unknown = asked.unknown.iter().filter(|n| settled.unknown.contains(n));
                call.note_unknown(unknown.cloned().collect());
                let is_new = stored.is_none();
                let (mut record, batch) = match stored {
                    Some((record, revision)) => (record, Batch::new().unchanged(&*at, revision)),
                    None => (Record::new(kind, id::uuid()), Batch::new().absent(&*at)),
                };
                self.identify(&mut record, &asked.value, is_new).await?;
                record.common.change(&asked.value);
                record.set_own(settled.record)?;
                self.view.commit(batch.put(&*at, json(&record)?)).await?;
                Ok(())
            })
            .await
    }

    /// Removes a key's record; the key itself stays in its device.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] while a mount lists it.
    pub async fn delete(&self, kind: &str, name: &str, mounts: &Table) -> Result<(), Error> {
        self.kind(kind)?;
        let lists = |record: &MountRecord| {
            let allowed = &record.config.allowed_managed_keys;
            allowed.iter().any(|allowed| allowed == name)
        };
        if let Some(mount) = mounts.iter().find(|mount| lists(&mount.record)) {
            return Err(Error::bad(format!(
                "managed key {name} is listed in allowed_managed_keys of {}",
                mount.record.path
            )));
        }
        let at = key(name);
        self.view
            .change(&at, || async {
                let Some((_, revision)) = self.of_kind(kind, name).await? else {
                    return Ok(());
                };
                let batch = Batch::new().unchanged(&*at, revision).delete(&*at);
                self.view.commit(batch).await.map(drop)
            })
            .await
    }

    /// A key of a kind, for whoever tries it out.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] where none of the kind has the name.
    pub async fn open(&self, kind: &str, name: &str) -> Result<Usable, Error> {
        self.kind(kind)?;
        let found = self.of_kind(kind, name).await?;
        self.opened(name, &found.ok_or(Error::NotFound)?)
    }

    /// The key that a mount asks for by name or by id.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`], in the same words whether it is not there or not for this mount.
    pub async fn ask(
        &self,
        mount: Option<&MountRecord>,
        name: &str,
        id: &str,
    ) -> Result<Usable, Error> {
        let found = match (name, id) {
            ("", id) => self.by_id(id).await?,
            (name, "") => self.by_name(name).await?,
            (name, id) => self
                .by_name(name)
                .await?
                .filter(|(_, (record, _))| record.id == id),
        };
        let (field, asked) = match name {
            "" => ("managed_key_id", id),
            name => ("managed_key_name", name),
        };
        let found = found.filter(|(name, (record, _))| record.is_for(mount, name));
        let (name, stored) = found.ok_or_else(|| {
            Error::field(
                field,
                format_args!("{asked} is no managed key that this mount may use"),
            )
        })?;
        self.opened(&name, &stored)
    }

    /// The key that an engine noted.
    ///
    /// # Errors
    ///
    /// [`Error::BadRequest`] when it is there no more, or the mount may use it no more.
    pub async fn again(&self, mount: Option<&MountRecord>, named: &Named) -> Result<Usable, Error> {
        let found = self.by_name(&named.name).await?;
        let found =
            found.filter(|(name, (record, _))| record.id == named.id && record.is_for(mount, name));
        let (name, stored) = found.ok_or_else(|| {
            Error::bad(format!(
                "managed key {} is there no more, or this mount may use it no more",
                named.name
            ))
        })?;
        self.opened(&name, &stored)
    }

    fn opened(&self, name: &str, (record, revision): &(Record, Revision)) -> Result<Usable, Error> {
        let own = self.kind(&record.kind)?;
        let named = Named {
            name: name.to_owned(),
            id: record.id.clone(),
        };
        let key = own.open(record.own.expose().as_bytes());
        Ok(Usable {
            key: key.map_err(|error| named.error(error))?,
            named,
            revision: *revision,
            may_make: record.common.allow_generate_key.unwrap_or_default(),
        })
    }

    fn kind(&self, name: &str) -> Result<&dyn ManagedKind, Error> {
        let kind = self.kinds.iter().find(|kind| kind.name() == name);
        let kind = kind.map(|kind| &**kind);
        kind.ok_or_else(|| {
            Error::field(
                "type",
                format_args!("no managed keys of type {name:?} are offered"),
            )
        })
    }

    async fn of_kind(&self, kind: &str, name: &str) -> Result<Option<(Record, Revision)>, Error> {
        let stored = self.view.read::<Record>(&key(name)).await?;
        Ok(stored.filter(|(record, _)| record.kind == kind))
    }

    async fn by_name(&self, name: &str) -> Result<Option<Found>, Error> {
        let stored = self.view.read::<Record>(&key(name)).await?;
        Ok(stored.map(|stored| (name.to_owned(), stored)))
    }

    /// Keys are few, and an id is asked for when an engine makes a key.
    async fn by_id(&self, id: &str) -> Result<Option<Found>, Error> {
        let mut after = String::new();
        loop {
            let page = self.view.list(FOLDER, &after, PAGE).await?;
            for name in &page.names {
                let found = self.by_name(name).await?;
                if let Some(found) = found.filter(|(_, (record, _))| record.id == id) {
                    return Ok(Some(found));
                }
            }
            match page.names.into_iter().next_back() {
                Some(last) if page.more => after = last,
                _ => return Ok(None),
            }
        }
    }

    /// A record that was removed is made again with the id of before, so that what was made with its
    /// key opens again; the id of a record that is there stays.
    async fn identify(
        &self,
        record: &mut Record,
        asked: &Common,
        is_new: bool,
    ) -> Result<(), Error> {
        let Some(id) = asked.uuid.as_deref().filter(|id| !id.is_empty()) else {
            return Ok(());
        };
        if id == record.id {
            return Ok(());
        }
        if !is_new {
            return Err(Error::field("uuid", "can't be changed"));
        }
        if !is_id(id) || self.by_id(id).await?.is_some() {
            return Err(Error::field("uuid", "is no UUID, or that of another key"));
        }
        record.id = id.to_owned();
        Ok(())
    }
}

impl Named {
    /// What a device says, with the name of the key.
    pub fn error(&self, error: ManagedError) -> Error {
        let text = format!("managed key {}: {error}", self.name);
        match error {
            ManagedError::Away(_) => Error::Away(text),
            ManagedError::Refused(_) => Error::BadRequest(text),
            ManagedError::Foreign => Error::BadRequest(error.to_string()),
        }
    }
}

fn key(name: &str) -> String {
    format!("{FOLDER}{name}")
}
