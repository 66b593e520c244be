//! The members of encrypt, decrypt and rewrap, borrowed from the body.
//!
//! Parsing takes any JSON object; what a member may be is looked at when it is asked for, so that
//! the answer can name it. Members at the top are typed weakly, as everywhere; those of batch items
//! strictly, as existing servers do. Of a member given twice the last counts.

use std::borrow::Cow;
use std::fmt;

use keyfold_core::error::Error;
use serde::Deserialize;
use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::member::Member;

/// Which members a call knows.
pub(super) struct Form {
    /// The member that the call works on, `plaintext` or `ciphertext`.
    pub input: &'static str,
    /// The caller may choose the key version.
    pub key_version: bool,
    /// The call may make a key, of `type` and perhaps with `convergent_encryption`.
    pub creates: bool,
    /// The call may encrypt under another key, `to_key`.
    pub moves: bool,
}

/// A request: one item at the top, or many in `batch_input`.
#[derive(Default)]
pub(super) struct Request<'a> {
    /// Members at the top that items have too.
    pub single: Item<'a>,
    /// The type of a key to be made.
    pub kind: Member<'a>,
    /// A key to be made gives equal ciphertexts for equal plaintexts.
    pub convergent: Member<'a>,
    /// The status of a batch in which some items failed.
    pub partial_failure_response_code: Member<'a>,
    /// `batch_input`; `None` when left out or null.
    pub batch: Option<Vec<Item<'a>>>,
    /// Members that the call does not know; those of items as `batch_input.<name>`.
    pub unknown: Vec<String>,
}

/// What is asked for one input.
#[derive(Default)]
pub(super) struct Item<'a> {
    /// The plaintext in base64, or the ciphertext.
    pub input: Member<'a>,
    /// What a derived key is derived for, in base64.
    pub context: Member<'a>,
    /// What is authenticated with the plaintext, in base64.
    pub associated_data: Member<'a>,
    /// The version to encrypt with.
    pub key_version: Member<'a>,
    /// The key to encrypt under, where it is another one.
    pub to_key: Member<'a>,
    /// Comes back in the item's result.
    pub reference: Member<'a>,
}

impl<'a> Request<'a> {
    /// Parses a body whose text is in order; an empty one and `null` have no members.
    pub fn parse(body: &'a [u8], form: &Form) -> Result<Self, Error> {
        let mut request = Self::default();
        let mut batch = None;
        let body = body.trim_ascii();
        if body.is_empty() || body == b"null" {
            return Ok(request);
        }
        members(body, |name, value| match &*name {
            "type" if form.creates => request.kind = Member::of(value),
            "convergent_encryption" if form.creates => request.convergent = Member::of(value),
            "partial_failure_response_code" => {
                request.partial_failure_response_code = Member::of(value);
            }
            "batch_input" => batch = Some(value.get()).filter(|text| *text != "null"),
            // Outside of a batch nothing has to be told apart.
            "reference" => note(&mut request.unknown, &name),
            _ if request.single.take(&name, value, form) => {}
            _ => note(&mut request.unknown, &name),
        })
        .map_err(|error| Error::bad(format!("failed to decode JSON input: {error}")))?;
        if let Some(batch) = batch {
            request.batch = Some(items(batch, form, &mut request.unknown)?);
        }
        Ok(request)
    }
}

