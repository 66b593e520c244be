//! One rule of a policy: a path and what it permits.

use keyfold_api::Seconds;

use super::{
    capability::{Capabilities, Capability},
    params::Params,
};

/// A path of a policy, without the slash at its start.
pub(super) struct Rule {
    pub(super) pattern: Pattern,
    pub(super) permissions: Permissions,
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
    /// Has `{{…}}` to be filled in: matches nothing.
    Templated,
}

/// What a path permits.
#[derive(Clone, Default)]
pub(super) struct Permissions {
    pub(super) capabilities: Capabilities,
    pub(super) params: Params,
    pub(super) min_wrapping_ttl: Option<Seconds>,
    pub(super) max_wrapping_ttl: Option<Seconds>,
    pub(super) pagination_limit: Option<u32>,
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
            Self::Templated => "\0".to_owned(),
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
    }
}

fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
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
