//! Of a list, only the number of its entries.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::{RawValue, to_raw_value};

/// The answer to a list with its `keys` and `key_info` counted. Nothing where it has neither.
pub(super) fn list(json: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Entries {
        Keys(Vec<IgnoredAny>),
        Info(BTreeMap<String, IgnoredAny>),
    }
    let mut members: BTreeMap<&str, Box<RawValue>> = serde_json::from_slice(json).ok()?;
    let mut counted = false;
    for name in ["keys", "key_info"] {
        let Some(member) = members.get_mut(name) else {
            continue;
        };
        let count = match serde_json::from_str::<Entries>(member.get()) {
            Ok(Entries::Keys(keys)) => keys.len(),
            Ok(Entries::Info(info)) => info.len(),
            Err(_) => continue,
        };
        *member = to_raw_value(&count).ok()?;
        counted = true;
    }
    counted.then(|| serde_json::to_vec(&members).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elided(json: &str) -> Option<String> {
        list(json.as_bytes()).map(|json| String::from_utf8(json).unwrap())
    }

    #[test]
    fn entries_are_counted_and_other_members_stay() {
        let json = r#"{"keys":["a","b"],"key_info":{"a":{"x":[]},"b":null},"more":{"c":"d"}}"#;
        assert_eq!(
            elided(json).unwrap(),
            r#"{"key_info":2,"keys":2,"more":{"c":"d"}}"#
        );
    }

    #[test]
    fn what_is_no_list_stays() {
        for json in [r#"{"keys":"a"}"#, r#"{"a":1}"#, "[]", "x"] {
            assert_eq!(elided(json), None, "{json}");
        }
    }
}
