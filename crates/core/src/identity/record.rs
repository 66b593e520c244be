//! What is stored of entities and groups. Records are the truth; the index follows from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id;
use crate::ports::storage::Revision;

/// Free text for people and for templated policies.
pub type Metadata = BTreeMap<String, String>;

/// A person or a machine, whatever it logs in by.
#[derive(Clone, Serialize, Deserialize)]
pub struct Entity {
    /// A UUID.
    pub id: String,
    /// Unique without regard to case.
    pub name: String,
    /// Absent until something is written.
    pub metadata: Option<Metadata>,
    /// Granted to all its tokens: names, sorted.
    pub policies: Vec<String>,
    /// Its tokens are refused and it can't log in.
    pub disabled: bool,
    /// What it logs in by; one for each mount, unless a merge left more.
    pub aliases: Vec<Alias>,
    /// Ids of the groups that it is in itself. Those of removed groups may stand here for a while.
    pub groups: Vec<String>,
    /// Ids of entities that were merged into it: their tokens act for it.
    pub merged: Vec<String>,
    /// When it was made.
    pub created: Time,
    /// When it was last written.
    pub updated: Time,
}

/// What an auth mount calls an entity, or an external group.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    /// A UUID.
    pub id: String,
    /// The method's name for it.
    pub name: String,
    /// The mount's accessor.
    pub mount: String,
    /// Given by the auth method at a login.
    pub metadata: Option<Metadata>,
    /// Given by people.
    pub custom_metadata: Option<Metadata>,
    /// The entities that it came from by merges.
    pub merged_from: Vec<String>,
    /// When it was made.
    pub created: Time,
    /// When it was last written.
    pub updated: Time,
}

/// Who says who is in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// People, over the API.
    #[default]
    Internal,
    /// An auth method, at each login.
    External,
}

/// Entities and groups that have policies in common.
#[derive(Clone, Serialize, Deserialize)]
pub struct Group {
    /// A UUID.
    pub id: String,
    /// Unique without regard to case.
    pub name: String,
    /// Who says who is in it.
    pub kind: GroupKind,
    /// Absent until something is written.
    pub metadata: Option<Metadata>,
    /// Granted to all its members: names, sorted. Absent until something is written.
    pub policies: Option<Vec<String>>,
    /// Ids of the groups that it is a member of.
    pub parents: Vec<String>,
    /// Its name with an auth method, for an external one.
    pub alias: Option<Alias>,
    /// Its entities were given at some time: shown as an empty list from then on.
    pub listed: bool,
    /// Counts the writes, and what merges of entities do to its members.
    pub modify_index: u64,
    /// When it was made.
    pub created: Time,
    /// When it was last written.
    pub updated: Time,
}

/// A record as it was read.
#[derive(Clone)]
pub(super) struct Held<T> {
    pub record: T,
    pub revision: Revision,
}

impl Entity {
    pub(super) fn new(name: Option<String>, now: Time) -> Self {
        Self {
            id: id::uuid(),
            name: name.unwrap_or_else(|| invented("entity")),
            metadata: None,
            policies: Vec::new(),
            disabled: false,
            aliases: Vec::new(),
            groups: Vec::new(),
            merged: Vec::new(),
            created: now,
            updated: now,
        }
    }

    /// Its alias on a mount; of several, the first.
    pub fn alias_on(&self, mount: &str) -> Option<&Alias> {
        self.aliases.iter().find(|alias| alias.mount == mount)
    }

    pub(super) fn alias(&self, id: &str) -> Option<&Alias> {
        self.aliases.iter().find(|alias| alias.id == id)
    }
}

impl Alias {
    pub(super) fn new(mount: &str, name: &str, now: Time) -> Self {
        Self {
            id: id::uuid(),
            name: name.to_owned(),
            mount: mount.to_owned(),
            metadata: None,
            custom_metadata: None,
            merged_from: Vec::new(),
            created: now,
            updated: now,
        }
    }
}

impl Group {
    pub(super) fn new(name: Option<String>, kind: GroupKind, now: Time) -> Self {
        Self {
            id: id::uuid(),
            name: name.unwrap_or_else(|| invented("group")),
            kind,
            metadata: None,
            policies: None,
            parents: Vec::new(),
            alias: None,
            listed: false,
            modify_index: 0,
            created: now,
            updated: now,
        }
    }

    /// It was written once more.
    pub(super) fn touch(&mut self, now: Time) {
        self.modify_index += 1;
        self.updated = now;
    }

    /// An external group that no auth method knows can't have members.
    pub(super) fn counts(&self) -> bool {
        self.kind == GroupKind::Internal || self.alias.is_some()
    }
}

/// A name for what was made without one.
fn invented(kind: &str) -> String {
    format!("{kind}_{}", hex::encode(keyfold_keys::rng::bytes::<8>()))
}
