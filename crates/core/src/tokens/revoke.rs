//! Revocation: a token and all that descends from it.
//!
//! First one commit marks the token as spent and notes in `revoking/` that its tree has to go;
//! from then on it is dead and can get no more children. Then the tree goes, leaves first, in
//! batches of bounded size; last the token and the note. A crash in between is made good at the
//! next unseal.

use super::record::{Hash, Token};
use super::store::{ACCESSOR, EXPIRE, ID, PARENT, REVOKING, Tokens};
use crate::barrier::json;
use crate::error::Error;
use crate::ports::storage::Batch;

/// Children that one commit removes at most.
const BATCH: usize = 256;

impl Tokens {
    /// Revokes a token with its whole tree; one that is not there is no error. When this returns,
    /// none of them is alive.
    pub async fn revoke(&self, hash: &Hash) -> Result<(), Error> {
        if self.condemn(hash).await? {
            self.remove_tree(hash).await?;
        }
        Ok(())
    }

    /// Revokes a token; its children live on as orphans. False when there is no such token.
    pub async fn revoke_orphan(&self, hash: &Hash) -> Result<bool, Error> {
        if !self.condemn_alone(hash).await? {
            return Ok(false);
        }
        let folder = format!("{PARENT}{}/", hash.0);
        loop {
            let page = self.view.list(&folder, "", BATCH).await?;
            for child in &page.names {
                self.update(&Hash(child.clone()), |token| {
                    let mine = token.parent.as_ref() == Some(hash);
                    if mine {
                        token.parent = None;
                    }
                    Ok(mine)
                })
                .await?;
                self.view
                    .commit(Batch::new().delete(format!("{folder}{child}")))
                    .await?;
            }
            if !page.more {
                break;
            }
        }
        self.remove(hash).await?;
        Ok(true)
    }

    /// Ends what a crash interrupted.
    pub async fn finish_revocations(&self) -> Result<usize, Error> {
        let open = self.view.list(REVOKING, "", 0).await?.names;
        for name in &open {
            self.remove_tree(&Hash(name.clone())).await?;
        }
        Ok(open.len())
    }

    /// Kills the token and notes that its tree has to go. False when there is no such token.
    async fn condemn(&self, hash: &Hash) -> Result<bool, Error> {
        let change = || async {
            let Some((token, revision)) = self.load(hash).await? else {
                return Ok(false);
            };
            let key = format!("{ID}{}", hash.0);
            let dead = Token {
                spent: true,
                ..token
            };
            let batch = Batch::new()
                .unchanged(key.clone(), revision)
                .put(key, json(&dead)?)
                .put(format!("{REVOKING}{}", hash.0), Vec::new());
            self.view.commit(batch).await?;
            self.forget(hash);
            Ok(true)
        };
        self.view.change(hash.as_str(), change).await
    }

    /// Kills the token only.
    async fn condemn_alone(&self, hash: &Hash) -> Result<bool, Error> {
        let changed = self.update(hash, |token| {
            token.spent = true;
            Ok(true)
        });
        Ok(changed.await?.is_some())
    }

    async fn remove_tree(&self, root: &Hash) -> Result<(), Error> {
        // The way down to where we are; as long as the tree is deep, not as it is large.
        let mut path = vec![root.clone()];
        while let Some(top) = path.last().cloned() {
            let folder = format!("{PARENT}{}/", top.0);
            let page = self.view.list(&folder, "", BATCH).await?;
            let mut batch = Batch::new();
            let mut gone = Vec::new();
            let mut deeper = None;
            for name in page.names {
                let child = Hash(name);
                let place = format!("{folder}{}", child.0);
                match self.load(&child).await? {
                    // It has left this tree: only its place here is left.
                    Some((token, _)) if token.parent.as_ref() != Some(&top) => {
                        batch = batch.delete(place);
                    }
                    // Dead first, childless then: a dead one gets no more children.
                    Some((token, _)) if token.spent && self.is_childless(&child).await? => {
                        batch = self.removal(&token, batch);
                    }
                    None if self.is_childless(&child).await? => batch = batch.delete(place),
                    _ => {
                        deeper = Some(child);
                        break;
                    }
                }
                gone.push(child);
            }
            if !gone.is_empty() {
                self.view.commit(batch).await?;
                gone.iter().for_each(|hash| self.forget(hash));
            }
            match deeper {
                Some(child) => {
                    self.condemn_alone(&child).await?;
                    path.push(child);
                }
                None if gone.is_empty() => {
                    self.remove(&top).await?;
                    path.pop();
                }
                None => {}
            }
        }
        Ok(())
    }

    async fn is_childless(&self, hash: &Hash) -> Result<bool, Error> {
        let below = format!("{PARENT}{}/", hash.0);
        Ok(self.view.list(&below, "", 1).await?.names.is_empty())
    }

    /// Removes one token, and the note about its tree.
    async fn remove(&self, hash: &Hash) -> Result<(), Error> {
        let mut batch = Batch::new().delete(format!("{REVOKING}{}", hash.0));
        if let Some((token, _)) = self.load(hash).await? {
            batch = self.removal(&token, batch);
        }
        self.view.commit(batch).await?;
        self.forget(hash);
        Ok(())
    }

    /// Adds to a batch what removes one token: its record and its place in each index.
    fn removal(&self, token: &Token, batch: Batch) -> Batch {
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
        batch
    }
}
