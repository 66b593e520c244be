//! Revocation: a token and all that descends from it.
//!
//! One commit removes the token and notes in `revoking/` that what hangs from it has to go. With
//! that the whole tree is dead, because nothing lives whose parent is gone (see `chain`). The rest
//! is clearing up, and the notes are its queue:
//!
//! ```text
//!   revoking/p ─► a page of p's children is removed, each leaves a note ─► … ─► no child, no note
//! ```
//!
//! What a token kept in its cubbyhole goes before its note does. A crash leaves notes, which the next
//! sweep goes on with. A small tree is cleared before the answer, a large one behind it. The other
//! nodes have heard of the first commit before it is acknowledged, and need not hear of the clearing:
//! notes are in nobody's memory, and what they have of the tree is dead there too.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::record::{Hash, Token};
use super::store::{ACCESSOR, EXPIRE, ID, PAGE, PARENT, REVOKING, Tokens};
use crate::barrier::json;
use crate::clock::Time;
use crate::error::Error;
use crate::ports::storage::Batch;

/// Pages of a tree that are cleared before the answer.
const BEFORE_THE_ANSWER: usize = 16;
/// Pages that one sweep clears before it lets others have the store.
const IN_ONE_SWEEP: usize = 64;
/// How long the request of a last use may take: until then its token's records are its own.
const LAST_REQUEST: Duration = Duration::from_secs(600);

/// What hangs from a token has to go.
#[derive(Default, Serialize, Deserialize)]
struct Note {
    /// Not before this.
    from: Time,
}

/// Adds the note on a token that has died to the batch in which it does.
pub(super) fn note(batch: Batch, hash: &Hash, dead: &Token, now: Time) -> Result<Batch, Error> {
    let from = if dead.released {
        now
    } else {
        now.plus(LAST_REQUEST)
    };
    Ok(batch.put(format!("{REVOKING}{}", hash.0), json(&Note { from })?))
}

/// Adds the note on a token that is gone.
pub(super) fn noted(batch: Batch, hash: &Hash) -> Result<Batch, Error> {
    Ok(batch.put(format!("{REVOKING}{}", hash.0), json(&Note::default())?))
}

impl Tokens {
    /// Revokes a token with its whole tree; one that is not there is no error. When this returns,
    /// none of them is alive.
    pub async fn revoke(&self, hash: &Hash) -> Result<(), Error> {
        if self.condemn(hash).await? {
            self.clear(vec![hash.clone()], BEFORE_THE_ANSWER).await?;
        }
        Ok(())
    }

    /// Revokes a token; its children live on as orphans. False when there is no such token, or its
    /// tree is dead: nothing of that comes alive again.
    pub async fn revoke_orphan(&self, hash: &Hash) -> Result<bool, Error> {
        let Some((mut token, _)) = self.load(hash).await? else {
            return Ok(false);
        };
        // This may be its own last request.
        token.spent = false;
        if !token.released && !self.lives(&token, self.clock.now()).await? {
            return Ok(false);
        }
        self.set_free(hash).await
    }

    /// The same for a token that may have died by itself.
    pub(crate) async fn set_free(&self, hash: &Hash) -> Result<bool, Error> {
        let changed = self.update(hash, |token| {
            let first = !token.released;
            (token.spent, token.released) = (true, true);
            Ok(first)
        });
        if changed.await?.is_none() {
            return Ok(false);
        }
        self.clear(vec![hash.clone()], BEFORE_THE_ANSWER).await?;
        Ok(true)
    }

    /// Goes on with what is noted, for a while; how many notes it looked at.
    pub async fn finish_revocations(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut seen = 0;
        let mut after = String::new();
        for _ in 0..IN_ONE_SWEEP {
            let page = self.view.list(REVOKING, &after, PAGE).await?;
            seen += page.names.len();
            let mut due = Vec::new();
            for name in &page.names {
                let hash = Hash::of(name);
                if self.is_due(&hash, now).await? {
                    due.push(hash);
                }
            }
            self.clear(due, IN_ONE_SWEEP).await?;
            match page.names.last() {
                Some(last) if page.more => after.clone_from(last),
                _ => break,
            }
        }
        Ok(seen)
    }

    async fn is_due(&self, hash: &Hash, now: Time) -> Result<bool, Error> {
        let key = format!("{REVOKING}{}", hash.0);
        let Some(stored) = self.view.get(&key).await? else {
            return Ok(false);
        };
        let note: Note = serde_json::from_slice(stored.value.expose()).unwrap_or_default();
        Ok(note.from <= now)
    }

    /// Removes the token and notes that its tree has to go. False when there is no such token.
    async fn condemn(&self, hash: &Hash) -> Result<bool, Error> {
        let change = || async {
            let Some((token, revision)) = self.load(hash).await? else {
                return Ok(false);
            };
            // As good as gone: its children are being set free.
            if token.released {
                return Ok(false);
            }
            let batch = Batch::new().unchanged(format!("{ID}{}", hash.0), revision);
            self.view.commit(self.condemned(&token, batch)?).await?;
            self.forget(hash);
            Ok(true)
        };
        self.view.change(hash.as_str(), change).await
    }

