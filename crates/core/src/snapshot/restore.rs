//! A store from a snapshot.
//!
//! It is read once, from its beginning to its end, and staged as it comes: in constant memory, and
//! beside what is stored. Only when its end has been read and found right is it adopted, which is
//! one commit.

use std::sync::Arc;

use keyfold_keys::kdf::MacKey;
use serde::Serialize;

use super::decode::{Decoder, Item};
use super::destroyed::{self, Destroyed};
use super::format::{Fault, Header, Trailer};
use super::{key, restored};
use crate::barrier::KEYRING;
use crate::chunks::Chunks;
use crate::error::Error;
use crate::lifecycle::{Core, FORMAT, FORMAT_KEY, SEALS, State, Unsealed};
use crate::ports::storage::{Staged, StorageError};
use crate::ports::whole::Portion;

/// Bytes that are staged at a time: each time costs a commit.
const STEP: usize = 4 * 1024 * 1024;

/// What was restored.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    /// What the snapshot says of itself.
    #[serde(flatten)]
    pub header: Header,
    /// Records in it.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Keys, with their mounts, that had been destroyed since, and that it brings back.
    pub revived: Vec<String>,
    /// What whoever restored it should know.
    #[serde(skip)]
    pub remarks: Vec<String>,
}

impl Core {
    /// Puts a snapshot in the place of all that is stored; after that the vault is sealed, and opens
    /// by what opens the snapshot. It has to be whole. It has to be this store's own, as it was made,
    /// unless by force. A store that has not begun takes any; when it is opened it looks whether the
    /// snapshot is as it was made.
    ///
    /// Any error changes nothing, but for a store that can't tell whether the last step was done:
    /// then the vault is sealed too, over the old store or the new one.
    pub async fn restore(
        self: &Arc<Self>,
        upload: &mut dyn Chunks,
        force: bool,
    ) -> Result<Restored, Error> {
        let vault = match &*self.state() {
            State::Sealed(_) => return Err(Error::Sealed),
            State::Uninit => None,
            State::Unsealed(vault) => Some(vault.clone()),
        };
        let judge = match &vault {
            Some(vault) if !force => Some(Judge::of(vault).await?),
            _ => None,
        };
        let mut gone = match &vault {
            Some(vault) => Destroyed::of(&vault.mounts).await?,
            None => Destroyed::default(),
        };
        let incoming = Incoming::read(self, upload, judge.as_ref(), &mut gone).await?;
        let Incoming {
            header,
            trailer,
            mut staged,
        } = incoming;
        let record = restored::record(&header, &trailer, force)?;
        let portion = vec![(restored::KEY.to_owned(), record)];
        staged.add(portion).await.map_err(staging)?;
        let mut remarks = match &vault {
            Some(vault) => vec![remark(vault, &header).await?],
            None => Vec::new(),
        };
        // What was destroyed meanwhile counts, too: asked when nothing is written any more.
        let last = async {
            match &vault {
                Some(vault) if vault.cluster.id == header.store => {
                    gone.carry(&vault.mounts, &vault.system, &header).await
                }
                _ => Ok(Portion::new()),
            }
        };
        self.replace(staged, last).await?;
        drop(vault);
        let (revived, told) = gone.revived();
        remarks.extend(told);
        let Header { store, created, .. } = &header;
        tracing::warn!(store, created, force, "a snapshot was restored");
        Ok(Restored {
            header,
            records: trailer.records,
            bytes: trailer.bytes,
            revived,
            remarks,
        })
    }
}

/// What is lost.
async fn remark(vault: &Unsealed, header: &Header) -> Result<String, Error> {
    let now = vault.barrier.storage().whole().await?.revision().0;
    let Header {
        created, revision, ..
    } = header;
    if header.store != vault.cluster.id {
        return Ok(format!(
            "all that this server had is gone: the snapshot is of another store, of {created}"
        ));
    }
    Ok(format!(
        "what was written after {created} is gone: the snapshot has revision {revision}, the store \
         was at {now}. Tokens that were revoked since are valid again, and the store opens by the \
         keys and seals that it had then"
    ))
}

