//! Rate limits: how many requests one client may send to a path in a time.
//!
//! ```text
//!   sys/quota/rate-limit/<name>    a rule
//!   sys/quota/config               which paths have none, what is told
//! ```
//!
//! The rule of the longest path counts, and no other. A server that has no rule asks nothing more
//! than that.

mod ask;
mod rule;
mod window;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

pub use self::rule::Rule;
use self::window::Windows;
use crate::barrier::{View, json};
use crate::clock::Time;
use crate::error::Error;
use crate::kept::Kept;
use crate::ports::storage::Batch;

const FOLDER: &str = "quota/rate-limit/";
const CONFIG: &str = "quota/config";
/// Rules that a vault has at most: they are all in memory.
const MAX_RULES: usize = 1000;
/// What is not limited as long as nobody says otherwise: ways to find out about a server and to
/// open it.
const EXEMPT: [&str; 7] = [
    "sys/generate-recovery-token/attempt",
    "sys/generate-recovery-token/update",
    "sys/generate-root/attempt",
    "sys/generate-root/update",
    "sys/health",
    "sys/seal-status",
    "sys/unseal",
];

/// What holds for all rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Refused requests stand in the audit log.
    pub audit: bool,
    /// Answers say how much is left.
    pub headers: bool,
    /// Paths without a limit; one that ends in `*` stands for all that begin so.
    pub exempt: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            audit: false,
            headers: false,
            exempt: EXEMPT.map(str::to_owned).to_vec(),
        }
    }
}

impl Config {
    fn exempts(&self, path: &str) -> bool {
        self.exempt.iter().any(|rule| match rule.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == rule,
        })
    }
}

/// What is left to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Requests in an interval.
    pub limit: u64,
    /// Requests that are left in this one.
    pub remaining: u64,
    /// Until it begins anew.
    pub reset: Duration,
    /// When to try again, where nothing is left.
    pub retry: Option<Duration>,
}

/// What a request is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The client's allowance.
    pub allowance: Allowance,
    /// It is to stand in the answer.
    pub told: bool,
    /// A refusal is to stand in the audit log.
    pub audited: bool,
}

/// The rules of an open vault, and what each client has used.
pub struct Quotas {
    view: View,
    config: Kept<Config>,
    rules: ArcSwap<Held>,
    /// Grows when a rule changes: what was read before is not kept after.
    changes: Mutex<u64>,
}

/// All rules by path, without the slash at its end.
type Rules = HashMap<String, Arc<Limit>>;

/// The rules as they were read last.
struct Held {
    /// Some may have changed since.
    stale: bool,
    rules: Arc<Rules>,
}

/// A rule at work.
struct Limit {
    rule: Rule,
    windows: Windows,
}

impl Quotas {
    pub(crate) fn new(view: View) -> Self {
        Self {
            config: Kept::new(view.clone(), CONFIG),
            view,
            rules: ArcSwap::from_pointee(Held {
                stale: true,
                rules: Arc::default(),
            }),
            changes: Mutex::new(0),
        }
    }

    /// It is known that there is no rule.
    pub fn are_none(&self) -> bool {
        let held = self.rules.load();
        !held.stale && held.rules.is_empty()
    }

    /// Takes one request of a client to a path; nothing where no rule is for it.
    pub async fn take(
        &self,
        path: &str,
        client: Option<IpAddr>,
        now: Time,
    ) -> Result<Option<Verdict>, Error> {
        let rules = self.rules().await?;
        if rules.is_empty() {
            return Ok(None);
        }
        let config = self.config.current().await?;
        if config.exempts(path) {
            return Ok(None);
        }
        let Some(limit) = longest(&rules, path) else {
            return Ok(None);
        };
        Ok(Some(Verdict {
            allowance: limit.windows.take(&limit.rule, client, now),
            told: config.headers,
            audited: config.audit,
        }))
    }

    /// What holds for all rules.
    pub async fn config(&self) -> Result<Arc<Config>, Error> {
        self.config.current().await
    }

    /// Changes it.
    pub async fn configure(&self, config: &Config) -> Result<(), Error> {
        self.config.put(config).await
    }

    /// The names of all rules, in order.
    pub async fn names(&self) -> Result<Vec<String>, Error> {
        Ok(self.view.list(FOLDER, "", 0).await?.names)
    }

    /// A rule.
    pub async fn read(&self, name: &str) -> Result<Option<Rule>, Error> {
        let stored = self.view.read(&format!("{FOLDER}{name}")).await?;
        Ok(stored.map(|(rule, _)| rule))
    }

