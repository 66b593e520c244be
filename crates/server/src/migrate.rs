//! `keyfold operator migrate-store`: all that a store holds into another one, while no server runs.
//!
//! ```text
//!   source ─count─► ─stage─► adopted by the destination: one commit
//!     └──────────── compared ────────────┘ opened anew
//! ```
//!
//! What is moved is what lies there: keys and ciphertext. Nothing is opened with a key, so the new
//! store opens by what opens the old one. A crash leaves the destination empty or whole, and the
//! source is only read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use keyfold_core::ports::storage::{Revision, Storage, StorageError, Whole};
use keyfold_core::ports::whole::Portion;
use serde::Serialize;

use crate::config::{self, Config, ConfigError, Placed};
use crate::wiring;

/// Bytes that are staged at a time: each time costs a commit.
const STEP: usize = 4 * 1024 * 1024;
/// Records that are compared between two looks of who watches.
const GLANCE: usize = 1024;

/// From where to where.
pub struct Migration {
    from: Config,
    to: Config,
}

/// What was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// The kind of the source.
    pub from: String,
    /// The kind of the destination.
    pub to: String,
    /// Records, each of which was compared.
    pub records: usize,
    /// Bytes of their keys and values.
    pub bytes: usize,
    /// The last commit of the source.
    pub revision: u64,
}

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What is read.
    Source,
    /// What is written.
    Destination,
}

/// Why nothing was moved, or not for sure.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A configuration, or a store that does not open.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What can't be. Nothing was changed.
    #[error("{0}: nothing was moved")]
    Refused(String),
    /// A store failed. Where the destination has anything, it has all.
    #[error("the {side} failed: {error}")]
    Failed {
        /// Which.
        side: Side,
        /// How.
        error: StorageError,
    },
    /// The destination was written, and has something else now.
    #[error(
        "the destination is not what the source is, {what}: start no server on it, empty it, and move \
         again"
    )]
    Differs {
        /// Where they part.
        what: String,
    },
    /// This machine.
    #[error("can't start threads: {0}")]
    System(#[from] io::Error),
}

/// Looks on: what is being done, and how many records of how many that has passed.
pub type Watch<'a> = dyn Fn(&'static str, usize, usize) + 'a;

impl Migration {
    /// Between the storages of two servers' configurations: files and folders.
    pub fn between(from: &[PathBuf], to: &[PathBuf]) -> Result<Self, MigrateError> {
        Self::of(Config::load_storage(from)?, Config::load_storage(to)?)
    }

    /// Of a file with `storage_source` and `storage_destination`.
    pub fn read(file: &Path) -> Result<Self, MigrateError> {
        let (from, to) = Config::load_migration(file)?;
        Self::of(from, to)
    }

    fn of(from: Config, to: Config) -> Result<Self, MigrateError> {
        for Config { storage, .. } in [&from, &to] {
            if storage.value.kind == "inmem" {
                let why = "storage \"inmem\" goes with its server: there is nothing to move from it or to it";
                return Err(storage.wrong(why).into());
            }
        }
        let mut faults = wiring::faults(&from);
        faults.extend(wiring::faults(&to));
        if let Some(fault) = faults.into_iter().next() {
            return Err(fault.into());
        }
        if place(&from.storage) == place(&to.storage) {
            return Err(to
                .storage
                .wrong("the destination is the source: nothing is to be moved")
                .into());
        }
        Ok(Self { from, to })
    }

    /// Moves. Makes its own runtime, so call it outside of any.
    ///
    /// # Errors
    ///
    /// All but [`MigrateError::Differs`] leave the destination empty, or (where a store failed after
    /// the last step) with all of it.
    pub fn run(&self, watch: &Watch<'_>) -> Result<Moved, MigrateError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.carry_out(watch))
    }

    async fn carry_out(&self, watch: &Watch<'_>) -> Result<Moved, MigrateError> {
        if let Some(path) = wiring::to_be_made(&self.from.storage) {
            let why = format!("there is no store at {}", path.display());
            return Err(self.from.storage.wrong(why).into());
        }
        let source = wiring::storage(&self.from, "").await?;
        // Read to its end before anything is made of the destination.
        let load = Load::count(&*source, watch).await?;
        {
            let destination = wiring::storage(&self.to, "").await?;
            copy(&*source, &*destination, &load, watch).await?;
        }
        let destination = wiring::storage(&self.to, "").await?;
        compare(&*source, &*destination, &load, watch).await?;
        Ok(Moved {
            from: source.kind().to_owned(),
            to: destination.kind().to_owned(),
            records: load.records,
            bytes: load.bytes,
            revision: load.revision.0,
        })
    }
}

/// What is to be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Load {
    records: usize,
    bytes: usize,
    revision: Revision,
}