/// Knows the store's own snapshots.
struct Judge {
    store: String,
    /// None while there is no snapshot of it.
    key: Option<MacKey>,
}

impl Judge {
    async fn of(vault: &Unsealed) -> Result<Self, Error> {
        Ok(Self {
            store: vault.cluster.id.clone(),
            key: key::find(&vault.system).await?,
        })
    }

    fn header(&self, header: &Header) -> Result<(), Error> {
        if header.store == self.store {
            return Ok(());
        }
        Err(Error::bad(format!(
            "the snapshot is of another store: of {}, this is {}. With -force it takes the place of \
             this one",
            header.store, self.store
        )))
    }

    fn trailer(&self, trailer: &Trailer) -> Result<(), Error> {
        if self.key.as_ref().is_some_and(|key| trailer.is_by(key)) {
            return Ok(());
        }
        Err(Error::bad(
            "the snapshot is not one that this store made: somebody made or altered it who does not \
             have its keys",
        ))
    }
}

/// A snapshot that was read to its end, and is staged.
struct Incoming {
    header: Header,
    trailer: Trailer,
    staged: Box<dyn Staged>,
}

impl Incoming {
    async fn read(
        core: &Core,
        upload: &mut dyn Chunks,
        judge: Option<&Judge>,
        gone: &mut Destroyed,
    ) -> Result<Self, Error> {
        let mut decoder = Decoder::default();
        let mut begun = None;
        let mut ended = None;
        let mut essentials = Essentials::default();
        let (mut portion, mut size) = (Portion::new(), 0);
        while let Some(piece) = upload.next().await? {
            decoder.push(&piece);
            while let Some(item) = decoder.next_item()? {
                match item {
                    Item::Header(header) => {
                        if let Some(judge) = judge {
                            judge.header(&header)?;
                        }
                        begun = Some((header, core.stage().await?));
                    }
                    Item::Record(key, value) => {
                        essentials.note(&key, &value)?;
                        gone.note(&key);
                        size += key.len() + value.len();
                        // What a store says of an earlier snapshot is not said of this one.
                        if key != restored::KEY && key != destroyed::KEY {
                            portion.push((key, value));
                        }
                    }
                    Item::End(trailer) => ended = Some(trailer),
                }
                if size >= STEP
                    && let Some((_, staged)) = &mut begun
                {
                    let full = std::mem::take(&mut portion);
                    staged.add(full).await.map_err(staging)?;
                    size = 0;
                }
            }
        }
        decoder.finish()?;
        let (Some((header, mut staged)), Some(trailer)) = (begun, ended) else {
            return Err(Fault::Foreign.into());
        };
        if let Some(judge) = judge {
            judge.trailer(&trailer)?;
        }
        essentials.check()?;
        staged.add(portion).await.map_err(staging)?;
        Ok(Self {
            header,
            trailer,
            staged,
        })
    }
}

/// Without these no key and no share opens a store.
#[derive(Default)]
struct Essentials {
    format: bool,
    keyring: bool,
    seals: bool,
}

impl Essentials {
    fn note(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
        match key {
            KEYRING => self.keyring = true,
            FORMAT_KEY => {
                let text = std::str::from_utf8(value).ok();
                let format: u32 = text
                    .and_then(|text| text.parse().ok())
                    .ok_or(Fault::Damaged("its store has no layout that is known"))?;
                if format > FORMAT {
                    return Err(Error::bad(format!(
                        "the snapshot's store has layout {format}, made by a newer version; this \
                         version knows up to {FORMAT}"
                    )));
                }
                self.format = true;
            }
            key => self.seals |= key.starts_with(SEALS),
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Fault> {
        match self {
            Self {
                format: true,
                keyring: true,
                seals: true,
            } => Ok(()),
            _ => Err(Fault::Damaged("nothing in it could open it")),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::bad(fault.to_string())
    }
}

fn staging(error: StorageError) -> Error {
    match error {
        StorageError::Invalid(_) | StorageError::TooLong(_) => {
            Fault::Damaged("a record has a key that none has").into()
        }
        StorageError::Conflict(_) => Error::Contended,
        error => error.into(),
    }
}
