//! Clearing what points at nothing. A token goes with its place in each index, so there is
//! something to do only in a store that was damaged, or written by another version.

use std::sync::atomic::Ordering;

use super::record::Hash;
use super::revoke;
use super::store::{ACCESSOR, ID, PAGE, PARENT, REVOKING, Tokens};
use crate::error::Error;
use crate::ports::storage::Batch;
use crate::reply::Reply;

impl Tokens {
    /// Asks for it: the next sweep does it, and the answer says so.
    pub(crate) fn ask_tidy(&self) -> Reply {
        let text = if self.tidy_asked.swap(true, Ordering::AcqRel) {
            "tidying is under way already"
        } else {
            "tidying goes on in the background; what it meets stands in the server's log"
        };
        Reply::none().with_status(202).warn(text)
    }

    /// Does it where it was asked for.
    pub async fn tidy_if_asked(&self) -> Result<(), Error> {
        if !self.tidy_asked.load(Ordering::Acquire) {
            return Ok(());
        }
        let done = self.tidy().await;
        self.tidy_asked.store(false, Ordering::Release);
        let removed = done?;
        tracing::info!(removed, "tidied the indexes of tokens");
        Ok(())
    }

    async fn tidy(&self) -> Result<usize, Error> {
        let leases = self.tidy_leases().await?;
        Ok(leases + self.tidy_accessors().await? + self.tidy_parents().await?)
    }

    async fn tidy_accessors(&self) -> Result<usize, Error> {
        let mut removed = 0;
        let mut after = String::new();
        loop {
            let page = self.view.list(ACCESSOR, &after, PAGE).await?;
            let mut batch = Batch::new();
            for name in &page.names {
                let key = format!("{ACCESSOR}{name}");
                let Some((hash, _)) = self.view.read::<Hash>(&key).await? else {
                    continue;
                };
                if !self.is_kept(ID, &hash).await? {
                    batch = batch.delete(key);
                    removed += 1;
                }
            }
            if !batch.is_empty() {
                self.view.commit(batch).await?;
            }
            match page.names.last() {
                Some(last) if page.more => after.clone_from(last),
                _ => return Ok(removed),
            }
        }
    }

    /// Children whose parent is gone without a note: they are dead, and noted now.
    async fn tidy_parents(&self) -> Result<usize, Error> {
        let mut removed = 0;
        let mut after = String::new();
        loop {
            let page = self.view.list(PARENT, &after, PAGE).await?;
            for name in &page.names {
                let hash = Hash::of(name.trim_end_matches('/'));
                if self.is_kept(ID, &hash).await? {
                    removed += self.tidy_children(&hash).await?;
                    continue;
                }
                if self.is_kept(REVOKING, &hash).await? {
                    continue;
                }
                let batch = Batch::new().absent(format!("{ID}{}", hash.0));
                match self.view.commit(revoke::noted(batch, &hash)?).await {
                    Ok(_) => removed += 1,
                    // A token of that name was made in between.
                    Err(error) if error.is_conflict() => {}
                    Err(error) => return Err(error),
                }
            }
            match page.names.last() {
                Some(last) if page.more => after.clone_from(last),
                _ => return Ok(removed),
            }
        }
    }

    /// Places below a parent whose child is gone.
    async fn tidy_children(&self, parent: &Hash) -> Result<usize, Error> {
        let folder = format!("{PARENT}{}/", parent.0);
        let mut removed = 0;
        let mut after = String::new();
        loop {
            let page = self.view.list(&folder, &after, PAGE).await?;
            let mut batch = Batch::new();
            for name in &page.names {
                if !self.is_kept(ID, &Hash::of(name)).await? {
                    // A token of that name may be made in between.
                    batch = batch.absent(format!("{ID}{name}"));
                    batch = batch.delete(format!("{folder}{name}"));
                    removed += 1;
                }
            }
            if !batch.is_empty() {
                match self.view.commit(batch).await {
                    // The next tidying sees it.
                    Err(error) if error.is_conflict() => {}
                    other => _ = other?,
                }
            }
            match page.names.last() {
                Some(last) if page.more => after.clone_from(last),
                _ => return Ok(removed),
            }
        }
    }

    async fn is_kept(&self, folder: &str, hash: &Hash) -> Result<bool, Error> {
        let key = format!("{folder}{}", hash.0);
        Ok(self.view.get(&key).await?.is_some())
    }
}
