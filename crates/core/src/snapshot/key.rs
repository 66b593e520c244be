//! The key that says whose snapshot it is.
//!
//! It lies among core's own records, so under the keyring, and is made with the first snapshot; so
//! each snapshot holds it, sealed. It outlives the rotation of every key above it: last month's
//! snapshot is still known as the store's own. Restored, a store has the key of the snapshot, and
//! an open one can look at the MAC that a sealed one had to take on trust.

use keyfold_keys::kdf::MacKey;
use keyfold_keys::rng;
use keyfold_secret::Secret;

use crate::barrier::View;
use crate::error::Error;
use crate::ports::storage::Batch;

/// Where it is stored.
pub(super) const KEY: &str = "snapshot/key";

/// The store's key; none while there is no snapshot of it.
pub(super) async fn find(system: &View) -> Result<Option<MacKey>, Error> {
    let stored = system.get(KEY).await?;
    Ok(stored.map(|key| MacKey::new(key.value.expose())))
}

/// The store's key, made where there was none.
pub(super) async fn settle(system: &View) -> Result<MacKey, Error> {
    let made = || async {
        if let Some(key) = find(system).await? {
            return Ok(key);
        }
        let key = Secret::new(rng::bytes::<32>());
        let batch = Batch::new().absent(KEY).put(KEY, key.expose().to_vec());
        system.commit(batch).await?;
        Ok(MacKey::new(key.expose()))
    };
    system.change(KEY, made).await
}