impl<'a> Item<'a> {
    /// The names of the members that are there, but for `reference`.
    pub fn present(&self, form: &Form) -> Vec<&'static str> {
        let members = [
            (form.input, &self.input),
            ("context", &self.context),
            ("associated_data", &self.associated_data),
            ("key_version", &self.key_version),
            ("to_key", &self.to_key),
        ];
        members
            .iter()
            .filter(|(_, member)| member.is_present())
            .map(|(name, _)| *name)
            .collect()
    }

    /// Keeps a member, if items have one of that name.
    fn take(&mut self, name: &str, value: &'a RawValue, form: &Form) -> bool {
        let member = match name {
            "context" => &mut self.context,
            "associated_data" => &mut self.associated_data,
            "key_version" if form.key_version => &mut self.key_version,
            "to_key" if form.moves => &mut self.to_key,
            "reference" => &mut self.reference,
            _ if name == form.input => &mut self.input,
            _ => return false,
        };
        *member = Member::of(value);
        true
    }

    /// The first member whose type is not just what it should be, and that type.
    fn mistyped(&self, form: &Form) -> Option<(&'static str, &'static str)> {
        let texts = [
            (form.input, &self.input),
            ("context", &self.context),
            ("associated_data", &self.associated_data),
            ("to_key", &self.to_key),
            ("reference", &self.reference),
        ];
        let wrong = texts
            .into_iter()
            .find(|(_, member)| !member.is_strict_text());
        wrong.map(|(name, _)| (name, "a string")).or_else(|| {
            (!self.key_version.is_strict_int()).then_some(("key_version", "an integer"))
        })
    }
}

/// The items of a batch. Whoever sends something else than a list of objects with members of the
/// right types did not mean it so: nothing is done then.
fn items<'a>(
    batch: &'a str,
    form: &Form,
    unknown: &mut Vec<String>,
) -> Result<Vec<Item<'a>>, Error> {
    let wrong =
        |what: &dyn fmt::Display| Error::bad(format!("failed to parse batch input: {what}"));
    let list: Vec<&RawValue> =
        serde_json::from_str(batch).map_err(|_| wrong(&"batch_input must be a list"))?;
    let mut items = Vec::with_capacity(list.len());
    for (index, value) in list.into_iter().enumerate() {
        let mut item = Item::default();
        members(value.get().as_bytes(), |name, value| {
            if !item.take(&name, value, form) {
                note(unknown, &format!("batch_input.{name}"));
            }
        })
        .map_err(|_| wrong(&format_args!("[{index}] must be an object")))?;
        if let Some((name, kind)) = item.mistyped(form) {
            return Err(wrong(&format_args!("'[{index}].{name}' must be {kind}")));
        }
        if !item.input.is_present() {
            let missing = missing(form);
            return Err(wrong(&format_args!("'[{index}].{}' {missing}", form.input)));
        }
        items.push(item);
    }
    Ok(items)
}

/// What a call without its input is answered.
pub(super) fn missing(form: &Form) -> &'static str {
    match form.input {
        "plaintext" => "missing plaintext to encrypt",
        _ => "missing ciphertext to decrypt",
    }
}

/// Names that are kept: a body may have very many.
const NOTED: usize = 64;

/// Adds a name once, up to a bound.
fn note(names: &mut Vec<String>, name: &str) {
    if names.len() < NOTED && !names.iter().any(|known| known == name) {
        names.push(name.to_owned());
    }
}

