//! Listing: the database goes from name to name, so a subtree costs it one look.

use std::ops::Bound;

use keyfold_core::ports::storage::{Page, StorageError};
use tokio::time::timeout;

use super::super::{names, rules};
use super::Shared;
use super::failure::{ATTEMPT, Failure, Tries};

/// Names of one statement.
const CHUNK: usize = 4096;
/// What follows a key as the first that is not it: no key has a control character.
const LEAST: char = '\u{1}';

impl Shared {
    pub async fn list(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<Page, StorageError> {
        rules::check_prefix(prefix)?;
        let mut page = Page::default();
        if prefix.contains('\0') {
            // No key has one, and a statement takes none.
            return Ok(page);
        }
        let after = after.split('\0').next().unwrap_or_default();
        let mut tries = Tries::new();
        loop {
            let left = match limit {
                0 => CHUNK,
                _ => CHUNK.min(limit - page.names.len()),
            };
            let last = page.names.last().map_or(after, String::as_str);
            let attempt = timeout(ATTEMPT, self.names(prefix, last, left)).await;
            match attempt.unwrap_or_else(|_| Err(Failure::silence())) {
                Err(failure) => tries.again(failure).await?,
                Ok(chunk) => {
                    page.names.extend(chunk.names);
                    page.more = chunk.more;
                    if !page.more || page.names.len() == limit {
                        return Ok(page);
                    }
                }
            }
        }
    }

    async fn names(&self, prefix: &str, after: &str, most: usize) -> Result<Page, Failure> {
        let bound = match names::start(prefix, after) {
            Bound::Excluded(key) => format!("{key}{LEAST}"),
            Bound::Included(key) => key,
            Bound::Unbounded => String::new(),
        };
        let rows = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
        let lent = self.pool.lend(&self.server).await?;
        let rows = lent
            .link
            .query(&self.sql.names, &[&bound, &prefix, &rows])
            .await?;
        lent.give_back();
        let mut page = Page {
            names: Vec::with_capacity(rows.len().min(most)),
            more: rows.len() > most,
        };
        for row in rows.iter().take(most) {
            let key: &str = row.try_get(0)?;
            let name = key.get(prefix.len()..).unwrap_or_default();
            page.names.push(match name.split_once('/') {
                Some((folder, _)) => format!("{folder}/"),
                None => name.to_owned(),
            });
        }
        Ok(page)
    }
}
