//! Expired tokens go, in the order of their end. Unseal loads none of them; a sweep touches only
//! those whose time has come.

use std::time::Duration;

use super::record::{Hash, Token, parse_expiry_key};
use super::store::{EXPIRE, ID, PAGE, Tokens};
use crate::error::Error;
use crate::ports::storage::{Batch, Revision};

/// How often to look.
pub const EVERY: Duration = Duration::from_secs(1);
/// Pages of what hangs from expired tokens that one page of them clears.
const TREES: usize = 64;

/// What a page of the order of expiry turns out to be.
#[derive(Default)]
struct Due {
    /// Their time has come.
    tokens: Vec<(Token, Revision)>,
    /// Entries of tokens that were renewed or are gone since.
    stale: Vec<String>,
    /// A record that can't be read.
    damaged: Option<Error>,
    /// No entry lies ahead.
    all: bool,
}

impl Tokens {
    /// Removes what has expired; how many tokens went. A token and its tree are refused from its
    /// end on whether or not the sweep has come by.
    pub async fn sweep(&self) -> Result<usize, Error> {
        let mut removed = 0;
        let mut damaged = None;
        let mut after = String::new();
        loop {
            let page = self.view.list(EXPIRE, &after, PAGE).await?;
            let due = self.due(&page.names).await?;
            removed += due.tokens.len();
            self.end(due.tokens, due.stale).await?;
            // A damaged record fails alone: those after it still go.
            damaged = due.damaged.or(damaged);
            match page.names.last() {
                Some(last) if page.more && due.all => after.clone_from(last),
                _ => return damaged.map_or(Ok(removed), Err),
            }
        }
    }

    async fn due(&self, keys: &[String]) -> Result<Due, Error> {
        let now = self.clock.now();
        let mut due = Due {
            all: true,
            ..Due::default()
        };
        for key in keys {
            let Some((secs, hash)) = parse_expiry_key(key) else {
                due.damaged = Some(Error::corrupt(format!("sys/{EXPIRE}{key}")));
                continue;
            };
            if secs > now.secs() {
                due.all = false;
                break;
            }
            match self.load(&hash).await {
                // It goes when its children are free.
                Ok(Some((token, _))) if token.released => {}
                Ok(Some((token, at))) if token.expiry_key().as_deref() == Some(key) => {
                    due.tokens.push((token, at));
                }
                Ok(_) => due.stale.push(format!("{EXPIRE}{key}")),
                Err(error @ Error::Corrupt(_)) => due.damaged = Some(error),
                Err(error) => return Err(error),
            }
        }
        Ok(due)
    }

    /// Removes a page of tokens in one commit, then what hangs from them.
    async fn end(&self, tokens: Vec<(Token, Revision)>, stale: Vec<String>) -> Result<(), Error> {
        let mut batch = Batch {
            deletes: stale,
            ..Batch::new()
        };
        let mut gone: Vec<Hash> = Vec::new();
        for (token, revision) in tokens {
            batch = batch.unchanged(format!("{ID}{}", token.hash.0), revision);
            batch = self.condemned(&token, batch)?;
            gone.push(token.hash);
        }
        if batch.is_empty() {
            return Ok(());
        }
        match self.view.commit(batch).await {
            Ok(_) => {}
            // One of them was renewed or revoked in between: the next look sorts it out.
            Err(error) if error.is_conflict() => return Ok(()),
            Err(error) => return Err(error),
        }
        gone.iter().for_each(|hash| self.forget(hash));
        self.clear(gone, TREES).await
    }
}