/// Calls `take` with each member of the JSON object in `json`.
fn members<'a>(
    json: &'a [u8],
    take: impl FnMut(Cow<'a, str>, &'a RawValue),
) -> Result<(), serde_json::Error> {
    struct Members<F>(F);

    impl<'de, F: FnMut(Cow<'de, str>, &'de RawValue)> Visitor<'de> for Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((Name(name), value)) = map.next_entry()? {
                (self.0)(name, value);
            }
            Ok(())
        }
    }

    #[derive(Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

    // serde's text for what is no object would quote it.
    if !json.starts_with(b"{") {
        return Err(serde::de::Error::custom("expected an object"));
    }
    let mut json = serde_json::Deserializer::from_slice(json);
    json.deserialize_map(Members(take))?;
    json.end()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENCRYPT: Form = Form {
        input: "plaintext",
        key_version: true,
        creates: true,
        moves: false,
    };
    const DECRYPT: Form = Form {
        input: "ciphertext",
        key_version: false,
        creates: false,
        moves: false,
    };

    fn parse(body: &str) -> Request<'_> {
        Request::parse(body.as_bytes(), &ENCRYPT).unwrap()
    }

    fn error(body: &str) -> String {
        Request::parse(body.as_bytes(), &ENCRYPT)
            .err()
            .unwrap()
            .to_string()
    }

    fn text<'a>(member: &'a Member<'_>) -> Option<Cow<'a, str>> {
        member.text("x").unwrap()
    }

    #[test]
    fn members_at_the_top_are_typed_weakly() {
        let request = parse(r#"{"plaintext":"a\u0062","key_version":"4","type":5,"context":null}"#);
        assert_eq!(text(&request.single.input).unwrap(), "ab");
        assert_eq!(request.single.key_version.int("x").unwrap(), Some(4));
        assert_eq!(text(&request.kind).unwrap(), "5");
        assert!(!request.single.context.is_present());
        assert_eq!(
            request.single.present(&ENCRYPT),
            ["plaintext", "key_version"]
        );
        assert!(request.unknown.is_empty() && request.batch.is_none());
    }

    #[test]
    fn the_last_duplicate_wins() {
        let request = parse(r#"{"plaintext":"!!","plaintext":"YQ=="}"#);
        assert_eq!(request.single.input.as_str(), "YQ==");
    }

    #[test]
    fn names_that_a_call_does_not_know() {
        let body = r#"{"nonce":"x","Plaintext":"","type":1,"reference":"r","nonce":{"a":[]},
            "batch_input":[{"ciphertext":"c","nope":1},{"ciphertext":"c","nope":2,"key_version":1}]}"#;
        let request = Request::parse(body.as_bytes(), &DECRYPT).unwrap();
        let expected = [
            "nonce",
            "Plaintext",
            "type",
            "reference",
            "batch_input.nope",
        ];
        assert_eq!(request.unknown[..5], expected);
        assert_eq!(request.unknown[5..], ["batch_input.key_version"]);
    }

    #[test]
    fn no_members() {
        for body in ["", "  ", "null", " null ", "{}"] {
            assert!(parse(body).single.present(&ENCRYPT).is_empty());
        }
    }

    #[test]
    fn what_is_no_object_is_refused_unquoted() {
        for body in [
            "[1]",
            "\"hush\"",
            "hush",
            "{",
            "{} hush",
            "{\"plaintext\":\"hush",
            "5",
        ] {
            let error = error(body);
            assert!(
                error.starts_with("failed to decode JSON input: "),
                "{error}"
            );
            assert!(!error.contains("hush"), "{error}");
        }
    }

    #[test]
    fn batches_are_typed_strictly() {
        assert!(parse(r#"{"batch_input":null}"#).batch.is_none());
        assert_eq!(parse(r#"{"batch_input":[]}"#).batch.unwrap().len(), 0);
        let nulls = r#"{"batch_input":[{"plaintext":"","context":null,"key_version":null}]}"#;
        assert_eq!(
            parse(nulls).batch.unwrap()[0].present(&ENCRYPT),
            ["plaintext"]
        );
        let table = [
            (r#"{"plaintext":""}"#, "batch_input must be a list"),
            (r#""hush""#, "batch_input must be a list"),
            (r#"["hush"]"#, "[0] must be an object"),
            ("[null]", "[0] must be an object"),
            ("[{}]", "'[0].plaintext' missing plaintext to encrypt"),
            (
                r#"[{"plaintext":null}]"#,
                "'[0].plaintext' missing plaintext to encrypt",
            ),
            (r#"[{"plaintext":5}]"#, "'[0].plaintext' must be a string"),
            (
                r#"[{"plaintext":"","reference":7}]"#,
                "'[0].reference' must be a string",
            ),
            (
                r#"[{"plaintext":"","key_version":"4"}]"#,
                "'[0].key_version' must be an integer",
            ),
        ];
        for (batch, expected) in table {
            let error = error(&format!(r#"{{"batch_input":{batch}}}"#));
            assert_eq!(error, format!("failed to parse batch input: {expected}"));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, value in "[\\[\\]{}\",:a0 \\\\u-]{0,40}") {
            let _ = Request::parse(&bytes, &ENCRYPT);
            for name in ["plaintext", "batch_input", "key_version"] {
                let body = format!("{{\"{name}\":{value}}}");
                if let Ok(request) = Request::parse(body.as_bytes(), &ENCRYPT) {
                    let _ = request.single.input.text("plaintext");
                    let _ = request.single.key_version.int("key_version");
                }
            }
        }
    }
}
