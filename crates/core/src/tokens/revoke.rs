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
                    token.parent = None;
                    Ok(true)
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
        crate::barrier::retry(|| async {
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
        })
        .await
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
                let below = format!("{PARENT}{}/", child.0);
                if self.view.list(&below, "", 1).await?.names.is_empty()
                    && self.condemned(&child).await?
                {
                    batch = self.removal(&child, batch).await?;
                    batch = batch.delete(format!("{folder}{}", child.0));
                    gone.push(child);
                } else {
                    deeper = Some(child);
                    break;
                }
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
                    if let Some(parent) = path.last() {
                        let key = format!("{PARENT}{}/{}", parent.0, top.0);
                        self.view.commit(Batch::new().delete(key)).await?;
                    }
                }
                None => {}
            }
        }
        Ok(())
    }

    /// A child may go with its siblings once it can get no children of its own.
    async fn condemned(&self, hash: &Hash) -> Result<bool, Error> {
        Ok(self.load(hash).await?.is_none_or(|(token, _)| token.spent))
    }

    /// Removes one token, and the note about its tree.
    async fn remove(&self, hash: &Hash) -> Result<(), Error> {
        let batch = self.removal(hash, Batch::new()).await?;
        self.view
            .commit(batch.delete(format!("{REVOKING}{}", hash.0)))
            .await?;
        self.forget(hash);
        Ok(())
    }

    /// Adds to a batch what removes one token.
    async fn removal(&self, hash: &Hash, batch: Batch) -> Result<Batch, Error> {
        let Some((token, _)) = self.load(hash).await? else {
            return Ok(batch);
        };
        let mut batch = batch
            .delete(format!("{ID}{}", hash.0))
            .delete(format!("{ACCESSOR}{}", self.hash(&token.accessor).0));
        if let Some(key) = token.expiry_key() {
            batch = batch.delete(format!("{EXPIRE}{key}"));
        }
        Ok(batch)
    }
}
