//! What a token keeps for itself; it goes with the token.
//!
//! ```text
//!   sys/cubbyhole/<h>/<path>       a record of the token h
//! ```

use keyfold_secret::Secret;

use super::record::Hash;
use super::store::{ID, Tokens};
use crate::error::Error;
use crate::ports::storage::{Batch, Page};

const FOLDER: &str = "cubbyhole/";
/// Records that one commit removes at most.
const BATCH: usize = 256;

/// Where a token keeps what it calls `path`.
pub(super) fn place(hash: &Hash, path: &str) -> String {
    format!("{FOLDER}{}/{path}", hash.0)
}

impl Tokens {
    /// What a token keeps at a path.
    pub async fn kept(&self, hash: &Hash, path: &str) -> Result<Option<Secret<Vec<u8>>>, Error> {
        let stored = self.view.get(&place(hash, path)).await?;
        Ok(stored.map(|stored| stored.value))
    }

    /// Names that a token keeps directly below a folder (empty, or ending in `/`).
    pub async fn list_kept(&self, hash: &Hash, folder: &str) -> Result<Page, Error> {
        self.view.list(&place(hash, folder), "", 0).await
    }

    /// Keeps a value for a token. False, and nothing is kept, where the token ends anyway: what is
    /// written after its cubbyhole was cleared would stay for ever.
    pub async fn keep(&self, hash: &Hash, path: &str, value: &[u8]) -> Result<bool, Error> {
        let change = || async {
            let (token, revision) = self.load(hash).await?.ok_or(Error::NoToken)?;
            if token.spent {
                return Ok(false);
            }
            // Whoever ends the token marks its record first, and so meets this check.
            let batch = Batch::new()
                .unchanged(format!("{ID}{}", hash.0), revision)
                .put(place(hash, path), value);
            self.view.commit(batch).await?;
            Ok(true)
        };
        self.view.change(hash.as_str(), change).await
    }

    /// Drops what a token keeps at a path; nothing there is no error.
    pub async fn drop_kept(&self, hash: &Hash, path: &str) -> Result<(), Error> {
        let batch = Batch::new().delete(place(hash, path));
        self.view.commit(batch).await.map(|_| ())
    }

    /// Drops all that a token keeps, in batches of bounded size. The token is dead by then.
    pub(super) async fn clear_cubbyhole(&self, hash: &Hash) -> Result<(), Error> {
        let mut folders = vec![place(hash, "")];
        while let Some(folder) = folders.last().cloned() {
            let page = self.view.list(&folder, "", BATCH).await?;
            let (below, here): (Vec<_>, Vec<_>) =
                page.names.into_iter().partition(|n| n.ends_with('/'));
            if !here.is_empty() {
                let batch = here
                    .iter()
                    .fold(Batch::new(), |b, n| b.delete(format!("{folder}{n}")));
                self.view.commit(batch).await?;
            }
            match below.first() {
                Some(name) => folders.push(format!("{folder}{name}")),
                None if !page.more => {
                    folders.pop();
                }
                None => {}
            }
        }
        Ok(())
    }
}