    /// Stores a rule. From here on it counts anew.
    pub async fn write(&self, rule: &Rule) -> Result<(), Error> {
        // Rules exclude each other by path, so they take turns.
        let change = || async {
            let names = self.names().await?;
            if names.len() >= MAX_RULES && !names.contains(&rule.name) {
                return Err(Error::bad(format!(
                    "there are {MAX_RULES} rate limits already"
                )));
            }
            for name in names.iter().filter(|name| **name != rule.name) {
                if let Some(other) = self.read(name).await?
                    && other.place() == rule.place()
                {
                    return Err(Error::bad(format!(
                        "quota rule with similar properties exists under the name \"{name}\""
                    )));
                }
            }
            let batch = Batch::new().put(format!("{FOLDER}{}", rule.name), json(rule)?);
            self.view.commit(batch).await
        };
        let done = self.view.change(FOLDER, change).await;
        self.forget();
        done.map(|_| ())
    }

    /// Removes a rule; one that is not there is no error.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let batch = Batch::new().delete(format!("{FOLDER}{name}"));
        let done = self.view.commit(batch).await;
        self.forget();
        done.map(|_| ())
    }

    /// A key of the system view changed.
    pub fn invalidate(&self, key: &str) {
        self.config.invalidate(key);
        if key.starts_with(FOLDER) {
            self.forget();
        }
    }

    /// Anything may have changed.
    pub fn invalidate_all(&self) {
        self.config.forget();
        self.forget();
    }
}

impl Quotas {
    async fn rules(&self) -> Result<Arc<Rules>, Error> {
        let old = self.rules.load_full();
        if !old.stale {
            return Ok(old.rules.clone());
        }
        let before = *self.changes();
        let mut rules = Rules::new();
        for name in self.names().await? {
            let Some(rule) = self.read(&name).await? else {
                continue;
            };
            // A rule that is as it was goes on counting where it stood.
            let known = old.rules.get(rule.place());
            let limit = match known.filter(|known| known.rule == rule) {
                Some(known) => known.clone(),
                None => Arc::new(Limit {
                    rule: rule.clone(),
                    windows: Windows::default(),
                }),
            };
            rules.insert(rule.place().to_owned(), limit);
        }
        let rules = Arc::new(rules);
        let changes = self.changes();
        if *changes == before {
            self.rules.store(Arc::new(Held {
                stale: false,
                rules: rules.clone(),
            }));
        }
        Ok(rules)
    }

    fn forget(&self) {
        let mut changes = self.changes();
        *changes += 1;
        let rules = self.rules.load().rules.clone();
        self.rules.store(Arc::new(Held { stale: true, rules }));
    }

    fn changes(&self) -> std::sync::MutexGuard<'_, u64> {
        // A count is whole after every operation.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rule of the longest path that a path is or lies below.
fn longest<'a>(rules: &'a Rules, path: &str) -> Option<&'a Arc<Limit>> {
    let mut prefix = path.trim_end_matches('/');
    loop {
        if let Some(limit) = rules.get(prefix) {
            return Some(limit);
        }
        prefix = match prefix.rsplit_once('/') {
            Some((above, _)) => above,
            None if prefix.is_empty() => return None,
            None => "",
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(paths: &[&str]) -> Rules {
        let limit = |path: &&str| {
            let rule = Rule {
                name: (*path).to_owned(),
                path: (*path).to_owned(),
                rate: 1.0,
                interval: 1,
                block_interval: 0,
                inheritable: None,
            };
            let windows = Windows::default();
            (rule.place().to_owned(), Arc::new(Limit { rule, windows }))
        };
        paths.iter().map(limit).collect()
    }

    #[test]
    fn the_longest_path_of_whole_segments_counts() {
        let all = rules(&["", "kv/", "kv/a/b", "kv/all/*"]);
        let found = |path| longest(&all, path).map(|limit| limit.rule.name.clone());
        for (path, name) in [
            ("kv/a/b", "kv/a/b"),
            ("kv/a/b/c", "kv/a/b"),
            ("kv/a/bb", "kv/"),
            ("kv/", "kv/"),
            ("kv", "kv/"),
            ("kv/all/a", "kv/all/*"),
            ("kvx/a", ""),
            ("", ""),
        ] {
            assert_eq!(found(path).as_deref(), Some(name), "{path}");
        }
        assert!(longest(&rules(&["kv/"]), "other/x").is_none());
    }

    #[test]
    fn exempt_paths() {
        let config = Config {
            exempt: vec!["kv/a".to_owned(), "sys/*".to_owned()],
            ..Config::default()
        };
        for (path, exempt) in [("kv/a", true), ("kv/ab", false), ("sys/health", true)] {
            assert_eq!(config.exempts(path), exempt, "{path}");
        }
    }
}
