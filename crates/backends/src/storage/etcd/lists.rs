//! Listing: keys without values, and no subtree further than to the first page of it.

use std::ops::Bound;

use keyfold_core::ports::storage::{Page, StorageError};

use super::super::{names, rules};
use super::Shared;
use super::wire::{Op, Range};

/// Keys that are asked for at a time.
const CHUNK: usize = 1024;
/// The same where names may be subtrees, of which one key is enough: doubled while they are not.
const FIRST: usize = 64;
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
        let mut from = from(names::start(prefix, after));
        let mut chunk = FIRST;
        loop {
            let (keys, more) = self.names(prefix, &from, chunk).await?;
            let mut is_skipped = false;
            for key in &keys {
                if *key < from {
                    // Within a subtree that has its name already.
                    is_skipped = true;
                    continue;
                }
                if limit != 0 && page.names.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                let name = key.get(prefix.len()..).unwrap_or_default();
                from = match name.split_once('/') {
                    None => {
                        page.names.push(name.to_owned());
                        format!("{key}{LEAST}")
                    }
                    Some((folder, _)) => {
                        page.names.push(format!("{folder}/"));
                        after_folder(prefix, folder)
                    }
                };
            }
            if !more {
                return Ok(page);
            }
            chunk = match is_skipped {
                true => FIRST,
                false => CHUNK.min(chunk * 2),
            };
        }
    }

    /// Keys below a prefix from one on, and whether there are more.
    async fn names(
        &self,
        prefix: &str,
        from: &str,
        limit: usize,
    ) -> Result<(Vec<String>, bool), StorageError> {
        let (_, done) = self
            .under_root(|root| {
                let (_, range_end) = self.keys.below(&root.generation, prefix);
                vec![Op::range(Range {
                    key: self.keys.entry(&root.generation, from),
                    range_end,
                    limit: i64::try_from(limit).unwrap_or(i64::MAX),
                    keys_only: true,
                    ..Range::default()
                })]
            })
            .await?;
        let found = done.found(0);
        let keys = found.iter().filter_map(|kv| self.keys.entry_of(&kv.key));
        Ok((keys.map(str::to_owned).collect(), found.len() == limit))
    }
}

fn from(bound: Bound<String>) -> String {
    match bound {
        Bound::Excluded(key) => format!("{key}{LEAST}"),
        Bound::Included(key) => key,
        Bound::Unbounded => String::new(),
    }
}

fn after_folder(prefix: &str, folder: &str) -> String {
    from(names::beyond(prefix, folder))
}
