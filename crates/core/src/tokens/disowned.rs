//! Tokens that nobody answers for any more: their auth method was removed or has moved.
//!
//! They are dead from the commit on that changed the mount, because a token is looked up together
//! with the mount that made it ([`Table::owns`]). That commit also leaves a note, and as long as
//! there is one, their records are looked for and removed in the background, some in each sweep. The
//! note says how far that has come.
//!
//! [`Table::owns`]: crate::mounts::Table::owns

use super::record::{Hash, Token};
use super::store::{ID, PAGE, Tokens};
use crate::barrier::json;
use crate::clock::Time;
use crate::error::Error;
use crate::id;
use crate::ports::storage::Batch;

/// Below this, a note for each change that left tokens behind.
const NOTES: &str = "token/disowned/";
/// Pages of tokens that one sweep looks at before it lets others have the store.
const IN_ONE_SWEEP: usize = 64;

/// Adds the note to the batch that removes or moves an auth method.
pub(crate) fn disowning(batch: Batch) -> Result<Batch, Error> {
    Ok(batch.put(format!("{NOTES}{}", id::uuid()), json(&"")?))
}

impl Tokens {
    /// Whether a token, taken alone, may be used: it has not ended, and somebody answers for it.
    pub(super) fn serves(&self, token: &Token, now: Time) -> bool {
        token.alive(now) && self.is_owned(token)
    }

    fn is_owned(&self, token: &Token) -> bool {
        token.mount.is_none() || self.mounts.load().owns(token)
    }

    /// Removes some of what the notes speak of, with the trees below; how many trees went.
    pub async fn remove_disowned(&self) -> Result<usize, Error> {
        let notes = self.view.list(NOTES, "", 1).await?.names;
        let Some(note) = notes.first().map(|name| format!("{NOTES}{name}")) else {
            return Ok(0);
        };
        let stored = self.view.read::<String>(&note).await?;
        let mut after = stored.map(|(after, _)| after).unwrap_or_default();
        let mut removed = 0;
        for _ in 0..IN_ONE_SWEEP {
            let page = self.view.list(ID, &after, PAGE).await?;
            for name in &page.names {
                let hash = Hash::of(name);
                if let Some((token, _)) = self.load(&hash).await?
                    && !self.is_owned(&token)
                {
                    self.revoke(&hash).await?;
                    removed += 1;
                }
            }
            match page.names.last() {
                Some(last) if page.more => after.clone_from(last),
                _ => {
                    self.view.commit(Batch::new().delete(note)).await?;
                    return Ok(removed);
                }
            }
        }
        let reached = Batch::new().put(note, json(&after)?);
        self.view.commit(reached).await?;
        Ok(removed)
    }
}
