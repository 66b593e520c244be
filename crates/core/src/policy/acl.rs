//! The compiled set of a token's policies, and the check of a request against it.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use keyfold_api::Seconds;

use super::{
    Policy,
    capability::{Capabilities, Capability, Operation},
    keys_filter::KeysFilter,
    params::ParamSource,
    rule::{Pattern, Permissions, Rule, lower},
    template::{Subject, Template},
    wildcards::Wildcards,
};
use crate::clock::Time;

/// What a set of policies permits. Immutable; made once for each set and shared.
pub struct Acl {
    root: bool,
    exact: HashMap<String, Ruling>,
    wildcards: Wildcards,
    /// The text up to the first wildcard of each rule that grants anything.
    stems: Vec<String>,
    /// The names of its policies, which a [`Source`] points into.
    policies: Vec<String>,
    expires: Option<Time>,
    templated: bool,
    /// Some rule has a capital in its path.
    capitals: bool,
}

/// All rules for one path, as one.
pub(super) struct Ruling {
    pub(super) permissions: Permissions,
    pub(super) sources: Vec<Source>,
}

/// Where one of them stands, and what it says.
pub(super) struct Source {
    /// Place in [`Acl::policies`].
    pub(super) policy: usize,
    pub(super) line: u32,
    pub(super) capabilities: Capabilities,
}

/// A request may go on, under these conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The deciding rule gives `sudo`.
    pub sudo: bool,
    /// A list may have no more entries in one answer than this.
    pub pagination_limit: Option<u32>,
    /// The response has to be wrapped, for at least this long.
    pub min_wrapping_ttl: Option<Seconds>,
    /// The response has to be wrapped, for at most this long.
    pub max_wrapping_ttl: Option<Seconds>,
    /// A list may name the keys that pass these.
    pub keys_filters: Vec<Arc<KeysFilter>>,
}

/// The token's policies do not permit the request. Why is for those who may ask for it; whoever was
/// refused learns no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// No rule is about the path.
    #[error("permission denied")]
    NoRule,
    /// The rule denies.
    #[error("permission denied")]
    Deny,
    /// The rule is without the capability.
    #[error("permission denied")]
    Capability,
    /// The rule refuses the parameters.
    #[error("permission denied")]
    Parameters,
}

impl Acl {
    /// Compiles what holds at a moment, see [`Acl::expires`]. The policy named `root` permits
    /// everything.
    pub fn new(policies: &[Arc<Policy>], now: Time) -> Self {
        Self::filled(policies, now, None)
    }

    /// The same for somebody, whose templates are filled.
    pub fn filled(policies: &[Arc<Policy>], now: Time, whose: Option<&dyn Subject>) -> Self {
        let (mut exact, mut wildcards) = (HashMap::new(), HashMap::new());
        let mut templated = false;
        let mut expires: Option<Time> = None;
        for (index, policy) in policies.iter().enumerate() {
            for rule in &policy.rules {
                let end = earlier(policy.expires, rule.expires);
                if end.is_some_and(|end| end <= now) {
                    continue;
                }
                expires = earlier(expires, end);
                let pattern = match &rule.pattern {
                    Pattern::Templated(template) => {
                        templated = true;
                        whose.and_then(|whose| filled(template, whose, policy, rule))
                    }
                    pattern => Some(pattern.clone()),
                };
                match pattern {
                    Some(Pattern::Exact(path)) => merge(exact.entry(path), index, rule),
                    Some(pattern) => merge(wildcards.entry(pattern), index, rule),
                    None => {}
                }
            }
        }
        Self {
            root: policies.iter().any(|policy| policy.name == "root"),
            policies: policies.iter().map(|policy| policy.name.clone()).collect(),
            expires,
            templated,
            ..Self::of(exact, wildcards)
        }
    }

    /// From rules alone.
    pub(super) fn of_rules(rules: HashMap<Pattern, Ruling>) -> Self {
        let (mut exact, mut wildcards) = (HashMap::new(), HashMap::new());
        for (pattern, ruling) in rules {
            match pattern {
                Pattern::Exact(path) => exact.insert(path, ruling),
                pattern => wildcards.insert(pattern, ruling),
            };
        }
        Self::of(exact, wildcards)
    }

