//! Settings of a secret: what a call changes of them, and their bounds.

use std::collections::BTreeMap;

use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use keyfold_core::error::Error;
use serde::{Deserialize, Deserializer};

use super::record::{Config, Secret, check_max_versions};

/// Bounds of custom metadata, as clients know them.
const CUSTOM_KEYS: usize = 64;
const CUSTOM_KEY: usize = 128;
const CUSTOM_VALUE: usize = 512;

/// A change; what is not given stays.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Change {
    max_versions: Option<u64>,
    cas_required: Option<bool>,
    metadata_cas_required: Option<bool>,
    delete_version_after: Option<Seconds>,
    custom_metadata: Option<Custom>,
}

#[derive(Debug, PartialEq)]
enum Custom {
    /// These and no others.
    Only(BTreeMap<String, String>),
    /// These besides; those with no value go.
    Merged(BTreeMap<String, Option<String>>),
}

/// A body of a write, in which null is the same as nothing.
#[derive(Deserialize)]
pub(super) struct Write {
    #[serde(default, deserialize_with = "weak::uint")]
    max_versions: Option<u64>,
    #[serde(default, deserialize_with = "weak::boolean")]
    cas_required: Option<bool>,
    #[serde(default, deserialize_with = "weak::boolean")]
    metadata_cas_required: Option<bool>,
    #[serde(default, deserialize_with = "weak::signed_duration")]
    delete_version_after: Option<Seconds>,
    #[serde(default, deserialize_with = "weak::map")]
    custom_metadata: Option<BTreeMap<String, String>>,
    /// The settings that the writer has seen, by their version.
    #[serde(default, deserialize_with = "weak::int")]
    pub metadata_cas: Option<i64>,
}

/// A body of a merge-patch, in which null sets a setting back.
#[derive(Deserialize)]
pub(super) struct Patch {
    #[serde(default, deserialize_with = "uint")]
    max_versions: Given<u64>,
    #[serde(default, deserialize_with = "boolean")]
    cas_required: Given<bool>,
    #[serde(default, deserialize_with = "boolean")]
    metadata_cas_required: Given<bool>,
    #[serde(default, deserialize_with = "duration")]
    delete_version_after: Given<Seconds>,
    #[serde(default, deserialize_with = "custom")]
    custom_metadata: Given<BTreeMap<String, Entry>>,
    /// See [`Write`].
    #[serde(default, deserialize_with = "weak::int")]
    pub metadata_cas: Option<i64>,
}

/// Outer: the member is there; inner: it is not null.
type Given<T> = Option<Option<T>>;

/// A value of custom metadata, or null.
#[derive(Deserialize)]
#[serde(transparent)]
struct Entry(#[serde(deserialize_with = "weak::string")] Option<String>);

fn uint<'de, D: Deserializer<'de>>(from: D) -> Result<Given<u64>, D::Error> {
    weak::uint(from).map(Some)
}

fn boolean<'de, D: Deserializer<'de>>(from: D) -> Result<Given<bool>, D::Error> {
    weak::boolean(from).map(Some)
}

fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Given<Seconds>, D::Error> {
    weak::signed_duration(from).map(Some)
}

fn custom<'de, D: Deserializer<'de>>(from: D) -> Result<Given<BTreeMap<String, Entry>>, D::Error> {
    Option::deserialize(from).map(Some)
}

impl From<Write> for Change {
    fn from(asked: Write) -> Self {
        Self {
            max_versions: asked.max_versions,
            cas_required: asked.cas_required,
            metadata_cas_required: asked.metadata_cas_required,
            delete_version_after: asked.delete_version_after,
            custom_metadata: asked.custom_metadata.map(Custom::Only),
        }
    }
}

impl From<Patch> for Change {
    fn from(asked: Patch) -> Self {
        Self {
            max_versions: asked.max_versions.map(Option::unwrap_or_default),
            cas_required: asked.cas_required.map(Option::unwrap_or_default),
            metadata_cas_required: asked.metadata_cas_required.map(Option::unwrap_or_default),
            delete_version_after: asked.delete_version_after.map(Option::unwrap_or_default),
            custom_metadata: asked.custom_metadata.map(|custom| match custom {
                Some(entries) => {
                    Custom::Merged(entries.into_iter().map(|(k, Entry(v))| (k, v)).collect())
                }
                None => Custom::Only(BTreeMap::new()),
            }),
        }
    }
}

impl Change {
    /// There is nothing in it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Remarks on what the mount's configuration overrules.
    pub fn overruled(&self, config: &Config) -> Vec<String> {
        let asked = [
            ("cas_required", self.cas_required, config.cas_required),
            (
                "metadata_cas_required",
                self.metadata_cas_required,
                config.metadata_cas_required,
            ),
        ];
        let idle = asked
            .into_iter()
            .filter(|(_, here, of_mount)| *here == Some(false) && *of_mount);
        idle.map(|(name, ..)| {
            format!("\"{name}\" set to false has no effect: the mount's configuration demands it")
        })
        .collect()
    }

    /// Makes the change, if all of it is within the bounds.
    pub fn apply(&self, secret: &mut Secret) -> Result<(), Error> {
        check_max_versions(self.max_versions)?;
        let custom = match &self.custom_metadata {
            None => None,
            Some(Custom::Only(entries)) => Some(entries.clone()),
            Some(Custom::Merged(entries)) => {
                let mut merged = secret.custom_metadata.clone().unwrap_or_default();
                for (key, value) in entries {
                    match value {
                        Some(value) => merged.insert(key.clone(), value.clone()),
                        None => merged.remove(key),
                    };
                }
                Some(merged)
            }
        };
        if let Some(custom) = custom {
            check_custom(&custom)?;
            secret.custom_metadata = Some(custom).filter(|custom| !custom.is_empty());
        }
        if let Some(max_versions) = self.max_versions {
            secret.max_versions = max_versions;
        }
        if let Some(required) = self.cas_required {
            secret.cas_required = required;
        }
        if let Some(required) = self.metadata_cas_required {
            secret.metadata_cas_required = required;
        }
        if let Some(Seconds(after)) = self.delete_version_after {
            secret.delete_version_after = after;
        }
        Ok(())
    }
}

/// The words are the wire's; a key is repeated only where it is within its bound.
fn check_custom(custom: &BTreeMap<String, String>) -> Result<(), Error> {
    let refused = |what: String| {
        Err(Error::bad(format!(
            "1 error occurred:\n\t* custom_metadata validation failed: {what}\n\n"
        )))
    };
    let keys = custom.len();
    if keys > CUSTOM_KEYS {
        return refused(format!(
            "payload must contain at most {CUSTOM_KEYS} keys, provided {keys}"
        ));
    }
    for (key, value) in custom {
        let length = key.len();
        if key.is_empty() || length > CUSTOM_KEY {
            return refused(format!(
                "length of a key is {length} but must be 0 < len(key) <= {CUSTOM_KEY}"
            ));
        }
        let length = value.len();
        if value.is_empty() || length > CUSTOM_VALUE {
            return refused(format!(
                "length of value for key \"{key}\" is {length} but must be 0 < len(value) <= \
                 {CUSTOM_VALUE}"
            ));
        }
    }
    Ok(())
}
