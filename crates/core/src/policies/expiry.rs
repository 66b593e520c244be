//! Policies that end. From its end on a policy is not there for anybody; a sweep removes what is
//! left of it, in the order of an index:
//!
//! ```text
//!   sys/policy-end/<seconds>-<name>
//! ```

use std::collections::BTreeSet;
use std::time::Duration;

use super::names::{decode, encode};
use super::{FOLDER, Policies, Record};
use crate::clock::Time;
use crate::error::Error;
use crate::ports::storage::Batch;

const INDEX: &str = "policy-end/";
/// Index entries that are read at once.
const PAGE: usize = 256;

/// The key of a policy's place in the order of ends. Seconds are rounded up, so that nothing is
/// removed before its end, and have leading zeros, so that byte order is time order.
pub(super) fn place(name: &str, record: &Record) -> Option<String> {
    let end = record.expires?.plus(Duration::from_nanos(999_999_999));
    Some(format!("{INDEX}{:012}-{}", end.secs(), encode(name)))
}

impl Policies {
    /// Removes what has ended; how many went.
    pub async fn sweep(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut removed = 0;
        while let Some(due) = self.due(now).await? {
            for (entry, name) in &due {
                removed += usize::from(self.end(entry, name, now).await?);
            }
        }
        Ok(removed)
    }

    /// Names of policies that have ended and were not swept yet.
    pub(super) async fn ended(&self) -> Result<BTreeSet<String>, Error> {
        let now = self.clock.now();
        let (mut ended, mut after) = (BTreeSet::new(), String::new());
        loop {
            let page = self.view.list(INDEX, &after, PAGE).await?;
            for entry in &page.names {
                // Times in the index are rounded up: what ends within this second is there too.
                let soon = |(secs, _): &(u64, _)| *secs <= now.secs().saturating_add(1);
                let Some((_, name)) = parse(entry).filter(soon) else {
                    return Ok(ended);
                };
                let record = self.stored(&name).await?;
                if record.is_some_and(|(record, _)| !record.lives(now)) {
                    ended.insert(name);
                }
            }
            match page.names.last() {
                Some(last) if page.more => after.clone_from(last),
                _ => return Ok(ended),
            }
        }
    }

    /// A page of entries whose time has come; `None` when there is none left.
    async fn due(&self, now: Time) -> Result<Option<Vec<(String, String)>>, Error> {
        let page = self.view.list(INDEX, "", PAGE).await?;
        let mut due = Vec::new();
        for entry in page.names {
            match parse(&entry) {
                Some((secs, name)) if secs <= now.secs() => due.push((entry, name)),
                Some(_) => break,
                None => return Err(Error::corrupt(format!("sys/{INDEX}{entry}"))),
            }
        }
        Ok(Some(due).filter(|due| !due.is_empty()))
    }

    /// Removes the policy of an entry. False when only the entry was left: it was written anew.
    async fn end(&self, entry: &str, name: &str, now: Time) -> Result<bool, Error> {
        let key = format!("{FOLDER}{}", encode(name));
        let attempt = || async {
            let batch = Batch::new().delete(format!("{INDEX}{entry}"));
            let ended = match self.stored(name).await? {
                Some((record, revision)) if !record.lives(now) => {
                    let batch = batch.unchanged(key.clone(), revision).delete(key.clone());
                    self.view.commit(batch).await?;
                    true
                }
                _ => {
                    self.view.commit(batch).await?;
                    false
                }
            };
            Ok(ended)
        };
        let ended = self
            .view
            .change(&format!("{FOLDER}{name}"), attempt)
            .await?;
        if ended {
            self.changed(name);
        }
        Ok(ended)
    }
}

fn parse(entry: &str) -> Option<(u64, String)> {
    let (secs, name) = entry.split_once('-')?;
    Some((secs.parse().ok()?, decode(name)))
}
