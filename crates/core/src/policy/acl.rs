//! The compiled set of a token's policies, and the check of a request against it.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use keyfold_api::Seconds;

use super::{
    Policy,
    capability::{Capability, Operation},
    params::ParamSource,
    rule::{Pattern, Permissions},
    wildcards::Wildcards,
};

/// What a set of policies permits. Immutable; made once for each set and shared.
pub struct Acl {
    root: bool,
    exact: HashMap<String, Permissions>,
    wildcards: Wildcards,
    /// The text up to the first wildcard of each rule that grants anything.
    stems: Vec<String>,
}

/// A request may go on, under these conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The deciding rule gives `sudo`.
    pub sudo: bool,
    /// A list may have no more entries in one answer than this.
    pub pagination_limit: Option<u32>,
    /// The response has to be wrapped, for at least this long.
    pub min_wrapping_ttl: Option<Seconds>,
    /// The response has to be wrapped, for at most this long.
    pub max_wrapping_ttl: Option<Seconds>,
}

/// The token's policies do not permit the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// No rule, one that denies, or one without the capability.
    #[error("permission denied")]
    Capability,
    /// The rule refuses the parameters.
    #[error("permission denied")]
    Parameters,
}

impl Acl {
    /// Compiles. The policy named `root` among them permits everything.
    pub fn new(policies: &[Arc<Policy>]) -> Self {
        let mut exact = HashMap::new();
        let mut wildcards = HashMap::new();
        for rule in policies.iter().flat_map(|policy| &policy.rules) {
            match &rule.pattern {
                Pattern::Exact(path) => merge(exact.entry(path.clone()), &rule.permissions),
                Pattern::Templated => {}
                pattern => merge(wildcards.entry(pattern.clone()), &rule.permissions),
            }
        }
        let root = policies.iter().any(|policy| policy.name == "root");
        let granting =
            |permissions: &Permissions| !permissions.capabilities.words().contains(&"deny");
        let exact_stems = exact
            .iter()
            .filter(|(_, p)| granting(p))
            .map(|(path, _)| Pattern::Exact(path.clone()).stem());
        let wildcard_stems = wildcards
            .iter()
            .filter(|(_, p)| granting(p))
            .map(|(pattern, _)| pattern.stem());
        Self {
            root,
            stems: exact_stems.chain(wildcard_stems).collect(),
            exact,
            wildcards: Wildcards::new(wildcards),
        }
    }

    /// Everything is permitted.
    pub fn is_root(&self) -> bool {
        self.root
    }

    /// Checks a request. `path` is below `/v1/`; for LIST and SCAN the slash at its end does not
    /// matter. `params` is asked only when the deciding rule constrains parameters.
    pub fn check(
        &self,
        path: &str,
        operation: Operation,
        params: &dyn ParamSource,
    ) -> Result<Grant, Denial> {
        if self.root {
            return Ok(Grant {
                sudo: true,
                ..Grant::default()
            });
        }
        let path = path.trim_start_matches('/');
        let rule = if operation.lists() && !path.is_empty() {
            self.list_rule(&with_slash(path))
        } else {
            self.rule(path)
        };
        let rule = rule.ok_or(Denial::Capability)?;
        if !rule.capabilities.contains(operation.needs()) {
            return Err(Denial::Capability);
        }
        if !rule.permits_params(operation, params) {
            return Err(Denial::Parameters);
        }
        Ok(Grant {
            sudo: rule.capabilities.contains(Capability::Sudo),
            pagination_limit: rule.pagination_limit.filter(|_| operation.lists()),
            min_wrapping_ttl: rule.min_wrapping_ttl,
            max_wrapping_ttl: rule.max_wrapping_ttl,
        })
    }

    /// The words for what may be done to a path, sorted: `["root"]` for everything, `["deny"]`
    /// for nothing. The path is taken as it is: without a slash at its end it is not a folder.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.root {
            return vec!["root"];
        }
        let path = path.trim_start_matches('/');
        let rule = if path.ends_with('/') {
            self.list_rule(path)
        } else {
            self.rule(path)
        };
        rule.map(|rule| rule.capabilities)
            .unwrap_or_default()
            .words()
    }

    /// Some rule grants something that may lie below `folder` (which ends in a slash): whether a
    /// mount is shown to the caller. A pattern with `+` counts from its text before the `+`.
    pub fn reaches_below(&self, folder: &str) -> bool {
        self.root
            || self
                .stems
                .iter()
                .any(|s| s.starts_with(folder) || folder.starts_with(s.as_str()))
    }

    /// The deciding rule for a path in one spelling.
    fn rule(&self, path: &str) -> Option<&Permissions> {
        self.exact
            .get(path)
            .or_else(|| self.wildcards.permissions(self.wildcards.best(path)?))
    }

    /// The deciding rule for what is below `folder`, which ends in a slash: over both spellings.
    fn list_rule(&self, folder: &str) -> Option<&Permissions> {
        let bare = folder.strip_suffix('/').unwrap_or(folder);
        self.exact
            .get(folder)
            .or_else(|| self.exact.get(bare))
            .or_else(|| {
                let best = self.wildcards.best(folder).max(self.wildcards.best(bare));
                self.wildcards.permissions(best?)
            })
    }
}

impl Grant {
    /// Whether the response may be wrapped for `requested`, or be unwrapped when that is `None`.
    pub fn permits_wrapping(&self, requested: Option<Seconds>) -> bool {
        match requested {
            None => self.min_wrapping_ttl.is_none() && self.max_wrapping_ttl.is_none(),
            Some(ttl) => {
                self.min_wrapping_ttl.is_none_or(|min| ttl >= min)
                    && self.max_wrapping_ttl.is_none_or(|max| ttl <= max)
            }
        }
    }
}

impl Permissions {
    fn permits_params(&self, operation: Operation, source: &dyn ParamSource) -> bool {
        match operation {
            Operation::Read | Operation::Create | Operation::Update | Operation::Patch => {
                self.params.is_empty()
                    || source
                        .params()
                        .is_some_and(|params| self.params.permit(&params))
            }
            Operation::List | Operation::Scan => self.pagination_limit.is_none_or(|limit| {
                source
                    .params()
                    .is_some_and(|params| self.params.permit_page(limit, &params))
            }),
            Operation::Delete => true,
        }
    }
}

fn merge<K>(entry: Entry<'_, K, Permissions>, permissions: &Permissions) {
    match entry {
        Entry::Occupied(mut known) => known.get_mut().merge(permissions),
        Entry::Vacant(vacant) => {
            vacant.insert(permissions.clone());
        }
    }
}

fn with_slash(path: &str) -> Cow<'_, str> {
    if path.ends_with('/') {
        Cow::Borrowed(path)
    } else {
        Cow::Owned(format!("{path}/"))
    }
}