    fn of(exact: HashMap<String, Ruling>, wildcards: HashMap<Pattern, Ruling>) -> Self {
        let grants = |ruling: &Ruling| {
            let capabilities = ruling.permissions.capabilities;
            !capabilities.is_empty() && !capabilities.contains(Capability::Deny)
        };
        let exact_stems = exact
            .iter()
            .filter(|(_, ruling)| grants(ruling))
            .map(|(path, _): (&String, _)| Pattern::Exact(path.clone()).stem());
        let wildcard_stems = wildcards
            .iter()
            .filter(|(_, ruling)| grants(ruling))
            .map(|(pattern, _): (&Pattern, _)| pattern.stem());
        let capitals = exact.keys().any(|path| has_capitals(path))
            || wildcards.keys().any(|pattern| has_capitals(pattern.path()));
        Self {
            root: false,
            stems: exact_stems.chain(wildcard_stems).collect(),
            exact,
            wildcards: Wildcards::new(wildcards),
            policies: Vec::new(),
            expires: None,
            templated: false,
            capitals,
        }
    }

    /// Some rule depends on who it is for.
    pub fn is_templated(&self) -> bool {
        self.templated
    }

    /// Everything is permitted.
    pub fn is_root(&self) -> bool {
        self.root
    }

    /// Some rule has a capital in its path, so that [`Acl::check_caseless`] may say something else
    /// than [`Acl::check`] of a path in lower case.
    pub fn has_capitals(&self) -> bool {
        self.capitals
    }

    /// When the next of its rules ends: from then on another set has to be made.
    pub fn expires(&self) -> Option<Time> {
        self.expires
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
        let (_, ruling) = self.ruling(path, operation).ok_or(Denial::NoRule)?;
        let rule = &ruling.permissions;
        if !rule.capabilities.contains(operation.needs()) {
            return Err(match rule.capabilities.contains(Capability::Deny) {
                true => Denial::Deny,
                false => Denial::Capability,
            });
        }
        if !rule.permits_params(operation, params) {
            return Err(Denial::Parameters);
        }
        let mut grant = Grant {
            sudo: rule.capabilities.contains(Capability::Sudo),
            min_wrapping_ttl: rule.min_wrapping_ttl,
            max_wrapping_ttl: rule.max_wrapping_ttl,
            ..Grant::default()
        };
        if operation.lists() {
            grant.pagination_limit = rule.pagination_limit;
            grant.keys_filters.clone_from(&rule.keys_filters);
        }
        Ok(grant)
    }

    /// Whether a rule denies a path that says more of it than in which mount it lies: the words
    /// that forbid all but what is named (`sys/*`) say nothing of another name of what is named.
    pub fn denies_by_name(&self, path: &str, operation: Operation) -> bool {
        let mount = path.find('/').map_or(0, |at| at + 1);
        let Some((place, ruling)) = self.ruling(path, operation) else {
            return false;
        };
        let denies = ruling.permissions.capabilities.contains(Capability::Deny);
        denies
            && match place {
                Place::Exact(_) => true,
                Place::Wildcard(pattern) => pattern.path().len() > mount,
            }
    }

    /// The words for what may be done to a path, sorted: `["root"]` for everything, `["deny"]`
    /// for nothing. The path is taken as it is: without a slash at its end it is not a folder.
    pub fn capabilities(&self, path: &str) -> Vec<&'static str> {
        if self.root {
            return vec!["root"];
        }
        // A path with a slash at its end can only be listed.
        let operation = match path.ends_with('/') {
            true => Operation::List,
            false => Operation::Read,
        };
        let ruling = self.ruling(path, operation);
        ruling
            .map(|(_, ruling)| ruling.permissions.capabilities)
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

    /// The rules for paths without wildcards, in no order.
    pub fn exact_rules(&self) -> impl Iterator<Item = (&str, &Permissions)> {
        let rules = self.exact.iter();
        rules.map(|(path, ruling)| (path.as_str(), &ruling.permissions))
    }

    /// The rules for paths that end in `*` and have no `+`, without the `*`.
    pub fn prefix_rules(&self) -> impl Iterator<Item = (&str, &Permissions)> {
        self.wildcards
            .rules()
            .filter_map(|(pattern, ruling)| match pattern {
                Pattern::Prefix(stem) => Some((stem.as_str(), &ruling.permissions)),
                _ => None,
            })
    }