    /// Adds to a batch the end of one token: its removal, and the note on what hangs from it.
    pub(super) fn condemned(&self, token: &Token, batch: Batch) -> Result<Batch, Error> {
        let batch = noted(batch, &token.hash)?;
        Ok(self.removal(token, batch))
    }

    /// Works on notes, the youngest first, for a number of pages. What is left stays noted.
    pub(super) async fn clear(&self, mut open: Vec<Hash>, mut pages: usize) -> Result<(), Error> {
        let mut ended = Batch::new();
        while pages > 0
            && let Some(top) = open.pop()
        {
            match self.load(&top).await? {
                Some((token, _)) if token.released => {
                    pages -= 1;
                    if self.release(&token, &mut pages).await? {
                        open.push(top);
                    }
                    continue;
                }
                // Its last use was taken, and then nobody came to remove it.
                Some((token, _)) if token.spent => {
                    self.condemn(&top).await?;
                }
                _ => {}
            }
            if self.clear_cubbyhole(&top, &mut pages).await? {
                open.push(top);
                continue;
            }
            let page = self.view.list(&children(&top), "", PAGE).await?;
            if page.names.is_empty() {
                ended = ended.delete(format!("{REVOKING}{}", top.0));
                if ended.deletes.len() == PAGE {
                    self.view.commit(std::mem::take(&mut ended).quiet()).await?;
                    pages = pages.saturating_sub(1);
                }
                continue;
            }
            pages = pages.saturating_sub(1);
            let (mut batch, gone) = self.orphans(&top, page.names).await?;
            if !page.more {
                // All of them: since its own record went, it can have got no more.
                batch = batch.delete(format!("{REVOKING}{}", top.0));
            }
            match self.view.commit(batch.quiet()).await {
                Ok(_) if page.more => open.push(top),
                Ok(_) => {}
                // One of them was changed in between: the page is looked at anew.
                Err(error) if error.is_conflict() => {
                    open.push(top);
                    continue;
                }
                Err(error) => return Err(error),
            }
            gone.iter().for_each(|hash| self.forget(hash));
            open.extend(gone);
        }
        if !ended.is_empty() {
            self.view.commit(ended.quiet()).await?;
        }
        Ok(())
    }

    /// The end of a page of children of a token that is gone.
    async fn orphans(&self, top: &Hash, names: Vec<String>) -> Result<(Batch, Vec<Hash>), Error> {
        let mut batch = Batch::new();
        let mut gone = Vec::new();
        for name in names {
            let child = Hash::of(&name);
            match self.load(&child).await? {
                Some((token, revision))
                    if token.parent.as_ref() == Some(top) && !token.released =>
                {
                    batch = batch.unchanged(format!("{ID}{}", child.0), revision);
                    batch = self.condemned(&token, batch)?;
                    gone.push(child);
                }
                // It is gone, has left this tree, or has a note of its own, by which its children
                // are set free before it goes: only its place here is left.
                _ => batch = batch.delete(format!("{}{}", children(top), child.0)),
            }
        }
        Ok((batch, gone))
    }

    /// Sets a page of a token's children free, and removes it with the last of them. True when
    /// there is more to do.
    async fn release(&self, parent: &Token, pages: &mut usize) -> Result<bool, Error> {
        let folder = children(&parent.hash);
        let page = self.view.list(&folder, "", PAGE).await?;
        let mut batch = Batch::new();
        for name in page.names {
            batch = batch.delete(format!("{folder}{name}"));
            self.update(&Hash::of(&name), |child| {
                let mine = child.parent.as_ref() == Some(&parent.hash);
                if mine {
                    child.parent = None;
                }
                Ok(mine)
            })
            .await?;
        }
        let more = page.more || self.clear_cubbyhole(&parent.hash, pages).await?;
        if !more {
            batch = batch.delete(format!("{REVOKING}{}", parent.hash.0));
            batch = self.removal(parent, batch);
        }
        if !batch.is_empty() {
            self.view.commit(batch).await?;
        }
        if !more {
            self.forget(&parent.hash);
        }
        Ok(more)
    }

    /// Adds to a batch what removes one token: its record and its place in each index.
    pub(super) fn removal(&self, token: &Token, batch: Batch) -> Batch {
        let hash = &token.hash.0;
        let mut batch = batch
            .delete(format!("{ID}{hash}"))
            .delete(format!("{ACCESSOR}{}", self.hash(&token.accessor).0));
        if let Some(parent) = &token.parent {
            batch = batch.delete(format!("{PARENT}{}/{hash}", parent.0));
        }
        if let Some(key) = token.expiry_key() {
            batch = batch.delete(format!("{EXPIRE}{key}"));
        }
        if let Some(key) = token.lease_key() {
            batch = batch.delete(key);
        }
        batch
    }
}

fn children(parent: &Hash) -> String {
    format!("{PARENT}{}/", parent.0)
}
