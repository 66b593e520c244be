//! Why a set of policies permits a request or does not: for people, not for the check itself.

use super::{
    acl::{Acl, Place, Ruling},
    capability::Operation,
    rule::Permissions,
};

/// A rule of a compiled set: what is said of one path by all policies together.
pub struct Said<'a> {
    /// The path as it stands in the policies, without a slash at its start.
    pub path: String,
    /// What they permit together.
    pub permissions: &'a Permissions,
    /// Where it is said, in the order of the policies.
    pub sources: Vec<Origin<'a>>,
}

/// One rule of one policy.
pub struct Origin<'a> {
    /// The policy's name.
    pub policy: &'a str,
    /// Line of its text, from 1.
    pub line: u32,
    /// The words of what this rule alone permits.
    pub capabilities: Vec<&'static str>,
}

impl Acl {
    /// The rule that decides about an operation on a path.
    pub fn deciding(&self, path: &str, operation: Operation) -> Option<Said<'_>> {
        let (place, ruling) = self.ruling(path, operation)?;
        Some(self.said(place, ruling))
    }

    /// The rules that are about the path too, but less specific, so that they count for nothing.
    pub fn overruled(&self, path: &str, operation: Operation) -> Vec<Said<'_>> {
        let deciding = self.ruling(path, operation).map(|(place, _)| place.text());
        self.wildcards_about(path, operation)
            .into_iter()
            .map(|(pattern, ruling)| self.said(Place::Wildcard(pattern), ruling))
            .filter(|said| Some(&said.path) != deciding.as_ref())
            .collect()
    }

    fn said<'a>(&'a self, place: Place<'_>, ruling: &'a Ruling) -> Said<'a> {
        let sources = ruling.sources.iter();
        Said {
            path: place.text(),
            permissions: &ruling.permissions,
            sources: sources
                .map(|source| Origin {
                    policy: self.policy(source.policy),
                    line: source.line,
                    capabilities: source.capabilities.words(),
                })
                .collect(),
        }
    }
}

impl Place<'_> {
    fn text(self) -> String {
        match self {
            Self::Exact(path) => path.to_owned(),
            Self::Wildcard(pattern) => pattern.text(),
        }
    }
}
