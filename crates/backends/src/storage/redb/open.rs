//! Finding, creating and checking the store file.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Builder, Database, ReadableDatabase, TableDefinition, TableError};

use super::disk::{Disk, Health};
use super::{sound, whole};

/// Key to the revision that wrote it, and the value.
pub(super) const DATA: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("data");
/// Numbers about the store: [`FORMAT_ROW`], [`REVISION_ROW`].
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// The format of the store.
const FORMAT_ROW: &str = "format";
/// The last revision given.
pub(super) const REVISION_ROW: &str = "revision";

/// The format this program writes.
const FORMAT: u64 = 1;
/// The file in a directory.
const FILE_NAME: &str = "keyfold.redb";

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Memory for pages, bytes. The kernel caches the file too, so a small number costs little.
    pub cache_bytes: usize,
    /// Read the whole file and compare all checksums, also after a clean stop. Without it, damage
    /// done while the store was closed is found when it is read.
    pub verify: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 16 * 1024 * 1024,
            verify: true,
        }
    }
}

/// Why a store did not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Two servers on one store would destroy it.
    #[error("{} is in use by another process: one server at a time can have a store open", .0.display())]
    Locked(PathBuf),
    /// A newer program wrote it.
    #[error("the store has format {found}, this program knows {known}: use a newer program")]
    NewerFormat {
        /// What the store says.
        found: u64,
        /// The newest known here.
        known: u64,
    },
    /// Not a store, or damaged.
    #[error("{} is no intact Keyfold store: {cause}; restore a copy, or open what is left with verify = false", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The file system refused.
    #[error("{}: {cause}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Its answer.
        cause: io::Error,
    },
}

/// An open database and the last revision given.
pub(super) type Opened = (Database, u64);

/// The store file that a configured path means: the path itself, or a file in it if it is (or, with
/// a slash at its end, shall be) a directory.
pub(super) fn file_of(path: &Path) -> PathBuf {
    let directory = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
    if directory {
        path.join(FILE_NAME)
    } else {
        path.to_owned()
    }
}

/// Opens the store in a file; makes both if they are missing.
pub(super) fn open_or_create(
    path: &Path,
    options: Options,
    health: &Arc<Health>,
) -> Result<Opened, OpenError> {
    let io = |cause| OpenError::Io {
        path: path.to_owned(),
        cause,
    };
    make_parent(path).map_err(io)?;
    if !path.exists() {
        create(path, health).map_err(|error| explain(path, error))?;
    }
    let file = open_file(path, OpenOptions::new().create(true)).map_err(io)?;
    let (database, meta) = load(path, file, options, health)?;
    if meta.format.is_none() && meta.blank {
        sound(|| initialise(&database)).map_err(|error| explain(path, error))?;
        return Ok((database, 0));
    }
    accept(path, database, &meta)
}

/// Opens a store that was open before: if it has gone meanwhile, no empty one takes its place.
pub(super) fn open(
    path: &Path,
    options: Options,
    health: &Arc<Health>,
) -> Result<Opened, OpenError> {
    let file = open_file(path, &mut OpenOptions::new()).map_err(|cause| OpenError::Io {
        path: path.to_owned(),
        cause,
    })?;
    let (database, meta) = load(path, file, options, health)?;
    accept(path, database, &meta)
}

fn load(
    path: &Path,
    file: File,
    options: Options,
    health: &Arc<Health>,
) -> Result<(Database, Meta), OpenError> {
    sound(|| {
        let disk = Disk::new(file, Arc::clone(health))?;
        let mut builder = Builder::new();
        builder
            .set_cache_size(options.cache_bytes)
            .set_check_integrity_on_open(options.verify);
        let database = builder.create_with_backend(disk)?;
        let meta = Meta::read(&database)?;
        Ok((database, meta))
    })
    .map_err(|error| explain(path, error))
}

fn accept(path: &Path, database: Database, meta: &Meta) -> Result<Opened, OpenError> {
    match meta.format {
        Some(FORMAT) => {
            sound(|| whole::sweep(&database)).map_err(|error| explain(path, error))?;
            Ok((database, meta.revision))
        }
        Some(found) if found > FORMAT => Err(OpenError::NewerFormat {
            found,
            known: FORMAT,
        }),
        _ => Err(OpenError::Corrupt {
            path: path.to_owned(),
            cause: "not a database of this program".into(),
        }),
    }
}

/// Makes the directories of a file, for their owner only.
fn make_parent(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(parent_of(path))
}

fn parent_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn open_file(path: &Path, how: &mut OpenOptions) -> io::Result<File> {
    how.read(true).write(true).mode(0o600).open(path)
}

/// Puts an empty store at a path as a whole: a power cut leaves either none or a sound one.
///
/// It is made beside the path, then linked to it, which fails where another process was faster.
/// Where the file system can't do that (it has no links, say), the caller goes on to make the store
/// in place. Where it has no room, that would leave a piece of a store, which no later start takes.
fn create(path: &Path, health: &Arc<Health>) -> Result<(), redb::Error> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(
        ".{:016x}.new",
        RandomState::new().hash_one(std::process::id())
    ));
    let draft = PathBuf::from(name);
    let made = sound(|| {
        let file = open_file(&draft, OpenOptions::new().create_new(true))?;
        let database = Builder::new().create_with_backend(Disk::new(file, health.clone())?)?;
        initialise(&database)?;
        drop(database);
        File::open(&draft)?.sync_all()?;
        fs::hard_link(&draft, path)?;
        // The name has to survive as well.
        Ok(File::open(parent_of(path))?.sync_all()?)
    });
    let _ = fs::remove_file(&draft);
    match made {
        Err(redb::Error::Io(cause)) if asks_for_another_way(cause.kind()) => {
            tracing::debug!(%cause, "making the store in place");
            Ok(())
        }
        made => made,
    }
}

/// The path is taken by now, or the file system does not know what is asked of it.
fn asks_for_another_way(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::AlreadyExists
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::Unsupported
    )
}

/// What a database says about itself.
struct Meta {
    format: Option<u64>,
    revision: u64,
    /// It has no tables at all: new.
    blank: bool,
}

impl Meta {
    fn read(database: &Database) -> Result<Self, redb::Error> {
        let transaction = database.begin_read()?;
        let blank = transaction.list_tables()?.next().is_none();
        let table = match transaction.open_table(META) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => {
                return Ok(Self {
                    format: None,
                    revision: 0,
                    blank,
                });
            }
            Err(error) => return Err(error.into()),
        };
        let row = |name| table.get(name).map(|row| row.map(|n| n.value()));
        let revision = row(REVISION_ROW)?.unwrap_or(0);
        Ok(Self {
            format: row(FORMAT_ROW)?,
            revision,
            blank,
        })
    }
}

fn initialise(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(DATA)?;
    transaction.open_table(META)?.insert(FORMAT_ROW, FORMAT)?;
    transaction.commit()?;
    Ok(())
}

fn explain(path: &Path, error: redb::Error) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            OpenError::Locked(path)
        }
        // How the engine says that a file is not of its kind.
        redb::Error::Io(cause) if cause.kind() != io::ErrorKind::InvalidData => {
            OpenError::Io { path, cause }
        }
        error => OpenError::Corrupt {
            path,
            cause: error.to_string(),
        },
    }
}
