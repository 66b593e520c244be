//! What is stored of a managed key.

use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::mounts::MountRecord;

/// Longest name.
const LONGEST: usize = 64;

/// A managed key as an engine notes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its name.
    pub name: String,
    /// The id that its record was made with.
    pub id: String,
}

/// The record of a managed key.
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    pub id: String,
    pub kind: String,
    pub common: Common,
    /// The kind's own part, JSON.
    #[serde(serialize_with = "in_clear")]
    pub own: Secret<String>,
}

/// What keys of every kind have: in a request, and in a record.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Common {
    /// The key is made in the device where it is not there yet.
    #[serde(deserialize_with = "weak::boolean")]
    pub allow_generate_key: Option<bool>,
    /// Taken and shown: no key is replaced.
    #[serde(deserialize_with = "weak::boolean")]
    pub allow_replace_key: Option<bool>,
    /// Taken and shown: no key is brought to the device.
    #[serde(deserialize_with = "weak::boolean")]
    pub allow_store_key: Option<bool>,
    /// Every mount may use it.
    #[serde(deserialize_with = "weak::boolean")]
    pub any_mount: Option<bool>,
    /// The id of a record that is made again.
    #[serde(deserialize_with = "weak::string", skip_serializing)]
    pub uuid: Option<String>,
    /// Named in the path already; clients repeat it.
    #[serde(rename = "name", deserialize_with = "weak::string", skip_serializing)]
    pub _name: Option<String>,
    /// So, too.
    #[serde(rename = "type", deserialize_with = "weak::string", skip_serializing)]
    pub _kind: Option<String>,
}

impl Record {
    /// A record without its kind's part.
    pub fn new(kind: &str, id: String) -> Self {
        Self {
            id,
            kind: kind.to_owned(),
            common: Common::default(),
            own: Secret::new(String::new()),
        }
    }

    /// Takes the kind's part.
    pub fn set_own(&mut self, own: Secret<Vec<u8>>) -> Result<(), Error> {
        let text = String::from_utf8(own.into_inner());
        self.own = Secret::new(text.map_err(|_| Error::Bug("a record that is no text"))?);
        Ok(())
    }

    /// Whether a mount may use it.
    pub fn is_for(&self, mount: Option<&MountRecord>, name: &str) -> bool {
        let listed = |mount: &MountRecord| {
            let allowed = &mount.config.allowed_managed_keys;
            allowed.iter().any(|allowed| allowed == name)
        };
        self.common.any_mount.unwrap_or_default() || mount.is_some_and(listed)
    }

    /// Adds what is common to what the kind shows.
    pub fn show(&self, name: &str, shown: &mut Map<String, Value>) {
        let common = &self.common;
        for (member, flag) in [
            ("allow_generate_key", common.allow_generate_key),
            ("allow_replace_key", common.allow_replace_key),
            ("allow_store_key", common.allow_store_key),
            ("any_mount", common.any_mount),
        ] {
            shown.insert(member.to_owned(), flag.unwrap_or_default().into());
        }
        shown.insert("UUID".to_owned(), self.id.as_str().into());
        shown.insert("name".to_owned(), name.into());
        shown.insert("type".to_owned(), self.kind.as_str().into());
    }
}

impl Common {
    /// Takes over what was given.
    pub(super) fn change(&mut self, given: &Self) {
        for (flag, given) in [
            (&mut self.allow_generate_key, given.allow_generate_key),
            (&mut self.allow_replace_key, given.allow_replace_key),
            (&mut self.allow_store_key, given.allow_store_key),
            (&mut self.any_mount, given.any_mount),
        ] {
            *flag = given.or(*flag);
        }
    }
}

/// Whether a key can have this name: lower case, so that two names are two.
pub(super) fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: u8| fits(byte) || matches!(byte, b'-' | b'_' | b'.');
    name.len() <= LONGEST && name.bytes().all(inner) && name.bytes().next().is_some_and(fits)
}

/// Whether a text is a UUID, in the usual form.
pub(super) fn is_id(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    let hex = |byte: u8| byte == b'-' || matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    text.bytes().all(hex) && lengths.eq([8, 4, 4, 4, 12])
}

fn in_clear<S: Serializer>(own: &Secret<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(own.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ids() {
        for name in ["a", "hsm-key1", "a.b_c", &"x".repeat(64)] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "A", "-a", "a/b", "a b", "é", &"x".repeat(65)] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_id(&crate::id::uuid()));
        for id in ["", "af0a688e", "AF0A688E-d2c1-fc07-b365-40325674114d"] {
            assert!(!is_id(id), "{id}");
        }
    }

    #[test]
    fn what_is_left_out_stays() {
        let mut common = Common {
            any_mount: Some(true),
            ..Common::default()
        };
        common.change(&Common {
            allow_generate_key: Some(true),
            ..Common::default()
        });
        assert_eq!(common.any_mount, Some(true));
        assert_eq!(common.allow_generate_key, Some(true));
    }
}
