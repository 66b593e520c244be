//! The keys that a list names, where the deciding rule hides some: see
//! [`KeysFilter`](crate::policy::KeysFilter).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::error::Error;
use crate::policy::{Acl, KeysFilter, shows};
use crate::reply::{Json, Reply};

/// Which keys of a list its caller gets to see.
#[derive(Clone)]
pub(super) struct KeysShown {
    acl: Arc<Acl>,
    filters: Vec<Arc<KeysFilter>>,
    /// The path that is listed, with a slash at its end.
    folder: String,
}

impl KeysShown {
    /// Those that pass all filters; `None` where there is no filter.
    pub(super) fn new(acl: &Arc<Acl>, filters: Vec<Arc<KeysFilter>>, path: &str) -> Option<Self> {
        if filters.is_empty() {
            return None;
        }
        Some(Self {
            acl: acl.clone(),
            filters,
            folder: format!("{}/", path.trim_end_matches('/')),
        })
    }

    /// The answer without the hidden keys, wherever it names them: in `keys`, in other lists, as
    /// members of `key_info`. A list without any keys is nothing.
    pub(super) fn only(&self, answer: Reply) -> Result<Reply, Error> {
        let Some(data) = &answer.data else {
            return Ok(answer);
        };
        let damaged = |_| Error::Bug("a list is no object with keys");
        let members: BTreeMap<String, &RawValue> =
            serde_json::from_slice(data.bytes()).map_err(damaged)?;
        let Some(keys) = members.get("keys") else {
            return Ok(answer);
        };
        let keys: Vec<String> = serde_json::from_str(keys.get()).map_err(damaged)?;
        let (shown, hidden): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|key| shows(&self.acl, &self.filters, &self.folder, key));
        if shown.is_empty() {
            return Err(Error::NotFound);
        }
        let hidden: HashSet<String> = hidden.into_iter().collect();
        let mut kept = BTreeMap::new();
        for (name, value) in members {
            kept.insert(name, without(value, &hidden).map_err(damaged)?);
        }
        Ok(Reply {
            data: Some(Json::of(&kept)?),
            ..answer
        })
    }
}

/// A member without the hidden keys.
fn without(value: &RawValue, hidden: &HashSet<String>) -> serde_json::Result<Box<RawValue>> {
    match value.get().as_bytes().first() {
        Some(b'[') => {
            let mut items: Vec<&RawValue> = serde_json::from_str(value.get())?;
            items.retain(|item| {
                !serde_json::from_str::<String>(item.get()).is_ok_and(|key| hidden.contains(&key))
            });
            serde_json::value::to_raw_value(&items)
        }
        Some(b'{') => {
            let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(value.get())?;
            members.retain(|key, _| !hidden.contains(key));
            serde_json::value::to_raw_value(&members)
        }
        _ => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::clock::Time;
    use crate::policy::Policy;

    fn shown(rules: &str) -> KeysShown {
        let (policy, _) = Policy::parse("p", rules).unwrap();
        let acl = Arc::new(Acl::new(&[Arc::new(policy)], Time(0)));
        let filter = Arc::new(KeysFilter::parse("{{ .path }}{{ .key }}").unwrap());
        KeysShown::new(&acl, vec![filter], "kv/p").unwrap()
    }

    #[test]
    fn hidden_keys_are_hidden_everywhere() {
        let shown = shown(
            "path \"kv/p/a\" { capabilities = [\"read\"] }\n\
             path \"kv/p/b\" { capabilities = [\"list\"] }\n\
             path \"kv/p/dir/\" { capabilities = [\"list\"] }",
        );
        let data = json!({
            "keys": ["a", "b", "dir/", "other/"],
            "policies": ["a", "b"],
            "key_info": {"a": {"n": 1}, "b": {"n": 2}, "dir/": {}},
            "count": 4,
        });
        let answer = shown.only(Reply::data(&data).unwrap()).unwrap();
        let got: Value = serde_json::from_slice(answer.data.unwrap().bytes()).unwrap();
        let expected = json!({
            "keys": ["a", "dir/"],
            "policies": ["a"],
            "key_info": {"a": {"n": 1}, "dir/": {}},
            "count": 4,
        });
        assert_eq!(got, expected);
    }

    #[test]
    fn nothing_left_is_nothing() {
        let shown = shown("path \"elsewhere\" { capabilities = [\"read\"] }");
        let answer = shown.only(Reply::data(&json!({"keys": ["a"]})).unwrap());
        assert!(matches!(answer, Err(Error::NotFound)));
        // What names no keys hides none.
        assert!(shown.only(Reply::data(&json!({"a": 1})).unwrap()).is_ok());
        assert!(shown.only(Reply::none()).is_ok());
    }
}
