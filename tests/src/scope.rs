//! The values a story has at hand: `${name}` in its texts.
//!
//! Captured values have the name the story gave them. `root` (the root token), `key` (the only share of a ready
//! server), `dir` (its temporary folder) and `address` are there from the start. Three forms are worked out:
//! `${b64:TEXT}` is the base64 of TEXT, `${repeat:TEXT:N}` is TEXT n times, `${flip:NAME}` is the captured ciphertext
//! with one bit of its last byte turned.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

/// Names and their values.
#[derive(Debug, Default)]
pub struct Scope {
    values: BTreeMap<String, Value>,
}

impl Scope {
    /// Gives a name to a value; a later one takes its place.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.values.insert(name.into(), value.into());
    }

    /// The text that a name stands for.
    pub fn text(&self, name: &str) -> Option<String> {
        Some(plain(self.values.get(name)?))
    }

    /// Puts values in the place of every `${…}`. An unknown name is an error: the name.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| format!("unclosed ${{ in {text:?}"))?;
            out.push_str(before);
            out.push_str(
                &self
                    .resolve(name)
                    .ok_or_else(|| format!("nothing is called ${{{name}}}"))?,
            );
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// [`fill`](Self::fill) for every text and member name in a JSON value. A text that is one `${name}` and nothing
    /// else becomes the captured value with its type.
    pub fn fill_json(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => match self.whole(text) {
                Some(value) => value.clone(),
                None => Value::String(self.fill(text)?),
            },
            Value::Array(items) => items
                .iter()
                .map(|item| self.fill_json(item))
                .collect::<Result<_, _>>()?,
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| Ok((self.fill(name)?, self.fill_json(value)?)))
                .collect::<Result<_, String>>()?,
            other => other.clone(),
        })
    }

    fn whole(&self, text: &str) -> Option<&Value> {
        self.values.get(text.strip_prefix("${")?.strip_suffix('}')?)
    }

    fn resolve(&self, name: &str) -> Option<String> {
        if let Some(text) = name.strip_prefix("b64:") {
            return Some(STANDARD.encode(text));
        }
        if let Some(repeat) = name.strip_prefix("repeat:") {
            let (text, times) = repeat.rsplit_once(':')?;
            return Some(text.repeat(times.parse().ok()?));
        }
        if let Some(name) = name.strip_prefix("flip:") {
            return flip(&self.text(name)?);
        }
        self.text(name)
    }
}

/// `vault:v1:BASE64` with the lowest bit of the last byte turned.
fn flip(ciphertext: &str) -> Option<String> {
    let (prefix, body) = ciphertext.rsplit_once(':')?;
    let mut bytes = STANDARD.decode(body).ok()?;
    *bytes.last_mut()? ^= 1;
    Some(format!("{prefix}:{}", STANDARD.encode(bytes)))
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scope() -> Scope {
        let mut scope = Scope::default();
        scope.set("n", 5);
        scope.set("name", "x");
        scope.set("c", "vault:v1:AAAA");
        scope
    }

    #[test]
    fn names_and_forms_are_filled_in() {
        let scope = scope();
        assert_eq!(scope.fill("a ${name}-${n} b").unwrap(), "a x-5 b");
        assert_eq!(scope.fill("${b64:hello}").unwrap(), "aGVsbG8=");
        assert_eq!(scope.fill("${repeat:ab:3}").unwrap(), "ababab");
        assert_eq!(scope.fill("${flip:c}").unwrap(), "vault:v1:AAAB");
        assert_eq!(scope.fill("$name {n}").unwrap(), "$name {n}");
    }

    #[test]
    fn unknown_names_and_open_braces_are_errors() {
        assert!(scope().fill("${none}").unwrap_err().contains("none"));
        assert!(scope().fill("${name").is_err());
        assert!(scope().fill("${repeat:a:x}").is_err());
    }

    #[test]
    fn a_lone_name_keeps_its_type() {
        let filled = scope()
            .fill_json(&json!({"a${name}": ["${n}", "${n}."]}))
            .unwrap();
        assert_eq!(filled, json!({"ax": [5, "5."]}));
    }
}
