//! Request bodies: from bytes to a type, with the names that the type does not know and, when
//! that fails, the name of the field at fault.

use std::collections::HashMap;

use serde::{Serialize, de::DeserializeOwned};

use crate::json;

/// A body and what it had beyond its type.
pub struct Decoded<T> {
    /// The request.
    pub value: T,
    /// Top-level members that `T` does not know, in the body's order: the wire's
    /// `Endpoint ignored these unrecognized parameters` warning.
    pub unknown: Vec<String>,
}

/// The caller's body is not what the call takes. Names the field, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BodyError {
    /// Path of the field at fault, `batch_input[1].context` for one; `None` when it is the body
    /// as a whole.
    pub field: Option<String>,
    /// The text for the answer, with the field in it.
    pub message: String,
}

/// Decodes a JSON body. An empty body and `null` are an empty object; of a member given twice
/// the last counts; invalid text is repaired as by [`json::sanitize`].
///
/// Nested objects that `T` keeps as `Box<RawValue>` are carried through byte for byte.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<Decoded<T>, BodyError> {
    let body = json::sanitize(body);
    let body = match body.trim_ascii() {
        b"" | b"null" => b"{}",
        text if text.starts_with(b"{") => text,
        text => return Err(not_an_object(text)),
    };
    match attempt(body) {
        Ok(decoded) => Ok(decoded),
        Err(error) if is_duplicate(&error) => match json::deduplicate(body) {
            Some(rewritten) => attempt(&rewritten).map_err(|_| explain::<T>(&rewritten)),
            None => Err(explain::<T>(body)),
        },
        Err(_) => Err(explain::<T>(body)),
    }
}

/// The JSON body that query parameters stand for: a name given once is a string, given more
/// often a list of strings.
pub fn from_query(parameters: &[(String, String)]) -> Vec<u8> {
    object(parameters, |out, values| append(out, values))
}

/// The JSON body that a form stands for: a name given more often is a string, too, with commas.
pub fn from_form(parameters: &[(String, String)]) -> Vec<u8> {
    object(parameters, |out, values| append(out, &values.join(",")))
}

/// An object of strings; `many` writes the values of a name that was given more often than once.
fn object(parameters: &[(String, String)], many: impl Fn(&mut Vec<u8>, &[&str])) -> Vec<u8> {
    let mut members: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (name, value) in parameters {
        let place = *places.entry(name).or_insert_with(|| {
            members.push((name, Vec::new()));
            members.len() - 1
        });
        if let Some((_, values)) = members.get_mut(place) {
            values.push(value);
        }
    }
    let mut out = vec![b'{'];
    for (index, (name, values)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        append(&mut out, name);
        out.push(b':');
        match values.as_slice() {
            [value] => append(&mut out, value),
            values => many(&mut out, values),
        }
    }
    out.push(b'}');
    out
}

fn attempt<T: DeserializeOwned>(body: &[u8]) -> Result<Decoded<T>, serde_json::Error> {
    let mut unknown = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_ignored::deserialize(&mut deserializer, |path| {
        if let serde_ignored::Path::Map {
            parent: serde_ignored::Path::Root,
            key,
        } = path
        {
            unknown.push(key);
        }
    })?;
    deserializer.end()?;
    Ok(Decoded { value, unknown })
}

/// Decodes a second time, only to learn where it fails.
fn explain<T: DeserializeOwned>(body: &[u8]) -> BodyError {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let failure = match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(failure) => failure,
        Ok(_) => {
            return match deserializer.end() {
                Err(error) => malformed(&reason(&error)),
                Ok(()) => malformed("the body does not decode"),
            };
        }
    };
    let reason = reason(failure.inner());
    if !failure.inner().is_data() {
        return malformed(&reason);
    }
    let path = failure.path().to_string();
    let field = match missing_field(&reason) {
        Some(name) if path == "." => name.to_owned(),
        Some(name) => format!("{path}.{name}"),
        None if path == "." => return malformed(&reason),
        None => path,
    };
    let message = match missing_field(&reason) {
        Some(_) => format!("missing field \"{field}\""),
        None => format!("error converting input for field \"{field}\": {reason}"),
    };
    BodyError {
        field: Some(field),
        message,
    }
}

fn malformed(reason: &str) -> BodyError {
    BodyError {
        field: None,
        message: format!("failed to decode JSON input: {reason}"),
    }
}

fn not_an_object(body: &[u8]) -> BodyError {
    match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Ok(_) => malformed("expected an object"),
        Err(error) => malformed(&reason(&error)),
    }
}

/// What is wrong, without any value. serde's texts for a wrong type quote what they found, so of
/// those only what was expected is kept. Texts of our own `deserialize_with` functions name no
/// value and pass.
fn reason(error: &serde_json::Error) -> String {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    if !error.is_data() {
        return text;
    }
    let text = text.strip_suffix(&place).unwrap_or(&text);
    const QUOTING: [&str; 4] = [
        "invalid type: ",
        "invalid value: ",
        "invalid length ",
        "unknown variant ",
    ];
    if QUOTING.iter().any(|prefix| text.starts_with(prefix)) {
        // What was found comes first and may hold anything; what was expected is ours.
        return match text.rsplit_once(", expected ") {
            Some((_, expected)) => format!("expected {expected}"),
            None => "not what is expected here".to_owned(),
        };
    }
    text.to_owned()
}

