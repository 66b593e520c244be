//! Request bodies: repaired, measured, and decoded into a type with a field of each kind there is.
#![no_main]

use std::collections::BTreeMap;

use keyfold_api::body::{self, Decoded};
use keyfold_api::json::{self, Limits};
use keyfold_api::{Seconds, weak};
use keyfold_secret::Secret;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Typical {
    #[serde(deserialize_with = "weak::string")]
    name: Option<String>,
    #[serde(deserialize_with = "weak::secret_string")]
    token: Option<Secret<String>>,
    #[serde(deserialize_with = "weak::int")]
    version: Option<i64>,
    #[serde(deserialize_with = "weak::uint")]
    shares: Option<u64>,
    #[serde(deserialize_with = "weak::boolean")]
    derived: Option<bool>,
    #[serde(deserialize_with = "weak::duration")]
    ttl: Option<Seconds>,
    #[serde(deserialize_with = "weak::signed_duration")]
    increment: Option<Seconds>,
    #[serde(deserialize_with = "weak::list")]
    policies: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::ints")]
    versions: Option<Vec<i64>>,
    #[serde(deserialize_with = "weak::map")]
    meta: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "weak::bytes")]
    context: Option<Vec<u8>>,
    #[serde(deserialize_with = "weak::secret_bytes")]
    plaintext: Option<Secret<Vec<u8>>>,
    data: Option<Box<RawValue>>,
}

fuzz_target!(|bytes: &[u8]| {
    let repaired = json::sanitize(bytes);
    assert!(std::str::from_utf8(&repaired).is_ok());
    assert_eq!(json::sanitize(&repaired), repaired, "a repair is final");
    if json::complexity(bytes, Limits::default()).is_err() {
        return;
    }
    let object = body::decode::<IgnoredAny>(bytes).is_ok();
    match body::decode::<Typical>(bytes) {
        Ok(Decoded { value, .. }) => {
            assert!(object, "what has members is an object");
            assert!(value.ttl.is_none_or(|ttl| !ttl.is_negative()));
            let texts = [&value.name]
                .into_iter()
                .flatten()
                .chain(value.policies.iter().flatten());
            let maps = value.meta.iter().flat_map(BTreeMap::values);
            let _ = texts.chain(maps).map(String::len).sum::<usize>();
            let _ = (
                value.token,
                value.version,
                value.shares,
                value.derived,
                value.increment,
            );
            let _ = (value.versions, value.context, value.plaintext, value.data);
        }
        Err(error) => assert!(!error.message.is_empty()),
    }
});
