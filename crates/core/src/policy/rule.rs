//! One rule of a policy: a path and what it permits.

use std::sync::Arc;

use keyfold_api::Seconds;

use super::{
    capability::{Capabilities, Capability},
    keys_filter::KeysFilter,
    params::Params,
    template::Template,
};
use crate::clock::Time;

/// Segments of a path with `+` at most: matching recurses once for each.
const SEGMENTS: usize = 256;

/// A path of a policy, without the slash at its start.
pub(super) struct Rule {
    pub(super) pattern: Pattern,
    pub(super) permissions: Permissions,
    /// Where it stands in the text, from 1.
    pub(super) line: u32,
    /// From then on it is as if it were not there.
    pub(super) expires: Option<Time>,
}

/// How a path matches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pattern {
    /// No wildcard: equal paths.
    Exact(String),
    /// Ends in `*`, which is cut off here.
    Prefix(String),
    /// Has `+` segments; whether it ended in `*`, which is cut off here.
    Segments { path: String, prefix: bool },
    /// Has `{{…}}` to be filled in: matches nothing as it is.
    Templated(Template),
}

/// What a path permits.
#[derive(Clone, Default)]
pub struct Permissions {
    /// What may be done.
    pub capabilities: Capabilities,
    /// With which parameters.
    pub params: Params,
    /// The answer has to be wrapped for at least this long.
    pub min_wrapping_ttl: Option<Seconds>,
    /// The answer has to be wrapped for at most this long.
    pub max_wrapping_ttl: Option<Seconds>,
    /// Entries that a list may have in one answer.
    pub pagination_limit: Option<u32>,
    /// Which keys a list may name: those that pass all of them.
    pub keys_filters: Vec<Arc<KeysFilter>>,
}

impl Pattern {
    /// Reads a path of a policy that has no leading slash and no template in it.
    pub(super) fn new(path: &str) -> Self {
        let (stem, prefix) = match path.strip_suffix('*') {
            Some(stem) => (stem, true),
            None => (path, false),
        };
        match (stem.split('/').any(|segment| segment == "+"), prefix) {
            (true, prefix) => Self::Segments {
                path: stem.to_owned(),
                prefix,
            },
            (false, true) => Self::Prefix(stem.to_owned()),
            (false, false) => Self::Exact(stem.to_owned()),
        }
    }
}

impl Pattern {
    /// The same, for a path that may be no pattern at all: one with `+*` or with too many segments.
    pub(super) fn checked(path: &str) -> Option<Self> {
        let pattern = Self::new(path);
        let deep = matches!(pattern, Self::Segments { .. }) && path.split('/').count() > SEGMENTS;
        (!path.contains("+*") && !deep).then_some(pattern)
    }

    /// Its path, without the `*` at the end; nothing where it is to be filled in.
    pub(super) fn path(&self) -> &str {
        match self {
            Self::Exact(path) | Self::Prefix(path) | Self::Segments { path, .. } => path,
            Self::Templated(_) => "",
        }
    }

    /// As it is written in a policy.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Exact(path) => path.clone(),
            Self::Prefix(stem) => format!("{stem}*"),
            Self::Segments { path, prefix } if *prefix => format!("{path}*"),
            Self::Segments { path, .. } => path.clone(),
            Self::Templated(template) => template.text().to_owned(),
        }
    }

    /// Whether it is about a path: one pattern tried alone, where a compiled set finds the best of
    /// many.
    pub(super) fn matches(&self, path: &str) -> bool {
        let (pattern, prefix) = match self {
            Self::Exact(exact) => return exact == path,
            Self::Prefix(stem) => return path.starts_with(stem.as_str()),
            Self::Templated(_) => return false,
            Self::Segments { path, prefix } => (path.as_str(), *prefix),
        };
        let (mut pattern, mut path) = (pattern.split('/').peekable(), path.split('/'));
        while let Some(want) = pattern.next() {
            let Some(have) = path.next() else {
                return false;
            };
            let last = pattern.peek().is_none();
            if prefix && last && want != "+" {
                return have.starts_with(want);
            }
            if want != "+" && want != have {
                return false;
            }
        }
        path.next().is_none()
    }

    /// The text before the first wildcard. An exact path ends in no slash that it does not have,
    /// so it is followed by a NUL, which no path holds: it is a prefix of nothing.
    pub(super) fn stem(&self) -> String {
        match self {
            Self::Exact(path) => format!("{path}\0"),
            Self::Prefix(stem) => stem.clone(),
            Self::Segments { path, .. } => path
                .split('/')
                .take_while(|s| *s != "+")
                .map(|s| format!("{s}/"))
                .collect(),
            Self::Templated(_) => "\0".to_owned(),
        }
    }
}

impl Permissions {
    /// Adds what another rule for the same path permits.
    pub(super) fn merge(&mut self, other: &Self) {
        self.capabilities = self.capabilities.union(other.capabilities);
        if self.capabilities.contains(Capability::Deny) {
            *self = Self {
                capabilities: self.capabilities,
                ..Self::default()
            };
            return;
        }
        self.params.merge(&other.params);
        self.min_wrapping_ttl = lower(self.min_wrapping_ttl, other.min_wrapping_ttl);
        self.max_wrapping_ttl = lower(self.max_wrapping_ttl, other.max_wrapping_ttl);
        self.pagination_limit = lower(self.pagination_limit, other.pagination_limit);
        for filter in &other.keys_filters {
            if !self.keys_filters.contains(filter) {
                self.keys_filters.push(filter.clone());
            }
        }
    }
}

pub(super) fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let segments = |path: &str, prefix| Pattern::Segments {
            path: path.to_owned(),
            prefix,
        };
        let table = [
            ("a/b", Pattern::Exact("a/b".to_owned())),
            ("a/b*", Pattern::Prefix("a/b".to_owned())),
            ("*", Pattern::Prefix(String::new())),
            ("a/*/b", Pattern::Exact("a/*/b".to_owned())),
            ("a/+b", Pattern::Exact("a/+b".to_owned())),
            ("+", segments("+", false)),
            ("a/+/b*", segments("a/+/b", true)),
            ("+/*", segments("+/", true)),
        ];
        for (path, pattern) in table {
            assert_eq!(Pattern::new(path), pattern, "{path}");
        }
    }

    #[test]
    fn limits_merge_to_the_lower_one() {
        let permissions = |min, max, limit| Permissions {
            min_wrapping_ttl: min,
            max_wrapping_ttl: max,
            pagination_limit: limit,
            ..Permissions::default()
        };
        let mut merged = permissions(Some(Seconds(9)), None, Some(5));
        merged.merge(&permissions(Some(Seconds(3)), Some(Seconds(7)), Some(8)));
        assert_eq!(merged.min_wrapping_ttl, Some(Seconds(3)));
        assert_eq!(merged.max_wrapping_ttl, Some(Seconds(7)));
        assert_eq!(merged.pagination_limit, Some(5));
    }
}
