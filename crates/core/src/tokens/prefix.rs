//! The end of all leases below a path.
//!
//! What is asked for is noted first, with the time: a crash loses nothing, and leases made later
//! live on. Then the order of leases is gone through page by page, each page ended in one commit.

use serde::{Deserialize, Serialize};

use super::lease::{below, named};
use super::record::{Hash, Token};
use super::store::{ID, PAGE, Tokens};
use crate::barrier::json;
use crate::clock::Time;
use crate::error::Error;
use crate::id;
use crate::ports::storage::{Batch, Page, Revision};

/// Below this, one note for each path whose leases have to end.
const NOTES: &str = "token/ending/";
/// Pages that are ended before the answer where nobody asked to wait for all of them.
const BEFORE_THE_ANSWER: usize = 8;

/// What was asked for.
#[derive(Serialize, Deserialize)]
struct Note {
    prefix: String,
    /// When: leases made since are not meant.
    at: Time,
}

/// What a page of the order of leases holds.
#[derive(Default)]
struct Found {
    tokens: Vec<(Token, Revision)>,
    /// Entries whose token is gone.
    dangling: Vec<(String, Hash)>,
}

impl Tokens {
    /// Ends the leases below a path, and the lease of just that id. Where `sync` is not asked for,
    /// a large number of them ends behind the answer.
    pub async fn revoke_below(&self, prefix: &str, sync: bool) -> Result<(), Error> {
        self.revoke_lease(prefix).await?;
        let note = Note {
            prefix: prefix.to_owned(),
            at: self.clock.now(),
        };
        let key = format!("{NOTES}{}", id::uuid());
        self.view
            .commit(Batch::new().put(key.clone(), json(&note)?))
            .await?;
        let pages = if sync { usize::MAX } else { BEFORE_THE_ANSWER };
        self.end_below(&key, &note, pages).await
    }

    /// Ends what is noted and was not all ended before the answer.
    pub async fn finish_prefixes(&self) -> Result<(), Error> {
        for name in self.view.list(NOTES, "", PAGE).await?.names {
            let key = format!("{NOTES}{name}");
            if let Some((note, _)) = self.view.read::<Note>(&key).await? {
                self.end_below(&key, &note, usize::MAX).await?;
            }
        }
        Ok(())
    }

    /// Removes the entries of leases whose token is gone; how many. No crash leaves any, but a
    /// store that was damaged may have some.
    pub(super) async fn tidy_leases(&self) -> Result<usize, Error> {
        let mut open = vec![(below(""), String::new())];
        let mut removed = 0;
        while let Some((folder, page)) = self.next_page(&mut open).await? {
            let found = self.found(&folder, &page.names, None).await?;
            removed += found.dangling.len();
            self.drop_dangling(found.dangling).await?;
        }
        Ok(removed)
    }

    async fn end_below(&self, key: &str, note: &Note, pages: usize) -> Result<(), Error> {
        let mut open = vec![(below(&note.prefix), String::new())];
        let mut done = 0;
        while let Some((folder, page)) = self.next_page(&mut open).await? {
            let end = || async {
                let found = self.found(&folder, &page.names, Some(note.at)).await?;
                self.drop_dangling(found.dangling).await?;
                self.end_all(found.tokens).await
            };
            let gone = self.view.change(key, end).await?;
            self.clear(gone, BEFORE_THE_ANSWER).await?;
            done += 1;
            if done == pages && !open.is_empty() {
                return Ok(());
            }
        }
        self.view.commit(Batch::new().delete(key)).await?;
        Ok(())
    }

    /// The next page of a walk through the order, which goes on with what lies deeper.
    async fn next_page(
        &self,
        open: &mut Vec<(String, String)>,
    ) -> Result<Option<(String, Page)>, Error> {
        let Some((folder, after)) = open.pop() else {
            return Ok(None);
        };
        let page = self.view.list(&folder, &after, PAGE).await?;
        if let Some(last) = page.names.last().filter(|_| page.more) {
            open.push((folder.clone(), last.clone()));
        }
        let deeper = page.names.iter().filter(|name| name.ends_with('/'));
        open.extend(deeper.map(|name| (format!("{folder}{name}"), String::new())));
        Ok(Some((folder, page)))
    }

    /// The tokens of a page; those that were made until a time where there is one.
    async fn found(
        &self,
        folder: &str,
        names: &[String],
        until: Option<Time>,
    ) -> Result<Found, Error> {
        let mut found = Found::default();
        for name in names {
            let Some(hash) = named(name) else { continue };
            match self.load(&hash).await {
                Ok(Some((token, at))) => {
                    // A released one goes by itself, when its children are free.
                    if !token.released && until.is_some_and(|until| token.created <= until) {
                        found.tokens.push((token, at));
                    }
                }
                Ok(None) => found.dangling.push((format!("{folder}{name}"), hash)),
                // Fails alone, and opens nothing as it is.
                Err(Error::Corrupt(record)) => tracing::warn!(%record, "a token is damaged"),
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn drop_dangling(&self, entries: Vec<(String, Hash)>) -> Result<(), Error> {
        if entries.is_empty() {
            return Ok(());
        }
        let batch = entries
            .into_iter()
            .fold(Batch::new(), |batch, (key, hash)| {
                // One of the same name may be made again in between.
                batch.absent(format!("{ID}{}", hash.0)).delete(key)
            });
        match self.view.commit(batch).await {
            // The next walk comes by.
            Err(error) if error.is_conflict() => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Removes tokens in one commit: as they are, or not at all.
    async fn end_all(&self, tokens: Vec<(Token, Revision)>) -> Result<Vec<Hash>, Error> {
        let mut batch = Batch::new();
        let mut gone = Vec::new();
        for (token, revision) in tokens {
            batch = batch.unchanged(format!("{ID}{}", token.hash.0), revision);
            batch = self.condemned(&token, batch)?;
            gone.push(token.hash);
        }
        if !batch.is_empty() {
            self.view.commit(batch).await?;
        }
        gone.iter().for_each(|hash| self.forget(hash));
        Ok(gone)
    }
}