    /// All rules, in no order.
    pub(super) fn rules(&self) -> impl Iterator<Item = (Pattern, &Ruling)> {
        let exact = self.exact.iter();
        let exact = exact.map(|(path, ruling)| (Pattern::Exact(path.clone()), ruling));
        let wildcards = self.wildcards.rules();
        exact.chain(wildcards.map(|(pattern, ruling)| (pattern.clone(), ruling)))
    }

    /// The rule that decides.
    pub(super) fn ruling(&self, path: &str, operation: Operation) -> Option<(Place<'_>, &Ruling)> {
        let path = path.trim_start_matches('/');
        let (spelling, bare) = spellings(path, operation);
        let exact = |path: &str| self.exact.get_key_value(path);
        if let Some((path, ruling)) = exact(&spelling).or_else(|| exact(bare?)) {
            return Some((Place::Exact(path), ruling));
        }
        let best = self.wildcards.best(&spelling);
        let best = best.max(bare.and_then(|bare| self.wildcards.best(bare)));
        let (pattern, ruling) = self.wildcards.rule(best?)?;
        Some((Place::Wildcard(pattern), ruling))
    }

    /// The wildcard rules that are about a path, the most specific first. Tries all of them: for
    /// explanations.
    pub(super) fn wildcards_about(
        &self,
        path: &str,
        operation: Operation,
    ) -> Vec<(&Pattern, &Ruling)> {
        let path = path.trim_start_matches('/');
        let (spelling, bare) = spellings(path, operation);
        let about = |pattern: &Pattern| {
            pattern.matches(&spelling) || bare.is_some_and(|bare| pattern.matches(bare))
        };
        let rules = self.wildcards.rules().rev();
        rules.filter(|(pattern, _)| about(pattern)).collect()
    }

    /// The names of the policies in it.
    pub fn policies(&self) -> &[String] {
        &self.policies
    }

    /// The name of a policy by its place.
    pub(super) fn policy(&self, index: usize) -> &str {
        self.policies.get(index).map_or("", String::as_str)
    }
}

/// What a deciding rule is for.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// A path without wildcards.
    Exact(&'a str),
    /// A pattern.
    Wildcard(&'a Pattern),
}

impl Grant {
    /// Takes over what another rule demands of the answer.
    pub(crate) fn narrow(&mut self, other: &Self) {
        self.min_wrapping_ttl = self.min_wrapping_ttl.max(other.min_wrapping_ttl);
        self.max_wrapping_ttl = lower(self.max_wrapping_ttl, other.max_wrapping_ttl);
        self.pagination_limit = lower(self.pagination_limit, other.pagination_limit);
    }

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

/// The spellings that a path is looked up in. LIST and SCAN ask for what is below a path, so that
/// the slash at its end means nothing: with it first, then without.
pub(super) fn spellings(path: &str, operation: Operation) -> (Cow<'_, str>, Option<&str>) {
    if !operation.lists() || path.is_empty() {
        return (Cow::Borrowed(path), None);
    }
    match path.strip_suffix('/') {
        Some(bare) => (Cow::Borrowed(path), Some(bare)),
        None => (Cow::Owned(format!("{path}/")), Some(path)),
    }
}

/// What a rule with templates is about for somebody. A denial is not lost because of a value that
/// might reach too far.
fn filled(
    template: &Template,
    whose: &dyn Subject,
    policy: &Policy,
    rule: &Rule,
) -> Option<Pattern> {
    match rule.permissions.capabilities.contains(Capability::Deny) {
        true => template.fill_denial(whose),
        false => template.fill(whose, policy.templates),
    }
}

fn has_capitals(path: &str) -> bool {
    path.chars()
        .any(|letter| !letter.to_lowercase().eq([letter]))
}

fn merge<K>(entry: Entry<'_, K, Ruling>, policy: usize, rule: &Rule) {
    let source = Source {
        policy,
        line: rule.line,
        capabilities: rule.permissions.capabilities,
    };
    match entry {
        Entry::Occupied(mut known) => {
            let ruling = known.get_mut();
            ruling.permissions.merge(&rule.permissions);
            ruling.sources.push(source);
        }
        Entry::Vacant(vacant) => {
            vacant.insert(Ruling {
                permissions: rule.permissions.clone(),
                sources: vec![source],
            });
        }
    }
}

fn earlier(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
