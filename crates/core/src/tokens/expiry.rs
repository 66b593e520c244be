//! Expired tokens go, in the order of their end. Unseal loads none of them; a sweep touches only
//! those whose time has come.

use std::time::Duration;

use super::record::{Hash, parse_expiry_key};
use super::store::{EXPIRE, Tokens};
use crate::error::Error;
use crate::ports::storage::Batch;

/// How often to look.
pub const EVERY: Duration = Duration::from_secs(1);
/// Index entries that one look takes at most before it lets others have the store.
const PAGE: usize = 256;

impl Tokens {
    /// Revokes what has expired; how many trees went. A token is refused from its end on whether
    /// or not the sweep has come by; its children live until it does.
    pub async fn sweep(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut revoked = 0;
        let mut damaged = None;
        let mut after = String::new();
        loop {
            let page = self.view.list(EXPIRE, &after, PAGE).await?;
            let mut due = true;
            for key in &page.names {
                let swept = match parse_expiry_key(key) {
                    Some((secs, _)) if secs > now.secs() => {
                        due = false;
                        break;
                    }
                    Some((_, hash)) => self.end(key, &hash).await,
                    None => Err(Error::corrupt(format!("sys/{EXPIRE}{key}"))),
                };
                match swept {
                    Ok(went) => revoked += usize::from(went),
                    // A damaged record fails alone: those after it still go.
                    Err(error @ Error::Corrupt(_)) => damaged = Some(error),
                    Err(error) => return Err(error),
                }
            }
            match page.names.last() {
                Some(last) if page.more && due => after.clone_from(last),
                _ => return damaged.map_or(Ok(revoked), Err),
            }
        }
    }

    /// Revokes the token of an index entry whose time has come. False when only the entry was left:
    /// renewed or gone since.
    async fn end(&self, key: &str, hash: &Hash) -> Result<bool, Error> {
        match self.load(hash).await? {
            Some((token, _)) if token.expiry_key().as_deref() == Some(key) => {
                self.revoke(hash).await?;
                Ok(true)
            }
            _ => {
                let entry = Batch::new().delete(format!("{EXPIRE}{key}"));
                self.view.commit(entry).await?;
                Ok(false)
            }
        }
    }
}
