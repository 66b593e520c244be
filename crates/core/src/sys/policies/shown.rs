//! A policy as it is answered.

use std::collections::BTreeMap;

use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use crate::policies::Record;

/// The member that the text stands in: `policy`, or `rules` in the elder family.
#[derive(Clone, Copy)]
pub(super) enum Text {
    Policy,
    Rules,
}

/// How a policy is asked for.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// With all that is known of it.
    #[serde(default, deserialize_with = "weak::boolean")]
    pub(super) detailed: Option<bool>,
}

/// A policy. Clients compare the whole answer with `name` and `policy`, so the rest is there only
/// when it was asked for, or says something that the writer set.
#[derive(Default, Serialize)]
pub(super) struct Shown {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    modified: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cas_required: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_wildcards_in_identity_templates: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_slashes_in_identity_templates: Option<bool>,
}

/// Names, as the elder family lists them.
#[derive(Serialize)]
pub(super) struct Names<'a> {
    pub(super) keys: &'a [String],
    pub(super) policies: &'a [String],
}

/// Names and what is known of each.
#[derive(Serialize)]
pub(super) struct Detailed {
    pub(super) keys: Vec<String>,
    pub(super) key_info: BTreeMap<String, Shown>,
}

impl Shown {
    /// All that is known.
    pub(super) fn all(name: String, record: Record) -> Self {
        Self {
            version: Some(record.version),
            // The built-in policy was never written.
            modified: (record.version > 0).then(|| record.modified.rfc3339()),
            cas_required: Some(record.cas_required),
            allow_wildcards_in_identity_templates: Some(record.templates.wildcards),
            allow_slashes_in_identity_templates: Some(record.templates.slashes),
            ..Self::brief(name, record)
        }
    }

    /// The text, and what was set. Whoever has to name the version is told it.
    pub(super) fn brief(name: String, record: Record) -> Self {
        let set = |flag: bool| flag.then_some(true);
        Self {
            name,
            version: record.cas_required.then_some(record.version),
            expiration: record.expires.map(crate::clock::Time::rfc3339),
            cas_required: set(record.cas_required),
            allow_wildcards_in_identity_templates: set(record.templates.wildcards),
            allow_slashes_in_identity_templates: set(record.templates.slashes),
            policy: Some(record.text),
            ..Self::default()
        }
    }

    /// With the text where the elder family has it.
    pub(super) fn with_rules(self) -> Self {
        Self {
            rules: self.policy,
            policy: None,
            ..self
        }
    }
}
