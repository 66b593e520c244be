//! A token's record.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::pairs::Pairs;
use super::params::admits;
use crate::clock::Time;

/// The name of a token in the store: hex of an HMAC-SHA-256 of its text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Hash(pub(super) Arc<str>);

impl From<String> for Hash {
    fn from(name: String) -> Self {
        Self::of(&name)
    }
}

impl From<Hash> for String {
    fn from(hash: Hash) -> Self {
        hash.as_str().to_owned()
    }
}

impl Hash {
    pub(super) fn of(name: &str) -> Self {
        Self(name.into())
    }

    /// The hex text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How a token is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// By a record in the store.
    #[default]
    Service,
    /// By nobody: it carries all that is known of it.
    Batch,
}

impl Kind {
    /// As the wire says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Batch => "batch",
        }
    }
}

/// What is known of a token. A hundred thousand of them are held in memory: each text and list is
/// only as large as what it holds.
#[derive(Clone, Serialize, Deserialize)]
pub struct Token {
    /// Its name in the store.
    #[serde(skip, default = "unnamed")]
    pub hash: Hash,
    /// A handle that can look it up, renew and revoke it, but not use it.
    pub accessor: Box<str>,
    /// Names of its policies, sorted.
    pub policies: Box<[String]>,
    /// The path that made it.
    pub path: Box<str>,
    /// For people and the audit log.
    pub display_name: Box<str>,
    /// Given by whoever made it.
    pub meta: Option<Pairs>,
    /// Requests it is still good for; zero: no limit, unless [`Token::spent`].
    pub num_uses: u64,
    /// Its last use is taken.
    #[serde(default)]
    pub spent: bool,
    /// It is revoked, and its children live on: they are orphans from then on.
    #[serde(default)]
    pub released: bool,
    /// When it was made.
    pub created: Time,
    /// Its first time to live, seconds; zero: for ever.
    pub creation_ttl: u64,
    /// The time to live it was given last, seconds: what a renewal gives that asks for none.
    pub granted_ttl: u64,
    /// A bound on its whole life, seconds; zero: none but the mount's.
    pub explicit_max_ttl: u64,
    /// Each renewal gives it this, seconds; zero: not periodic.
    pub period: u64,
    /// It can be renewed.
    pub renewable: bool,
    /// When it ends; never where absent.
    pub expires: Option<Time>,
    /// When it was last renewed.
    pub renewed: Option<Time>,
    /// Who goes when it goes: its parent. An orphan has none.
    pub parent: Option<Hash>,
    /// How many generations it stood below an orphan when it was made.
    #[serde(default)]
    pub depth: u32,
    /// How it is kept.
    #[serde(default)]
    pub kind: Kind,
    /// The addresses that may use it; all where there are none.
    #[serde(default)]
    pub bound_cidrs: Box<[IpNet]>,
    /// The entity that it acts for, an id of `identity/`.
    #[serde(default)]
    pub entity: Option<Box<str>>,
    /// The token role that it was made by.
    #[serde(default)]
    pub role: Option<Box<str>>,
    /// The accessor of the auth mount that it was made by; absent for `auth/token/`.
    #[serde(default)]
    pub mount: Option<Box<str>>,
    /// What its auth method needs to renew it: never shown.
    #[serde(default)]
    pub internal: Pairs,
}

fn unnamed() -> Hash {
    Hash::of("")
}

impl Token {
    /// It may be used.
    pub fn alive(&self, now: Time) -> bool {
        !self.spent && self.expires.is_none_or(|end| now < end)
    }

    /// It may be used from an address.
    pub fn admits(&self, remote: Option<IpAddr>) -> bool {
        admits(&self.bound_cidrs, remote)
    }

    /// Has the root policy.
    pub fn is_root(&self) -> bool {
        self.policies.iter().any(|p| p == "root")
    }

    /// How long it has to live, whole seconds; zero where it never ends.
    pub fn ttl(&self, now: Time) -> u64 {
        self.expires.map_or(0, |end| end.since(now).as_secs())
    }

    /// What it takes in memory, begun KiB.
    pub(super) fn kib(&self) -> u64 {
        let policies: usize = self.policies.iter().map(String::len).sum();
        let pairs = self.meta.as_ref().map_or(0, Pairs::bytes) + self.internal.bytes();
        let bytes = size_of::<Self>() + policies + pairs + self.path.len();
        1 + (bytes / 1024) as u64
    }

    /// The key of its place in the order of expiry.
    pub(super) fn expiry_key(&self) -> Option<String> {
        self.expires.map(|end| expiry_key(end, &self.hash))
    }
}

/// Seconds with leading zeros, so that byte order is time order; rounded up, so that nothing is
/// swept before its end.
pub(super) fn expiry_key(end: Time, hash: &Hash) -> String {
    format!(
        "{:012}-{}",
        end.plus(Duration::from_nanos(999_999_999)).secs(),
        hash.0
    )
}

/// The moment and the token of an expiry key.
pub(super) fn parse_expiry_key(key: &str) -> Option<(u64, Hash)> {
    let (secs, hash) = key.split_once('-')?;
    Some((secs.parse().ok()?, Hash::of(hash)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(meta: Option<Pairs>) -> Token {
        let record = serde_json::json!({
            "accessor": "a", "policies": ["default"], "path": "auth/token/create",
            "display_name": "token", "meta": meta, "num_uses": 0, "created": Time(0),
            "creation_ttl": 0, "granted_ttl": 0, "explicit_max_ttl": 0, "period": 0,
            "renewable": true, "expires": null, "renewed": null, "parent": null,
        });
        serde_json::from_value(record).unwrap()
    }

    #[test]
    fn only_a_token_with_much_to_say_takes_more_than_a_kib() {
        let pairs = (0..64).map(|n| (format!("name {n}"), "x".repeat(512)));
        assert_eq!(token(None).kib(), 1);
        assert!(
            token(Some(
                pairs.collect::<std::collections::BTreeMap<_, _>>().into()
            ))
            .kib()
                > 32
        );
    }
}
