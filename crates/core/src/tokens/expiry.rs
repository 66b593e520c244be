//! Expired tokens go, in the order of their end. Unseal loads none of them; a sweep touches only
//! those whose time has come.

use std::time::Duration;

use super::record::parse_expiry_key;
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
        loop {
            let page = self.view.list(EXPIRE, "", PAGE).await?;
            for key in &page.names {
                let Some((secs, hash)) = parse_expiry_key(key) else {
                    return Err(Error::corrupt(format!("sys/{EXPIRE}{key}")));
                };
                if secs > now.secs() {
                    return Ok(revoked);
                }
                match self.load(&hash).await? {
                    Some((token, _)) if token.expiry_key().as_deref() == Some(key) => {
                        self.revoke(&hash).await?;
                        revoked += 1;
                    }
                    // Renewed or gone since: only the index entry is left.
                    _ => {
                        self.view
                            .commit(Batch::new().delete(format!("{EXPIRE}{key}")))
                            .await?;
                    }
                }
            }
            if !page.more {
                return Ok(revoked);
            }
        }
    }
}
