//! The deks that lie in a store's file: a mount that is gone has left none.

use std::path::Path;

use keyfold_backends::storage::Redb;
use keyfold_core::ports::storage::Storage;

use crate::talk::text;

/// Below this, a folder for each owner of deks, and a record for each version.
const FOLDER: &str = "core/dek/";

/// How many there are in a store that no server has open.
pub fn count(store: &Path) -> Result<usize, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.map_err(text)?.block_on(async {
        let store = Redb::open(store).map_err(text)?;
        let mut count = 0;
        for owner in store.list(FOLDER, "", 0).await.map_err(text)?.names {
            let versions = store.list(&format!("{FOLDER}{owner}"), "", 0).await;
            count += versions.map_err(text)?.names.len();
        }
        Ok(count)
    })
}
