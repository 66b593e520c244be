//! JSON with each string leaf replaced by its HMAC: one pass over the bytes, no tree.

use std::borrow::Cow;

use keyfold_keys::kdf::MacKey;
use serde_json::value::RawValue;

/// `hmac-sha256:<hex>`.
pub(super) fn hash(mac: &MacKey, text: &str) -> String {
    let mut out = String::with_capacity(76);
    out.push_str("hmac-sha256:");
    for byte in mac.tag(text.as_bytes()) {
        // Both digits are below 16, so each is a digit.
        let digit = |n: u8| char::from_digit(u32::from(n), 16).unwrap_or('0');
        out.push(digit(byte >> 4));
        out.push(digit(byte & 0x0f));
    }
    out
}

/// A JSON object with its string leaves hashed, but those below the top-level members named in
/// `exempt`. Bytes that are no JSON become one hash.
pub(super) fn object(mac: &MacKey, json: &[u8], exempt: &[String]) -> Box<RawValue> {
    let text = String::from_utf8(own(mac, json, exempt)).ok();
    // What `transcode` writes is JSON when what it read was.
    text.and_then(|text| RawValue::from_string(text).ok())
        .unwrap_or_else(|| unreadable(mac, json))
}

/// The same for JSON that this program wrote, which needs no second look.
pub(super) fn own(mac: &MacKey, json: &[u8], exempt: &[String]) -> Vec<u8> {
    transcode(mac, json, exempt).unwrap_or_else(|| unreadable(mac, json).get().as_bytes().to_vec())
}

fn unreadable(mac: &MacKey, json: &[u8]) -> Box<RawValue> {
    serde_json::value::to_raw_value(&hash(mac, &String::from_utf8_lossy(json))).unwrap_or_default()
}

/// Where in a container the scan stands.
#[derive(Clone, Copy, PartialEq)]
enum At {
    Key,
    Value,
    Item,
}

fn transcode(mac: &MacKey, json: &[u8], exempt: &[String]) -> Option<Vec<u8>> {
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
                if key || clear {
                    out.extend_from_slice(token);
                } else {
                    out.push(b'"');
                    out.extend_from_slice(hash(mac, &unescape(token)?).as_bytes());
                    out.push(b'"');
                }
                rest = after;
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
        let exempt: Vec<String> = exempt.iter().map(|e| (*e).to_owned()).collect();
        object(&mac(), json.as_bytes(), &exempt).get().to_owned()
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