fn missing_field(reason: &str) -> Option<&str> {
    reason.strip_prefix("missing field `")?.strip_suffix('`')
}

fn is_duplicate(error: &serde_json::Error) -> bool {
    error.is_data() && error.to_string().starts_with("duplicate field ")
}

fn append<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Strings and lists of strings always serialise, and writing to memory does not fail.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.extend_from_slice(b"null");
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;
    use crate::{duration::Seconds, weak};

    #[derive(Deserialize)]
    struct Request {
        #[serde(default, deserialize_with = "weak::string")]
        name: Option<String>,
        #[serde(default, deserialize_with = "weak::duration")]
        ttl: Option<Seconds>,
        data: Option<Box<RawValue>>,
        #[serde(default)]
        batch_input: Vec<Item>,
    }

    #[derive(Deserialize)]
    struct Item {
        #[serde(default, deserialize_with = "weak::int")]
        key_version: Option<i64>,
    }

    fn error(body: &[u8]) -> BodyError {
        decode::<Request>(body).err().unwrap()
    }

    #[test]
    fn unknown_members_are_named_at_the_top_only() {
        let body = br#"{"name":"a","zzz":{"deep":[1]},"batch_input":[{"x":1}],"limit":2}"#;
        let decoded = decode::<Request>(body).unwrap();
        assert_eq!(decoded.value.name.as_deref(), Some("a"));
        assert_eq!(decoded.value.batch_input.len(), 1);
        assert_eq!(decoded.unknown, ["zzz", "limit"]);
    }

    #[test]
    fn nothing_is_an_empty_object() {
        for body in [&b""[..], b"  ", b"null", b"{}"] {
            assert!(decode::<Request>(body).unwrap().value.name.is_none());
        }
    }

    #[test]
    fn raw_members_keep_their_bytes_at_any_depth() {
        let deep = format!(r#"{{"data":{}1e400{}}}"#, "[".repeat(600), "]".repeat(600));
        let data = decode::<Request>(deep.as_bytes())
            .unwrap()
            .value
            .data
            .unwrap();
        assert!(data.get().contains("1e400"));
        let unknown = format!(r#"{{"x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(
            decode::<Request>(unknown.as_bytes()).unwrap().unknown,
            ["x"]
        );
    }

    #[test]
    fn the_last_duplicate_wins() {
        let body =
            br#"{"name":"a","ttl":1,"name":"b","batch_input":[{"key_version":1,"key_version":2}]}"#;
        let decoded = decode::<Request>(body).unwrap();
        assert_eq!(decoded.value.name.as_deref(), Some("b"));
        assert_eq!(decoded.value.ttl, Some(Seconds(1)));
        assert_eq!(decoded.value.batch_input[0].key_version, Some(2));
        assert_eq!(
            error(br#"{"name":"a","name":["hush"]}"#).field.as_deref(),
            Some("name")
        );
    }

    #[test]
    fn errors_name_the_field_and_no_value() {
        let found = error(br#"{"ttl":"hush"}"#);
        assert_eq!(found.field.as_deref(), Some("ttl"));
        assert_eq!(
            found.message,
            "error converting input for field \"ttl\": time: invalid duration"
        );
        let found = error(br#"{"batch_input":[{},{"key_version":"hush"}]}"#);
        assert_eq!(found.field.as_deref(), Some("batch_input[1].key_version"));
        let found = error(br#"{"batch_input":"hush, expected hush"}"#);
        assert_eq!(
            found.message,
            "error converting input for field \"batch_input\": expected a sequence"
        );
    }

    #[test]
    fn a_missing_field_is_named_with_its_path() {
        #[derive(Deserialize)]
        struct Outer {
            inner: Vec<Inner>,
        }
        #[derive(Deserialize)]
        struct Inner {
            must: u8,
        }
        let field = |body: &[u8]| decode::<Outer>(body).err().unwrap().message;
        assert_eq!(field(b"{}"), "missing field \"inner\"");
        assert_eq!(
            field(br#"{"inner":[{"must":1},{}]}"#),
            "missing field \"inner[1].must\""
        );
        let outer = decode::<Outer>(br#"{"inner":[{"must":1}]}"#).unwrap().value;
        assert_eq!(outer.inner[0].must, 1);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in [
            &b"[1]"[..],
            b"\"x\"",
            b"{",
            b"{} x",
            b"x=1",
            b"--x\r\n",
            b"\xef\xbb\xbf{}",
        ] {
            let found = error(body);
            assert_eq!(found.field, None);
            assert!(
                found.message.starts_with("failed to decode JSON input: "),
                "{found}"
            );
        }
        assert!(error(b"[1]").message.ends_with("expected an object"));
    }

    #[test]
    fn text_is_repaired() {
        let decoded = decode::<Request>(b"{\"name\":\"\xc3(\\ud800\"}").unwrap();
        assert_eq!(decoded.value.name.as_deref(), Some("\u{fffd}(\u{fffd}"));
    }

    #[test]
    fn query_parameters_become_a_body() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let query = [pair("a", "1"), pair("b", "\"x"), pair("a", "2")];
        assert_eq!(from_query(&query), br#"{"a":["1","2"],"b":"\"x"}"#);
        assert_eq!(from_form(&query), br#"{"a":"1,2","b":"\"x"}"#);
        assert_eq!(from_query(&[]), b"{}");
    }
}
