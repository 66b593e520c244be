//! The stored policies, and the compiled sets of them that requests are checked against.

mod change;
mod expiry;
mod names;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use crate::barrier::{View, json};
use crate::clock::{Clock, Time};
use crate::error::Error;
use crate::policy::{Acl, Policy, Subject, TemplateValues, builtin};
use crate::ports::storage::{Batch, Revision};

pub use self::change::{Change, End};
pub use self::names::{check_assignable, fold, granted, is_unassignable, names};
pub(crate) use self::names::{decode, encode, listed};

const FOLDER: &str = "policy/";
/// Compiled sets that are kept; tokens with the same policies share one.
const CACHED: usize = 10_000;

/// Policies that are kept parsed; sets share them.
const PARSED: usize = 10_000;

/// A policy as it is stored.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Record {
    /// As it was written, byte for byte.
    pub text: String,
    /// When.
    pub modified: Time,
    /// How often.
    pub version: u64,
    /// Whoever writes it has to say which version that follows.
    #[serde(default)]
    pub cas_required: bool,
    /// From then on it is not there.
    #[serde(default)]
    pub expires: Option<Time>,
    /// What the values of its identity templates may hold.
    #[serde(default)]
    pub templates: TemplateValues,
}

impl Record {
    /// It has not ended.
    pub fn lives(&self, now: Time) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

/// All policies of a vault.
pub struct Policies {
    view: View,
    clock: Arc<dyn Clock>,
    /// Compiled sets, each with the generation it was read in.
    acls: Cache<Vec<String>, (u64, Arc<Acl>)>,
    /// Parsed policies by name.
    parsed: Cache<String, Arc<Policy>>,
    generation: AtomicU64,
}

impl Policies {
    /// The batch that a new vault needs.
    pub fn first(batch: Batch, now: Time) -> Result<Batch, Error> {
        let record = Record {
            text: builtin::DEFAULT.to_owned(),
            modified: now,
            version: 1,
            ..Record::default()
        };
        Ok(batch.put(format!("{FOLDER}default"), json(&record)?))
    }

    /// Over core's own view.
    pub fn new(view: View, clock: Arc<dyn Clock>) -> Self {
        Self {
            view,
            clock,
            acls: Cache::new(CACHED),
            parsed: Cache::new(PARSED),
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
            && acl.expires().is_none_or(|end| self.clock.now() < end)
        {
            return Ok(acl);
        }
        let acl = Arc::new(Acl::new(
            &Box::pin(self.parsed(names)).await?,
            self.clock.now(),
        ));
        self.acls.insert(names.to_vec(), (generation, acl.clone()));
        Ok(acl)
    }

    /// The compiled set of these policies, filled for somebody. It is made anew each time.
    pub async fn filled(&self, names: &[String], whose: &dyn Subject) -> Result<Arc<Acl>, Error> {
        let policies = self.parsed(names).await?;
        Ok(Arc::new(Acl::filled(
            &policies,
            self.clock.now(),
            Some(whose),
        )))
    }

    /// A set that was compiled in a generation still holds.
    pub fn holds(&self, generation: u64, acl: &Acl) -> bool {
        generation == self.generation() && acl.expires().is_none_or(|end| self.clock.now() < end)
    }

    /// The policies of these names that are there.
    pub async fn parsed(&self, names: &[String]) -> Result<Vec<Arc<Policy>>, Error> {
        let mut policies = Vec::with_capacity(names.len());
        for name in names {
            policies.extend(self.policy(name).await?);
        }
        Ok(policies)
    }

    /// A policy as it is stored, or built in; `root` has no text.
    pub async fn read(&self, name: &str) -> Result<Option<Record>, Error> {
        if name == "root" {
            return Ok(Some(Record::default()));
        }
        if name == builtin::WRAPPING {
            return Ok(Some(Record {
                text: builtin::WRAPPING_TEXT.to_owned(),
                ..Record::default()
            }));
        }
        let now = self.clock.now();
        let stored = self.stored(name).await?.map(|(record, _)| record);
        Ok(stored.filter(|record| record.lives(now)))
    }

    /// There is such a policy.
    pub async fn exists(&self, name: &str) -> Result<bool, Error> {
        Ok(self.read(name).await?.is_some())
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
        let key = format!("{FOLDER}{}", encode(name));
        let attempt = || async {
            let Some((record, revision)) = self.stored(name).await? else {
                return Ok(());
            };
            let mut batch = Batch::new()
                .unchanged(key.clone(), revision)
                .delete(key.clone());
            batch.deletes.extend(expiry::place(name, &record));
            self.view.commit(batch).await.map(|_| ())
        };
        self.view
            .change(&format!("{FOLDER}{name}"), attempt)
            .await?;
        self.changed(name);
        Ok(())
    }

    /// All names, `root` last.
    pub async fn list(&self) -> Result<Vec<String>, Error> {
        let ended = self.ended().await?;
        let stored = self.view.list(FOLDER, "", 0).await?.names;
        let mut names: Vec<String> = stored.iter().map(|name| decode(name)).collect();
        names.retain(|name| !ended.contains(name));
        names.sort_by(|one, other| listed(one, other));
        names.push("root".to_owned());
        Ok(names)
    }

    /// Names after one of them, in the order of the store; whether there are more. For those who go
    /// through all of them bit by bit; `root` is not among them.
    pub async fn page(&self, after: &str, limit: usize) -> Result<(Vec<String>, bool), Error> {
        let page = self.view.list(FOLDER, &encode(after), limit).await?;
        Ok((
            page.names.iter().map(|name| decode(name)).collect(),
            page.more,
        ))
    }

    /// A key of the system view changed.
    pub fn invalidate(&self, key: &str) {
        if let Some(name) = key.strip_prefix(FOLDER) {
            self.changed(&decode(name));
        }
    }

    /// Anything may have changed.
    pub fn invalidate_all(&self) {
        self.parsed.clear();
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.acls.clear();
    }

    /// A policy was changed: the commit is done, so that nobody reads the old one again.
    fn changed(&self, name: &str) {
        self.parsed.remove(name);
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.acls.clear();
    }

    async fn policy(&self, name: &str) -> Result<Option<Arc<Policy>>, Error> {
        if name == "root" {
            return Ok(Some(Arc::new(builtin::root())));
        }
        if name == builtin::WRAPPING {
            let (policy, _) = Policy::parse(name, builtin::WRAPPING_TEXT)
                .map_err(|_| Error::Bug("a built-in policy does not parse"))?;
            return Ok(Some(Arc::new(policy)));
        }
        // One caller reads the store, the others wait for it.
        let place = match self.parsed.get_value_or_guard_async(name).await {
            Ok(policy) => return Ok(Some(policy)),
            Err(place) => place,
        };
        let Some((record, _)) = self.stored(name).await? else {
            return Ok(None);
        };
        let (mut policy, _) = Policy::parse(name, &record.text)
            .map_err(|_| Error::corrupt(format!("sys/{FOLDER}{name}")))?;
        policy.expires = record.expires;
        policy.templates = record.templates;
        let policy = Arc::new(policy);
        // A guard that was overtaken by a change refuses the stale value; it still answers.
        let _ = place.insert(policy.clone());
        Ok(Some(policy))
    }

    /// The record at a name, whether it has ended or not.
    async fn stored(&self, name: &str) -> Result<Option<(Record, Revision)>, Error> {
        self.view.read(&format!("{FOLDER}{}", encode(name))).await
    }
}