impl Load {
    /// Reads a source that nobody else has, to its end.
    async fn count(source: &dyn Storage, watch: &Watch<'_>) -> Result<Self, MigrateError> {
        undisturbed(source, Side::Source).await?;
        let failed = Side::Source.failed();
        let mut whole = source.whole().await.map_err(failed)?;
        let revision = whole.revision();
        let (mut records, mut bytes) = (0, 0);
        loop {
            let portion = whole.next().await.map_err(failed)?;
            if portion.is_empty() {
                break;
            }
            records += portion.len();
            bytes += size(&portion);
            watch("reading", records, records);
        }
        if records == 0 {
            return Err(refused("the source is empty"));
        }
        Ok(Self {
            records,
            bytes,
            revision,
        })
    }

    /// The source, as it was when it was counted; `None` where somebody wrote to it since.
    async fn again(&self, source: &dyn Storage) -> Result<Option<Box<dyn Whole>>, MigrateError> {
        let whole = source.whole().await.map_err(Side::Source.failed())?;
        Ok(Some(whole).filter(|whole| whole.revision() == self.revision))
    }
}

/// Puts all of the source into a destination that has nothing, in one commit.
async fn copy(
    source: &dyn Storage,
    destination: &dyn Storage,
    load: &Load,
    watch: &Watch<'_>,
) -> Result<(), MigrateError> {
    undisturbed(destination, Side::Destination).await?;
    let (reading, writing) = (Side::Source.failed(), Side::Destination.failed());
    let mut there = destination.whole().await.map_err(writing)?;
    if !there.next().await.map_err(writing)?.is_empty() {
        return Err(refused("the destination is not empty"));
    }
    drop(there);
    let disturbed = || refused("somebody writes to the source: stop the servers that have it");
    let mut whole = load.again(source).await?.ok_or_else(disturbed)?;
    let mut staged = destination.stage().await.map_err(writing)?;
    let (mut step, mut bytes, mut records) = (Portion::new(), 0, 0);
    loop {
        let portion = whole.next().await.map_err(reading)?;
        let ended = portion.is_empty();
        bytes += size(&portion);
        step.extend(portion);
        if ended || bytes >= STEP {
            records += step.len();
            staged
                .add(std::mem::take(&mut step))
                .await
                .map_err(writing)?;
            bytes = 0;
            watch("copying", records, load.records);
        }
        if ended {
            break;
        }
    }
    // The last moment at which it is known that nothing was left out.
    load.again(source).await?.ok_or_else(disturbed)?;
    staged.adopt().await.map_err(writing)?;
    Ok(())
}

/// Reads both, and finds the same.
async fn compare(
    source: &dyn Storage,
    destination: &dyn Storage,
    load: &Load,
    watch: &Watch<'_>,
) -> Result<(), MigrateError> {
    let Some(here) = load.again(source).await? else {
        let what = "somebody wrote to it meanwhile".to_owned();
        return Err(MigrateError::Differs { what });
    };
    let mut here = Records::of(here, Side::Source);
    let there = destination.whole().await;
    let mut there = Records::of(
        there.map_err(Side::Destination.failed())?,
        Side::Destination,
    );
    let mut records: usize = 0;
    loop {
        let what = match (here.next().await?, there.next().await?) {
            (None, None) => return Ok(()),
            (Some(one), Some(other)) if one == other => {
                records += 1;
                if records.is_multiple_of(GLANCE) {
                    watch("comparing", records, load.records);
                }
                continue;
            }
            (Some((key, _)), Some((other, _))) if key == other => {
                format!("{key} has another value")
            }
            (Some((key, _)), Some((other, _))) if key < other => format!("{key} is missing"),
            (Some((key, _)), None) => format!("{key} is missing"),
            (_, Some((key, _))) => format!("{key} is in it alone"),
        };
        return Err(MigrateError::Differs { what });
    }
}

/// A store one record at a time.
struct Records {
    whole: Box<dyn Whole>,
    side: Side,
    portion: std::vec::IntoIter<(String, Vec<u8>)>,
}

impl Records {
    fn of(whole: Box<dyn Whole>, side: Side) -> Self {
        Self {
            whole,
            side,
            portion: Vec::new().into_iter(),
        }
    }

    async fn next(&mut self) -> Result<Option<(String, Vec<u8>)>, MigrateError> {
        if let Some(record) = self.portion.next() {
            return Ok(Some(record));
        }
        let portion = self.whole.next().await.map_err(self.side.failed())?;
        self.portion = portion.into_iter();
        Ok(self.portion.next())
    }
}

/// Refuses a store that a server has. Where only one process can have it open, it would not be open
/// here.
async fn undisturbed(store: &dyn Storage, side: Side) -> Result<(), MigrateError> {
    let Some(nodes) = store.nodes() else {
        return Ok(());
    };
    let members = nodes.members().await.map_err(side.failed())?;
    match members.iter().find(|node| node.alive && !node.own) {
        Some(node) => Err(refused(&format!(
            "a server has the {side}, which clients reach at {:?}: stop it first",
            node.address
        ))),
        None => Ok(()),
    }
}

