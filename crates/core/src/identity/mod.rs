//! Who is behind the tokens: entities, what they log in by, and the groups they are in.
//!
//! ```text
//!   login ──► alias (mount, name) ──► entity ──► groups ──► their groups …
//!                                        └───────────┴────────┴──► policies of the token
//! ```
//!
//! All of it lies in core's own view, not in one of the mount `identity/`: a login finds or makes
//! its alias and its entity in one commit, and nothing of it outlives the vault's own records.
//!
//! ```text
//!   sys/identity/hmac-key                 32 bytes
//!   sys/identity/entity/<id>              an entity, with its aliases and the ids of its groups
//!   sys/identity/entity-name/<h>          the id of the entity of a name
//!   sys/identity/alias/<id>               the id of the entity of an alias
//!   sys/identity/alias-name/<h>           the same, by the mount's accessor and the name
//!   sys/identity/merged/<id>              the id of the entity that another was merged into
//!   sys/identity/member/<group>/<entity>  who is in a group
//!   sys/identity/group/<id>               a group, with its alias and the ids of its parents
//!   sys/identity/group-name/<h>           the id of the group of a name
//!   sys/identity/group-alias/<id>         the id of the group of an alias
//!   sys/identity/group-alias-name/<h>     the same, by the mount's accessor and the name
//!   sys/identity/child/<parent>/<group>   which groups are in a group
//!   sys/identity/leaving/<group>          a group that is gone, and some do not know it yet
//! ```
//!
//! The records are the truth: [`draft::Draft`] works out what a change of them does to the index
//! and writes both in one commit, on the condition that nothing it has read was changed.

mod aliases;
mod cache;
mod draft;
mod entities;
mod group_aliases;
mod groups;
mod keys;
mod limits;
mod login;
mod merge;
mod record;
mod routes;
mod standing;
mod store;

use std::sync::Arc;

use keyfold_keys::kdf::MacKey;
use keyfold_keys::rng;

use self::cache::Caches;
pub use self::login::{Known, Says};
pub use self::record::{Alias, Entity, Group, GroupKind, Metadata};
pub use self::routes::IdentityStore;
pub use self::standing::Standing;
use crate::barrier::{View, retry};
use crate::clock::Clock;
use crate::error::Error;
use crate::ports::storage::Batch;

/// All entities and groups of a vault.
pub struct Identity {
    view: View,
    clock: Arc<dyn Clock>,
    mac: MacKey,
    cache: Caches,
}

impl Identity {
    /// The batch that a new vault needs: an HMAC key.
    pub fn first(batch: Batch) -> Batch {
        batch.put(keys::HMAC_KEY, rng::bytes::<32>())
    }

    /// Over core's own view. A vault that has no HMAC key yet gets one.
    pub async fn open(view: View, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let key = || async {
            if let Some(key) = view.get(keys::HMAC_KEY).await? {
                return Ok(key.value);
            }
            let first = Self::first(Batch::new()).absent(keys::HMAC_KEY);
            view.commit(first).await?;
            let key = view.get(keys::HMAC_KEY).await?;
            Ok(key
                .ok_or_else(|| Error::corrupt("sys/identity/hmac-key"))?
                .value)
        };
        let mac = MacKey::new(retry(key).await?.expose());
        Ok(Self {
            view,
            clock,
            mac,
            cache: Caches::new(),
        })
    }

    /// A key of the system view changed.
    pub fn invalidate(&self, key: &str) {
        if let Some(id) = key.strip_prefix(keys::ENTITIES) {
            self.cache.forget_entity(id);
        } else if let Some(id) = key.strip_prefix(keys::GROUPS) {
            self.cache.forget_group(id);
        }
    }

    /// Anything may have changed.
    pub fn invalidate_all(&self) {
        self.cache.clear();
    }
}
