//! JSON with each string leaf replaced by its HMAC: one pass over the bytes, no tree.

use std::borrow::Cow;

use keyfold_keys::kdf::MacKey;
use serde_json::value::RawValue;

use super::format::Format;

/// How a device's lines show what is secret.
#[derive(Clone, Copy)]
pub(super) struct Veil<'a> {
    /// Under the vault's own audit key.
    pub mac: &'a MacKey,
    /// The device's.
    pub format: &'a Format,
}

impl Veil<'_> {
    /// A token, or another secret text.
    pub fn text<'t>(self, text: &'t str) -> Cow<'t, str> {
        if self.format.raw {
            Cow::Borrowed(text)
        } else {
            Cow::Owned(hash(self.mac, text))
        }
    }

    /// An accessor.
    pub fn accessor<'t>(self, text: &'t str) -> Cow<'t, str> {
        if self.format.clear_accessor {
            Cow::Borrowed(text)
        } else {
            self.text(text)
        }
    }

    /// A JSON object with its string leaves veiled, but those below the top-level members named in
    /// `exempt`. Bytes that are no JSON become one string.
    pub fn object(self, json: &[u8], exempt: &[String]) -> Box<RawValue> {
        let text = String::from_utf8(self.own(json, exempt)).ok();
        // What `transcode` writes is JSON when what it read was.
        text.and_then(|text| RawValue::from_string(text).ok())
            .unwrap_or_else(|| self.unreadable(json))
    }

    /// The same for JSON that this program wrote, which needs no second look.
    pub fn own(self, json: &[u8], exempt: &[String]) -> Vec<u8> {
        let mac = (!self.format.raw).then_some(self.mac);
        transcode(mac, json, exempt)
            .unwrap_or_else(|| self.unreadable(json).get().as_bytes().to_vec())
    }

    fn unreadable(self, json: &[u8]) -> Box<RawValue> {
        let text = String::from_utf8_lossy(json);
        serde_json::value::to_raw_value(&*self.text(&text)).unwrap_or_default()
    }
}

/// `hmac-sha256:<hex>`.
pub(super) fn hash(mac: &MacKey, text: &str) -> String {
    let mut out = String::with_capacity(76);
    push_hash(mac, text, |part| out.push_str(part));
    out
}

fn push_hash(mac: &MacKey, text: &str, mut push: impl FnMut(&str)) {
    push("hmac-sha256:");
    push(mac.hex(text.as_bytes()).as_str());
}

/// Where in a container the scan stands.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Key,
    Value,
    Item,
}

/// Copies JSON without its white space, so that a line stays one line; with its string leaves as
/// HMACs where there is a key.
fn transcode(mac: Option<&MacKey>, json: &[u8], exempt: &[String]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(json.len() + 256);
    let mut stack: Vec<At> = Vec::new();
    let mut clear = false;
    let mut rest = json;
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            b'"' => {
                let length = string_length(rest)?;
                let (token, after) = rest.split_at_checked(length)?;
                let key = stack.last() == Some(&At::Key);
                if key && stack.len() == 1 {
                    clear = !exempt.is_empty() && {
                        let name = unescape(token)?;
                        exempt.iter().any(|e| *e == *name)
                    };
                }
                match mac {
                    Some(mac) if !key && !clear => {
                        out.push(b'"');
                        push_hash(mac, &unescape(token)?, |part| {
                            out.extend_from_slice(part.as_bytes());
                        });
                        out.push(b'"');
                    }
                    _ => out.extend_from_slice(token),
                }
                rest = after;
                continue;
            }
            b' ' | b'\t' | b'\r' | b'\n' => {
                rest = tail;
                continue;
            }
            b'{' => stack.push(At::Key),
            b'[' => stack.push(At::Item),
            b'}' | b']' => {
                stack.pop()?;
            }
            b':' => *stack.last_mut()? = At::Value,
            b',' => {
                let top = stack.last_mut()?;
                if *top == At::Value {
                    *top = At::Key;
                }
            }
            _ => {}
        }
        out.push(byte);
        rest = tail;
    }
    stack.is_empty().then_some(out)
}

/// Length of the string token that `bytes` begin with, quotes included.
fn string_length(bytes: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (index, byte) in bytes.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

fn unescape(token: &[u8]) -> Option<Cow<'_, str>> {
    if !token.contains(&b'\\') {
        let inner = token.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        return std::str::from_utf8(inner).ok().map(Cow::Borrowed);
    }
    serde_json::from_slice::<String>(token).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac() -> MacKey {
        MacKey::new(&[7; 32])
    }

    fn redacted(json: &str, exempt: &[&str]) -> String {
        veiled(&Format::default(), json, exempt)
    }

    fn veiled(format: &Format, json: &str, exempt: &[&str]) -> String {
        let exempt: Vec<String> = exempt.iter().map(|e| (*e).to_owned()).collect();
        let mac = mac();
        let veil = Veil { mac: &mac, format };
        veil.object(json.as_bytes(), &exempt).get().to_owned()
    }

    /// A body may have line breaks between its tokens; in a log they would end the line, and what
    /// comes after could be made to look like another.
    #[test]
    fn no_white_space_of_a_body_gets_into_a_line() {
        let json = "{ \"a\" :\n[ 1,\r\n\t{\"b c\": null}\n] }\n";
        assert_eq!(redacted(json, &[]), r#"{"a":[1,{"b c":null}]}"#);
    }

    #[test]
    fn raw_lines_have_all_in_clear() {
        let raw = Format {
            raw: true,
            ..Format::default()
        };
        let json = r#"{"a":"x", "l":["y"], "n":1}"#;
        assert_eq!(veiled(&raw, json, &[]), r#"{"a":"x","l":["y"],"n":1}"#);
        assert_eq!(veiled(&raw, "no\njson", &[]), r#""no\njson""#);
    }

    #[test]
    fn string_leaves_are_hashed_and_nothing_else() {
        let h = |t: &str| hash(&mac(), t);
        assert_eq!(
            redacted(
                r#"{"a":"x","n":1.50,"b":true,"z":null,"l":["x",{"k":"y"}]}"#,
                &[]
            ),
            format!(
                r#"{{"a":"{}","n":1.50,"b":true,"z":null,"l":["{}",{{"k":"{}"}}]}}"#,
                h("x"),
                h("x"),
                h("y")
            )
        );
    }

    #[test]
    fn escapes_are_undone_before_hashing() {
        let h = hash(&mac(), "a\"\u{e9},}");
        assert_eq!(
            redacted(r#"{"a":"a\"\u00e9,}"}"#, &[]),
            format!(r#"{{"a":"{h}"}}"#)
        );
    }

    #[test]
    fn exempt_members_stand_in_clear_with_all_below() {
        let out = redacted(r#"{"a":{"b":"x"},"c":"x"}"#, &["a"]);
        assert_eq!(
            out,
            format!(r#"{{"a":{{"b":"x"}},"c":"{}"}}"#, hash(&mac(), "x"))
        );
    }

    #[test]
    fn no_text_of_what_is_no_json_survives() {
        for json in [
            "canary",
            "{\"a\":\"canary",
            "\"canary\"]",
            "{\"a\" \"canary\"}}",
            "[canary]",
        ] {
            let out = redacted(json, &[]);
            assert!(!out.contains("canary"), "{out}");
        }
    }
}
