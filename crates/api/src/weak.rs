//! The weak typing of request bodies, for `#[serde(default, deserialize_with = "weak::…")]`.
//!
//! Clients in shells send `"true"`, `"5"` and `5` for each other, so existing servers take them
//! all; so does this one. Every function gives `None` for `null`, which is the same as leaving
//! the member out. Their errors name no value.

mod object;
mod scalar;
mod sequence;

use serde::{Deserialize, Deserializer, de::Error};

use keyfold_secret::Secret;

pub use scalar::{Scalar, parse_bool};

use crate::{base64, duration::Seconds};
use object::Object;
use scalar::Text;
use sequence::{Pairs, Sequence};

/// A string; numbers and booleans are taken by their text (`true` is `"1"`, as ever).
pub fn string<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<Text>::deserialize(from)?.map(|text| text.0))
}

/// The same for a string that is a secret.
pub fn secret_string<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Secret<String>>, D::Error> {
    Ok(string(from)?.map(Secret::new))
}

/// An integer; also its decimal text, `true` (1), `false` and `""` (0). No fractions.
pub fn int<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    convert(from, Scalar::to_int)
}

/// An integer that is not negative.
pub fn uint<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    convert(from, |scalar| {
        u64::try_from(scalar.to_int()?).map_err(|_| "cannot provide negative value")
    })
}

/// A boolean; also `0`, `1` and the usual words, `""` being false.
pub fn boolean<'de, D: Deserializer<'de>>(from: D) -> Result<Option<bool>, D::Error> {
    convert(from, Scalar::to_bool)
}

/// A duration that is not negative: seconds, or text such as `"1h30m"`.
pub fn duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Seconds>, D::Error> {
    match signed_duration(from)? {
        Some(seconds) if seconds.is_negative() => {
            Err(D::Error::custom("cannot provide negative value"))
        }
        other => Ok(other),
    }
}

/// A duration that may be negative. Booleans are refused: one second is not what they meant.
pub fn signed_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Seconds>, D::Error> {
    convert(from, Scalar::to_seconds)
}

/// A list of strings: a JSON list of scalars, one scalar, or text with commas. Spaces around the
/// elements are cut off, `""` is the empty list.
pub fn list<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    let Some(sequence) = Option::<Sequence>::deserialize(from)? else {
        return Ok(None);
    };
    Ok(Some(sequence.into_strings()))
}

/// A list of integers, in the same forms.
pub fn ints<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<i64>>, D::Error> {
    let Some(sequence) = Option::<Sequence>::deserialize(from)? else {
        return Ok(None);
    };
    sequence.into_ints().map(Some).map_err(D::Error::custom)
}

/// A map of strings: a JSON object of scalars, or `"key=value"` texts as a list, or one with
/// commas. Sorted by key.
pub fn map<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<std::collections::BTreeMap<String, String>>, D::Error> {
    Ok(Option::<Pairs>::deserialize(from)?.map(|pairs| pairs.0))
}

/// An object of a type of its own. A list, which serde would take for its members in order, is none.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(from)?.map(|object| object.0))
}

/// A list of such objects.
pub fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let list = Option::<Vec<Object<T>>>::deserialize(from)?;
    Ok(list.map(|list| list.into_iter().map(|object| object.0).collect()))
}

/// Bytes in base64, see [`base64::decode`].
pub fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<u8>>, D::Error> {
    let Some(scalar) = Option::<Scalar<'de>>::deserialize(from)? else {
        return Ok(None);
    };
    base64::decode(&scalar.to_text())
        .map(Some)
        .map_err(D::Error::custom)
}

/// Bytes in base64 that are a secret.
pub fn secret_bytes<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<Secret<Vec<u8>>>, D::Error> {
    Ok(bytes(from)?.map(Secret::new))
}

