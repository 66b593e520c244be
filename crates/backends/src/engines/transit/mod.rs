//! Transit: encryption as a service. A service's key stays in here; the service sends plaintexts
//! and gets ciphertexts that name the version of the key that made them.
//!
//! ```text
//!   encrypt · decrypt · rewrap ─→ request (members, borrowed from the body)
//!                                    └→ batch (one item or many, one path)
//!                                          └→ ciphers ─→ cache ─ miss ─→ key, times (records)
//!   datakey · datakeys ───────────────────────┤ └→ census                  ▲
//!   sign · verify · tag ─→ inputs, scheme ────┘                            │
//!   keys · tune · trim · shelve · shred · upsert · import · backup: one commit each ┘
//! ```
//!
//! In the steady state a call of the first row reads no storage and takes no exclusive lock.
//!
//! Records of the mount's view:
//!
//! | key | holds |
//! |---|---|
//! | `policy/<name>` | the settings of a key, see [`key`] |
//! | `keys/<id>/<version>` | the material of one version, written once; see [`key`] |
//! | `times/<id>/<page>` | when versions were made, 1,024 a record; see [`times`] |
//! | `due/<second>-<name>` | that a key is rotated by itself then, see [`due`] |
//! | `census/<id>/<version>` | what a version was used for, see [`census`] |
//! | `catalogs/<id>/<catalog>` | what a scan found under the versions, see [`catalogs`] |
//! | `chains/<id>/<version>` | the certificates of a version, see [`chains`] |
//! | `shredded/<name>`, `receipts/<id>`, `receipts-key` | what was destroyed for good, see [`shred`] |
//! | `wrapping-key` | the key that imports are wrapped under, see [`import`] |
//! | `config/cache` | how many keys are held in memory, see [`cache_config`] |
//! | `config/keys` | whether encrypt may create keys, see [`upsert`] |
//! | `config/shred` | how long a key waits before it is destroyed, see [`shred`] |

mod agree;
mod backup;
mod batch;
mod byok;
mod cache;
mod cache_config;
mod catalogs;
mod census;
mod certificate;
mod chains;
mod ciphers;
mod compromise;
mod context;
mod datakey;
mod datakeys;
mod decrypt;
mod destinations;
mod due;
mod encrypt;
mod export;
mod import;
mod inputs;
mod key;
mod keys;
mod kind;
mod managed;
mod member;
mod needs;
mod pace;
mod periods;
mod report;
mod request;
mod retire;
mod rewrap;
mod routes;
mod scheme;
mod shelve;
mod shown;
mod shred;
mod sign;
mod tag;
mod times;
mod trim;
mod tune;
mod upsert;
mod verify;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use keyfold_core::barrier::View;
use keyfold_core::clock::Time;
use keyfold_core::error::{Error, UnsupportedReason};
use keyfold_core::managed::ManagedKeys;
use keyfold_core::ports::engine::{
    Call, Chore, DestroyedKey, DestroyedKeys, Dispatch, Engine, EngineKind, Future_, MountContext,
    Route, ServiceKeys,
};
use keyfold_core::ports::storage::Batch;

use self::cache::{Cache, LoadedKey};
use self::census::Census;
pub use self::decrypt::NO_PRIVATE_HALF;

/// The kind, for the wiring.
pub const KIND: EngineKind = EngineKind {
    name: "transit",
    open,
    remembers: true,
};

/// Opens a mount.
///
/// # Errors
///
/// [`Error::BadRequest`] for options that are none.
pub fn open(context: MountContext) -> Result<Arc<dyn Dispatch>, Error> {
    let strict = context::is_strict(&context.options)?;
    let transit = Transit::new(context.view, context.managed);
    Ok(Arc::new(Transit { strict, ..transit }))
}

/// A mount of the engine.
pub(super) struct Transit {
    view: View,
    managed: Arc<ManagedKeys>,
    proven: managed::Proven,
    cache: Cache,
    census: Arc<Census>,
    /// A context without effect is refused: see [`context`].
    strict: bool,
}

impl Engine for Transit {
    fn routes() -> &'static [Route<Self>] {
        routes::ROUTES
    }

    fn invalidate(&self, key: &str) {
        self.cache.invalidate(key);
    }

    fn invalidate_all(&self) {
        self.cache.clear();
    }

    fn service_keys<'a>(
        &'a self,
        after: &'a str,
        limit: usize,
    ) -> Future_<'a, Result<ServiceKeys, Error>> {
        Box::pin(report::page(self, after, limit))
    }

    fn chores(&self, now: Time, limit: usize) -> Future_<'_, Result<Vec<Chore>, Error>> {
        Box::pin(due::chores(self, now, limit))
    }

    fn settle(&self) -> Future_<'_, Result<(), Error>> {
        Box::pin(self.census.settle(self))
    }

    fn destroyed(&self) -> Future_<'_, Result<DestroyedKeys, Error>> {
        Box::pin(shred::destroyed(self))
    }

    fn revived<'a>(&'a self, key: &'a DestroyedKey) -> Future_<'a, Result<(), Error>> {
        Box::pin(shred::revive(self, key))
    }
}

impl Transit {
    /// One with nothing in memory.
    fn new(view: View, managed: Arc<ManagedKeys>) -> Self {
        let census = Arc::new(Census::default());
        Self {
            cache: Cache::new(view.clone(), census.clone()),
            view,
            managed,
            proven: managed::Proven::default(),
            census,
            strict: false,
        }
    }

    /// The key that a data call names.
    async fn key(&self, name: &str) -> Result<Arc<LoadedKey>, Error> {
        self.key_or(name, "encryption key not found").await
    }

    /// The same, with what is said where there is none and never was.
    async fn key_or(&self, name: &str, text: &str) -> Result<Arc<LoadedKey>, Error> {
        let Some(key) = self.cache.key(name).await? else {
            return Err(self.missing(name, text).await);
        };
        key.settings.usable()?;
        Ok(key)
    }

    /// Commits a change of one key. Memory forgets the key whatever came out: only what is stored
    /// counts, and after an unknown outcome one has to look.
    async fn commit(&self, name: &str, batch: Batch) -> Result<(), Error> {
        let outcome = self.view.commit(batch).await;
        self.cache.forget(name);
        outcome.map(drop)
    }
}

/// The name of the key in the path. What can be no name is no path either.
fn key_name<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    let name = call.param("name");
    match is_name(name) {
        true => Ok(name),
        false => Err(Error::Unsupported(UnsupportedReason::Path)),
    }
}

/// Whether a key can have this name: letters, digits and `_`, and between them `-` and `.`.
fn is_name(name: &str) -> bool {
    let word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let bytes = name.as_bytes();
    let inner = bytes
        .iter()
        .all(|byte| matches!(byte, b'-' | b'.') || word(Some(byte)));
    inner && word(bytes.first()) && word(bytes.last())
}
