//! Transit: encryption as a service. A service's key stays in here; the service sends plaintexts
//! and gets ciphertexts that name the version of the key that made them.
//!
//! ```text
//!   encrypt · decrypt · rewrap ─→ request (members, borrowed from the body)
//!                                    └→ batch (one item or many, one path)
//!                                          └→ ciphers ─→ cache ─ miss ─→ key, times (records)
//!   datakey ──────────────────────────────────┘                            ▲
//!   keys · tune · upsert ─────────────── one commit each ──────────────────┘
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
//! | `config/keys` | whether encrypt may create keys, see [`upsert`] |

mod batch;
mod cache;
mod ciphers;
mod datakey;
mod decrypt;
mod encrypt;
mod key;
mod keys;
mod member;
mod report;
mod request;
mod rewrap;
mod times;
mod tune;
mod upsert;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use keyfold_core::barrier::View;
use keyfold_core::error::{Error, UnsupportedReason};
use keyfold_core::ports::engine::{
    Call, Dispatch, Engine, EngineKind, Future_, MountContext, Route, ServiceKeys,
};
use keyfold_core::ports::storage::Batch;
use keyfold_core::request::Op;

use self::cache::{Cache, LoadedKey};

/// The kind, for the wiring.
pub const KIND: EngineKind = EngineKind {
    name: "transit",
    open,
};

/// Opens a mount.
pub fn open(context: MountContext) -> Result<Arc<dyn Dispatch>, Error> {
    Ok(Arc::new(Transit {
        cache: Cache::new(context.view.clone()),
        view: context.view,
    }))
}

/// A mount of the engine.
pub(super) struct Transit {
    view: View,
    cache: Cache,
}

const ROUTES: &[Route<Transit>] = &[
    Route::new(Op::List, "keys", "The names of the keys.", |e, c| {
        Box::pin(keys::list(e, c))
    }),
    Route::new(Op::List, "keys/", "The names of the keys.", |e, c| {
        Box::pin(keys::list(e, c))
    }),
    Route::new(
        Op::Read,
        "keys/{name}",
        "A key's settings and when its versions were made.",
        |e, c| Box::pin(keys::read(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}",
        "Makes a key, unless it is there.",
        |e, c| Box::pin(keys::create(e, c)),
    ),
    Route::new(
        Op::Delete,
        "keys/{name}",
        "Destroys a key that may be deleted.",
        |e, c| Box::pin(keys::delete(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/config",
        "Changes a key's settings.",
        |e, c| Box::pin(tune::write(e, c)),
    ),
    Route::new(
        Op::Write,
        "keys/{name}/rotate",
        "Makes a new version of a key.",
        |e, c| Box::pin(keys::rotate(e, c)),
    ),
    Route::new(
        Op::Write,
        "encrypt/{name}",
        "Encrypts, under a new key where none is there.",
        |e, c| Box::pin(encrypt::run(e, c)),
    )
    .exists(|e, c| Box::pin(encrypt::exists(e, c))),
    Route::new(Op::Write, "decrypt/{name}", "Decrypts.", |e, c| {
        Box::pin(decrypt::run(e, c))
    }),
    Route::new(
        Op::Write,
        "rewrap/{name}",
        "Encrypts anew under the newest version.",
        |e, c| Box::pin(rewrap::run(e, c)),
    ),
    Route::new(
        Op::Write,
        "datakey/{kind}/{name}",
        "Makes a DEK, wrapped under a key.",
        |e, c| Box::pin(datakey::run(e, c)),
    ),
    Route::new(
        Op::Read,
        "config/keys",
        "Whether encrypt may create keys.",
        |e, c| Box::pin(upsert::read(e, c)),
    ),
    Route::new(
        Op::Write,
        "config/keys",
        "Says whether encrypt may create keys.",
        |e, c| Box::pin(upsert::write(e, c)),
    ),
];

impl Engine for Transit {
    fn routes() -> &'static [Route<Self>] {
        ROUTES
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
}

impl Transit {
    /// The key that a data call names.
    async fn key(&self, name: &str) -> Result<Arc<LoadedKey>, Error> {
        let key = self.cache.key(name).await?;
        key.ok_or_else(|| Error::bad("encryption key not found"))
    }

    /// Commits a change of one key. Memory forgets the key whatever came out: only what is stored
    /// counts, and after an unknown outcome one has to look.
    async fn commit(&self, name: &str, batch: Batch) -> Result<(), Error> {
        let outcome = self.view.commit(batch).await;
        self.cache.forget(name);
        outcome.map(drop)
    }
}

/// The name of the key in the path. What can be no name is no path either: letters, digits and
/// `_`, and between them `-` and `.`.
fn key_name<'a>(call: &'a Call<'_>) -> Result<&'a str, Error> {
    let name = call.param("name");
    let word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    let bytes = name.as_bytes();
    let inner = bytes
        .iter()
        .all(|byte| matches!(byte, b'-' | b'.') || word(Some(byte)));
    if inner && word(bytes.first()) && word(bytes.last()) {
        Ok(name)
    } else {
        Err(Error::Unsupported(UnsupportedReason::Path))
    }
}