fn convert<'de, D: Deserializer<'de>, T>(
    from: D,
    to: impl Fn(&Scalar<'de>) -> Result<T, &'static str>,
) -> Result<Option<T>, D::Error> {
    let Some(scalar) = Option::<Scalar<'de>>::deserialize(from)? else {
        return Ok(None);
    };
    to(&scalar).map(Some).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct All {
        #[serde(deserialize_with = "string")]
        string: Option<String>,
        #[serde(deserialize_with = "int")]
        int: Option<i64>,
        #[serde(deserialize_with = "uint")]
        uint: Option<u64>,
        #[serde(deserialize_with = "boolean")]
        boolean: Option<bool>,
        #[serde(deserialize_with = "duration")]
        duration: Option<Seconds>,
        #[serde(deserialize_with = "list")]
        list: Option<Vec<String>>,
        #[serde(deserialize_with = "ints")]
        ints: Option<Vec<i64>>,
        #[serde(deserialize_with = "map")]
        map: Option<BTreeMap<String, String>>,
        #[serde(deserialize_with = "object")]
        object: Option<Inner>,
        #[serde(deserialize_with = "bytes")]
        bytes: Option<Vec<u8>>,
        #[serde(deserialize_with = "secret_bytes")]
        secret: Option<Secret<Vec<u8>>>,
    }

    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Inner {
        #[serde(deserialize_with = "int")]
        n: Option<i64>,
    }

    fn read(json: &str) -> Result<All, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn scalars() {
        let strings = [
            ("\"a\"", "a"),
            ("5", "5"),
            ("-5", "-5"),
            ("1.5", "1.5"),
            ("true", "1"),
        ];
        for (json, text) in strings {
            let all = read(&format!(r#"{{"string":{json}}}"#)).unwrap();
            assert_eq!(all.string.as_deref(), Some(text));
        }
        for (json, int) in [
            ("5", 5),
            ("\"-5\"", -5),
            ("\"\"", 0),
            ("true", 1),
            ("\"0x10\"", 16),
        ] {
            assert_eq!(
                read(&format!(r#"{{"int":{json}}}"#)).unwrap().int,
                Some(int),
                "{json}"
            );
        }
        for (json, boolean) in [
            ("true", true),
            ("\"true\"", true),
            ("\"F\"", false),
            ("1", true),
            ("\"\"", false),
        ] {
            let all = read(&format!(r#"{{"boolean":{json}}}"#)).unwrap();
            assert_eq!(all.boolean, Some(boolean), "{json}");
        }
        for (json, seconds) in [("90", 90), ("\"90\"", 90), ("\"1m\"", 60), ("\"\"", 0)] {
            let all = read(&format!(r#"{{"duration":{json}}}"#)).unwrap();
            assert_eq!(all.duration, Some(Seconds(seconds)), "{json}");
        }
        assert_eq!(read(r#"{"uint":"7"}"#).unwrap().uint, Some(7));
        assert!(read(r#"{"uint":-7}"#).is_err());
    }

    #[test]
    fn lists_and_maps() {
        for json in [r#""a, b""#, r#"["a"," b "]"#] {
            assert_eq!(
                read(&format!(r#"{{"list":{json}}}"#))
                    .unwrap()
                    .list
                    .unwrap(),
                ["a", "b"]
            );
        }
        assert_eq!(read(r#"{"list":5}"#).unwrap().list.unwrap(), ["5"]);
        assert_eq!(
            read(r#"{"list":[1,true]}"#).unwrap().list.unwrap(),
            ["1", "1"]
        );
        assert_eq!(read(r#"{"list":""}"#).unwrap().list.unwrap(), [""; 0]);
        for json in ["4", "\"4\"", "[4]", "[\"4\"]"] {
            assert_eq!(
                read(&format!(r#"{{"ints":{json}}}"#))
                    .unwrap()
                    .ints
                    .unwrap(),
                [4]
            );
        }
        for json in [r#"{"n":1,"m":"x"}"#, r#"["n=1","m=x"]"#, r#""n=1,m=x""#] {
            let map = read(&format!(r#"{{"map":{json}}}"#)).unwrap().map.unwrap();
            assert_eq!(
                map,
                BTreeMap::from([("m".into(), "x".into()), ("n".into(), "1".into())])
            );
        }
    }

    #[test]
    fn objects() {
        let all = read(r#"{"object":{"n":"5","other":1}}"#).unwrap();
        assert_eq!(all.object.unwrap().n, Some(5));
        for json in [r#""5""#, "5", "[5]", "true"] {
            let error = read(&format!(r#"{{"object":{json}}}"#)).err().unwrap();
            assert!(error.contains(", expected an object at "), "{error}");
        }
    }

    #[test]
    fn base64_members() {
        assert_eq!(
            read(r#"{"bytes":"aGVs\r\nbG8="}"#).unwrap().bytes.unwrap(),
            b"hello"
        );
        assert_eq!(
            read(r#"{"bytes":1234}"#).unwrap().bytes.unwrap(),
            [0xd7, 0x6d, 0xf8]
        );
        assert_eq!(
            read(r#"{"secret":"aGVsbG8="}"#)
                .unwrap()
                .secret
                .unwrap()
                .expose(),
            b"hello"
        );
        assert!(
            read(r#"{"bytes":"!!"}"#)
                .err()
                .unwrap()
                .contains("input byte 0")
        );
    }

    #[test]
    fn null_is_absent() {
        let names = [
            "string", "int", "uint", "boolean", "duration", "list", "ints", "map", "object",
        ];
        let nulls: Vec<_> = names
            .iter()
            .map(|name| format!("\"{name}\":null"))
            .collect();
        let all = read(&format!("{{{}}}", nulls.join(","))).unwrap();
        assert!(all.string.is_none() && all.int.is_none() && all.boolean.is_none());
        assert!(all.duration.is_none() && all.list.is_none() && all.map.is_none());
        assert!(all.ints.is_none() && all.uint.is_none() && all.object.is_none());
    }

    #[test]
    fn errors_name_no_value() {
        let bad = [
            r#"{"string":["hush"]}"#,
            r#"{"string":{"hush":1}}"#,
            r#"{"int":"hush"}"#,
            r#"{"int":4.5}"#,
            r#"{"int":"4.5"}"#,
            r#"{"int":99999999999999999999}"#,
            r#"{"boolean":"hush"}"#,
            r#"{"boolean":2}"#,
            r#"{"duration":"hush"}"#,
            r#"{"duration":true}"#,
            r#"{"duration":"-5m"}"#,
            r#"{"duration":-1}"#,
            r#"{"list":{"hush":1}}"#,
            r#"{"list":[["hush"]]}"#,
            r#"{"ints":["hush"]}"#,
            r#"{"map":"hush"}"#,
            r#"{"map":{"n":{"hush":1}}}"#,
            r#"{"bytes":"hush!"}"#,
        ];
        for json in bad {
            let error = read(json)
                .err()
                .unwrap_or_else(|| panic!("{json} was taken"));
            assert!(
                !error.contains("hush") && !error.contains("99999"),
                "{error}"
            );
        }
    }
}
