//! Tokens that nobody answers for any more: their auth method was removed or has moved.
//!
//! They are dead from the commit on that changed the mount, because a token is looked up together
//! with the mount that made it ([`Table::owns`]). That commit also leaves a note, and as long as
//! there is one, their records are looked for and removed in the background.
//!
//! [`Table::owns`]: crate::mounts::Table::owns

use super::record::{Hash, Token};
use super::store::{ID, Tokens};
use crate::clock::Time;
use crate::error::Error;
use crate::id;
use crate::ports::storage::Batch;

/// Below this, a note for each change that left tokens behind.
const NOTES: &str = "token/disowned/";
/// Tokens that are looked at together.
const PAGE: usize = 256;

/// Adds the note to the batch that removes or moves an auth method.
pub(crate) fn disowning(batch: Batch) -> Batch {
    batch.put(format!("{NOTES}{}", id::uuid()), Vec::new())
}

impl Tokens {
    /// Whether a token, taken alone, may be used: it has not ended, and somebody answers for it.
    pub(super) fn serves(&self, token: &Token, now: Time) -> bool {
        token.alive(now) && self.is_owned(token)
    }

    fn is_owned(&self, token: &Token) -> bool {
        token.mount.is_none() || self.mounts.load().owns(token)
    }

    /// Removes what the notes speak of, with the trees below; how many trees went.
    pub async fn remove_disowned(&self) -> Result<usize, Error> {
        let notes = self.view.list(NOTES, "", PAGE).await?.names;
        if notes.is_empty() {
            return Ok(0);
        }
        let mut removed = 0;
        let mut after = String::new();
        loop {
            let page = self.view.list(ID, &after, PAGE).await?;
            for name in &page.names {
                let hash = Hash(name.clone());
                if let Some((token, _)) = self.load(&hash).await?
                    && !self.is_owned(&token)
                {
                    self.revoke(&hash).await?;
                    removed += 1;
                }
            }
            match page.names.last() {
                Some(last) if page.more => after.clone_from(last),
                _ => break,
            }
        }
        let done = notes.iter().fold(Batch::new(), |done, note| {
            done.delete(format!("{NOTES}{note}"))
        });
        self.view.commit(done).await?;
        Ok(removed)
    }
}
