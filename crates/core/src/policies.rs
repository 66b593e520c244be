//! The stored policies, and the compiled sets of them that requests are checked against.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::barrier::{View, json};
use crate::clock::{Clock, Time};
use crate::error::Error;
use crate::policy::{Acl, Policy, builtin};
use crate::ports::storage::Batch;

const FOLDER: &str = "policy/";
/// Compiled sets that are kept; tokens with the same policies share one.
const CACHED: usize = 10_000;

/// A policy as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct Record {
    /// As it was written, byte for byte.
    pub text: String,
    /// When.
    pub modified: Time,
    /// How often.
    pub version: u64,
}

/// All policies of a vault.
pub struct Policies {
    view: View,
    clock: Arc<dyn Clock>,
    /// Compiled sets, each with the generation it was read in.
    acls: Cache<Vec<String>, (u64, Arc<Acl>)>,
    generation: AtomicU64,
}

impl Policies {
    /// The batch that a new vault needs.
    pub fn first(batch: Batch, now: Time) -> Result<Batch, Error> {
        let record = Record {
            text: builtin::DEFAULT.to_owned(),
            modified: now,
            version: 1,
        };
        Ok(batch.put(format!("{FOLDER}default"), json(&record)?))
    }

    /// Over core's own view.
    pub fn new(view: View, clock: Arc<dyn Clock>) -> Self {
        Self {
            view,
            clock,
            acls: Cache::new(CACHED),
            generation: AtomicU64::new(1),
        }
    }

    /// Grows with every change of a policy: a compiled set is good as long as it stands still.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// The compiled set of these policies. Names that are not there grant nothing.
    pub async fn acl(&self, names: &[String]) -> Result<Arc<Acl>, Error> {
        // Before anything is read: a set that was overtaken by a change is never taken for a new one.
        let generation = self.generation();
        if let Some((compiled, acl)) = self.acls.get(names)
            && compiled == generation
        {
            return Ok(acl);
        }
        let mut policies = Vec::with_capacity(names.len());
        for name in names {
            if let Some(policy) = self.parsed(name).await? {
                policies.push(Arc::new(policy));
            }
        }
        let acl = Arc::new(Acl::new(&policies));
        self.acls.insert(names.to_vec(), (generation, acl.clone()));
        Ok(acl)
    }

    /// A policy as it is stored; `root` is built in and has no text.
    pub async fn read(&self, name: &str) -> Result<Option<Record>, Error> {
        if name == "root" {
            return Ok(Some(Record {
                text: String::new(),
                modified: Time(0),
                version: 0,
            }));
        }
        Ok(self
            .view
            .read(&format!("{FOLDER}{}", encode(name)))
            .await?
            .map(|(r, _)| r))
    }

    /// There is such a policy.
    pub async fn exists(&self, name: &str) -> Result<bool, Error> {
        Ok(self.read(name).await?.is_some())
    }

    /// Writes a policy; remarks on its text.
    pub async fn write(&self, name: &str, text: &str) -> Result<Vec<String>, Error> {
        if name == "root" || is_unassignable(name) {
            return Err(Error::bad(format!("cannot update \"{name}\" policy")));
        }
        let (_, warnings) = Policy::parse(name, text)
            .map_err(|error| Error::bad(format!("failed to parse policy: {error}")))?;
        let key = format!("{FOLDER}{}", encode(name));
        let change = || async {
            let old = self.view.read::<Record>(&key).await?;
            let version = old.as_ref().map_or(0, |(r, _)| r.version) + 1;
            let record = Record {
                text: text.to_owned(),
                modified: self.clock.now(),
                version,
            };
            let batch = Batch::new().put(key.clone(), json(&record)?);
            let batch = match old {
                Some((_, revision)) => batch.unchanged(key.clone(), revision),
                None => batch.absent(key.clone()),
            };
            self.view.commit(batch).await
        };
        self.view.change(&key, change).await?;
        self.changed();
        Ok(warnings.iter().map(ToString::to_string).collect())
    }

    /// Removes a policy; one that is not there is no error.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        match name {
            "default" => return Err(Error::bad("cannot delete default policy")),
            "root" => return Err(Error::bad("cannot delete \"root\" policy")),
            _ if is_unassignable(name) => {
                return Err(Error::bad(format!("cannot delete \"{name}\" policy")));
            }
            _ => {}
        }
        self.view
            .commit(Batch::new().delete(format!("{FOLDER}{}", encode(name))))
            .await?;
        self.changed();
        Ok(())
    }

    /// All names, `root` last.
    pub async fn list(&self) -> Result<Vec<String>, Error> {
        let stored = self.view.list(FOLDER, "", 0).await?.names;
        Ok(stored
            .iter()
            .map(|n| decode(n))
            .chain(["root".to_owned()])
            .collect())
    }

    /// A key of the system view changed.
    pub fn invalidate(&self, key: &str) {
        if key.starts_with(FOLDER) {
            self.changed();
        }
    }

    /// Anything may have changed.
    pub fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.acls.clear();
    }

    async fn parsed(&self, name: &str) -> Result<Option<Policy>, Error> {
        if name == "root" {
            return Ok(Some(builtin::root()));
        }
        let Some(record) = self.read(name).await? else {
            return Ok(None);
        };
        let (policy, _) = Policy::parse(name, &record.text)
            .map_err(|_| Error::corrupt(format!("sys/{FOLDER}{name}")))?;
        Ok(Some(policy))
    }
}

/// What a login gets of its role's policies: with `default` where that is not turned off, in order.
pub fn granted(names: &[String], default: bool) -> Vec<String> {
    let mut granted = names.to_vec();
    if default {
        granted.push("default".to_owned());
    } else {
        granted.retain(|name| name != "default");
    }
    granted.sort();
    granted.dedup();
    granted
}

/// Names as they are stored and compared: trimmed, lower case, sorted, each once.
pub fn names(raw: Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = raw
        .iter()
        .map(|n| fold(n))
        .filter(|n| !n.is_empty())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// One name, trimmed and in lower case.
pub fn fold(name: &str) -> String {
    name.trim().to_lowercase()
}

/// Policies that the server uses itself and nobody may be given.
pub fn is_unassignable(name: &str) -> bool {
    name == "response-wrapping"
}

/// A policy's name may hold slashes; its storage key is one segment, so that a listing has all.
fn encode(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

fn decode(segment: &str) -> String {
    segment.replace("%2F", "/").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_once() {
        let raw = ["b", "A", " a ", "a", "", "ROOT "]
            .map(str::to_owned)
            .to_vec();
        assert_eq!(names(raw), ["a", "b", "root"]);
    }

    #[test]
    fn slashes_round_trip() {
        for name in ["a/b", "%2F", "a%25/b", "plain"] {
            assert_eq!(decode(&encode(name)), name);
            assert!(!encode(name).contains('/'));
        }
    }
}