/// What makes two storages one: of what is in the file system, the place that the path leads to.
fn place(storage: &Placed<config::Storage>) -> (&str, Vec<(&str, PathBuf)>) {
    let settings = storage.value.settings.iter();
    let settings = settings.filter(|(name, _)| !matches!(name.as_str(), "cache_size" | "verify"));
    let places = settings.map(|(name, setting)| {
        let path = PathBuf::from(&setting.value);
        let leads = match name.as_str() {
            "path" => std::fs::canonicalize(&path).unwrap_or(path),
            _ => path,
        };
        (name.as_str(), leads)
    });
    (&storage.value.kind, places.collect())
}

fn size(portion: &Portion) -> usize {
    let sizes = portion.iter().map(|(key, value)| key.len() + value.len());
    sizes.sum()
}

fn refused(why: &str) -> MigrateError {
    MigrateError::Refused(why.to_owned())
}

impl Side {
    fn failed(self) -> impl Fn(StorageError) -> MigrateError + Copy {
        move |error| MigrateError::Failed { side: self, error }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Destination => "destination",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keyfold_core::ports::storage::Batch;
    use keyfold_core::testing::{FaultyStorage, Moment};

    use super::*;
    use crate::config::{Listener, Tcp};

    const QUIET: &Watch<'static> = &|_, _, _| {};

    async fn memory() -> Arc<dyn Storage> {
        let listener = Listener::Tcp(Tcp::plain("127.0.0.1:0"));
        let config = Config::embedded("inmem", &[], listener);
        wiring::storage(&config, "").await.unwrap()
    }

    async fn with(entries: &[(&str, &[u8])]) -> Arc<dyn Storage> {
        let store = memory().await;
        let batch = entries.iter().fold(Batch::new(), |b, (k, v)| b.put(*k, *v));
        store.commit(batch).await.unwrap();
        store
    }

    async fn keys(store: &dyn Storage) -> Vec<String> {
        let mut records = Records::of(store.whole().await.unwrap(), Side::Destination);
        let mut keys = Vec::new();
        while let Some((key, _)) = records.next().await.unwrap() {
            keys.push(key);
        }
        keys
    }

    #[tokio::test]
    async fn a_crash_leaves_nothing_or_all() {
        let large = vec![7; STEP];
        let entries: [(&str, &[u8]); 4] = [("a", b"1"), ("b", &large), ("c/d", b""), ("c/e", b"2")];
        let source = with(&entries).await;
        let load = Load::count(&*source, QUIET).await.unwrap();
        assert_eq!((load.records, load.bytes), (4, STEP + 10));
        for moment in [Moment::Before, Moment::After] {
            let (mut nothing, mut all) = (0, 0);
            for n in 0.. {
                let destination = FaultyStorage::new(memory().await);
                destination.crash_at(n, moment);
                let copied = copy(&*source, &destination, &load, QUIET).await;
                let found = destination.inner();
                match (copied, keys(&*found).await.len()) {
                    (Ok(()), 4) => {
                        compare(&*source, &*found, &load, QUIET).await.unwrap();
                        break;
                    }
                    (Err(_), 0) => nothing += 1,
                    (Err(MigrateError::Failed { error, .. }), 4) => {
                        assert!(matches!(error, StorageError::Unknown(_)), "{error}");
                        all += 1;
                    }
                    (copied, found) => panic!("at {n}: {copied:?}, {found} records"),
                }
            }
            assert!(nothing > 3, "{nothing}");
            assert_eq!(all, usize::from(moment == Moment::After));
        }
    }

    #[tokio::test]
    async fn a_source_that_changes_is_not_moved() {
        let source = with(&[("a", b"1")]).await;
        let load = Load::count(&*source, QUIET).await.unwrap();
        source.commit(Batch::new().put("b", *b"2")).await.unwrap();
        let destination = memory().await;
        let refused = copy(&*source, &*destination, &load, QUIET).await;
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("somebody writes"), "{refused}");
        assert!(keys(&*destination).await.is_empty());
    }

    #[tokio::test]
    async fn what_differs_is_named() {
        let source = with(&[("a", b"1"), ("c", b"3")]).await;
        let load = Load::count(&*source, QUIET).await.unwrap();
        type Entries = &'static [(&'static str, &'static [u8])];
        let tampered: [(Entries, &str); 5] = [
            (&[("a", b"1")], "c is missing"),
            (&[("c", b"3")], "a is missing"),
            (&[("a", b"1"), ("c", b"4")], "c has another value"),
            (&[("a", b"1"), ("b", b"2"), ("c", b"3")], "b is in it alone"),
            (&[("a", b"1"), ("c", b"3"), ("d", b"4")], "d is in it alone"),
        ];
        for (entries, what) in tampered {
            let destination = with(entries).await;
            let differs = compare(&*source, &*destination, &load, QUIET).await;
            let differs = differs.unwrap_err().to_string();
            assert!(differs.contains(what), "{differs}");
        }
    }
}
