//! What a token keeps for itself; it goes with the token.
//!
//! ```text
//!   sys/cubbyhole/<h>/<path>       a record of the token h
//! ```

use keyfold_secret::Secret;

use super::record::Hash;
use super::store::{ID, PAGE, Tokens};
use crate::error::Error;
use crate::ports::storage::{Batch, Page};

const FOLDER: &str = "cubbyhole/";

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

    /// Drops what a token keeps, a page in one commit, for a number of pages that it takes from
    /// `pages`; nothing kept costs nothing. True when there is more. The token is dead by then.
    ///
    /// It goes down to the first folder that has no other and up again when that is empty: all it
    /// remembers is where it is.
    pub(super) async fn clear_cubbyhole(
        &self,
        hash: &Hash,
        pages: &mut usize,
    ) -> Result<bool, Error> {
        let root = place(hash, "");
        let mut folder = root.clone();
        // Names that may be looked at: a deep folder takes as long as a large one.
        let mut names = pages.saturating_mul(PAGE);
        loop {
            let page = self.view.list(&folder, "", PAGE).await?;
            if page.names.is_empty() && folder == root {
                return Ok(false);
            }
            names = names.saturating_sub(page.names.len().max(1));
            *pages = names / PAGE;
            let (below, here): (Vec<_>, Vec<_>) =
                page.names.into_iter().partition(|n| n.ends_with('/'));
            if !here.is_empty() {
                let batch = here
                    .iter()
                    .fold(Batch::new(), |b, n| b.delete(format!("{folder}{n}")));
                self.view.commit(batch).await?;
            }
            match below.first() {
                Some(name) => folder.push_str(name),
                None if page.more => {}
                None if folder == root => return Ok(false),
                None => up(&mut folder),
            }
            if names == 0 {
                return Ok(true);
            }
        }
    }
}

/// The folder that a folder lies in.
fn up(folder: &mut String) {
    folder.pop();
    folder.truncate(folder.rfind('/').map_or(0, |slash| slash + 1));
}
