//! Policies: what a token may do, as text, as rules, and as one compiled set.
//!
//! ```text
//! text ── Policy::parse ──▶ Policy (rules) ─┐
//! text ── Policy::parse ──▶ Policy (rules) ─┴─ Acl::new ──▶ Acl ── check(path, operation) ──▶ Grant
//! ```
//!
//! The language is that of Vault and OpenBao, HCL or JSON: `path "…" { capabilities = […] }`,
//! where a path may end in `*` (any rest) and may have `+` as a segment (any one segment). Nothing
//! is allowed that no rule grants.
//!
//! **Which rule decides.** One rule, the most specific:
//!
//! 1. A path without wildcards that is equal to the request's.
//! 2. Of all others that match, by the first difference: the later first wildcard; not ending in
//!    `*`; fewer `+`; longer; greater in byte order.
//!
//! LIST and SCAN ask for a path in two spellings, with and without the slash at its end: an equal
//! path with the slash comes first, one without second, and of the wildcards that match either
//! spelling the most specific decides. A denial can't be passed by by a broader grant on the other
//! spelling.
//!
//! **Rules for one path**, in one policy or in several, are one rule: capabilities add up, except
//! that `deny` leaves nothing; parameter lists add up; of two limits the lower holds; a key of a
//! list has to pass all filters. A rule whose `expiration` has passed is as if it were not there.
//!
//! Paths with `{{identity…}}` in them are filled for the entity that a token acts for, see
//! [`template`]: a set with such rules is compiled for each entity. What can't be filled is a rule
//! for nothing.

mod acl;
mod attributes;
pub mod builtin;
mod capability;
mod caseless;
mod explain;
mod keys_filter;
mod params;
mod parse;
mod reach;
mod remarks;
mod rule;
mod template;
#[cfg(test)]
mod tests;
mod wildcards;

use std::fmt;

use rule::Rule;
use serde::{Deserialize, Serialize};

pub use acl::{Acl, Denial, Grant};
pub use capability::{Capabilities, Capability, Operation};
pub use explain::{Origin, Said};
pub use keys_filter::{KeysFilter, shows};
pub(crate) use params::glob;
pub use params::{JsonParams, NoParams, ParamSource, Params, Table};
pub use reach::Reach;
pub use rule::Permissions;
pub use template::{OfAlias, OfGroup, Selector, Subject};

use crate::clock::Time;

/// A policy that was read.
pub struct Policy {
    /// Its name, in lower case. `root` grants everything, whatever its text says.
    pub name: String,
    /// Its text, byte for byte.
    pub text: String,
    /// From then on it permits nothing.
    pub expires: Option<Time>,
    /// What the values of its identity templates may hold.
    pub templates: TemplateValues,
    rules: Vec<Rule>,
}

/// Characters that may stand in what fills an identity template. Without leave, a value with them
/// fills nothing: an entity called `*` would reach what is everybody's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateValues {
    /// `*` and `+`.
    #[serde(default)]
    pub wildcards: bool,
    /// `/`
    #[serde(default)]
    pub slashes: bool,
}

impl Policy {
    /// Reads a policy from HCL or JSON. The warnings are about parts that are taken but will not
    /// do what they seem to.
    pub fn parse(name: &str, text: &str) -> Result<(Self, Vec<Warning>), PolicyError> {
        let (rules, warnings) = parse::parse(name, text)?;
        Ok((
            Self {
                name: name.to_owned(),
                text: text.to_owned(),
                expires: None,
                templates: TemplateValues::default(),
                rules,
            },
            warnings,
        ))
    }

    /// Remarks on rules that have ended already.
    pub fn ended(&self, now: Time) -> impl Iterator<Item = Warning> {
        let ended = move |rule: &&Rule| rule.expires.is_some_and(|end| end <= now);
        self.rules.iter().filter(ended).map(|rule| Warning {
            line: rule.line,
            message: "the expiration of a rule has passed: it permits nothing".to_owned(),
        })
    }
}

/// The policy's author made a mistake. The message names paths and words of the policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} on line {line}")]
pub struct PolicyError {
    /// Line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub message: String,
}

/// Something in a policy that is allowed and useless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Line, from 1.
    pub line: u32,
    /// What it is.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on line {}", self.message, self.line)
    }
}
