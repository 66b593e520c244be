//! JSON before it is decoded: repairs that existing servers make, and limits.

use std::{borrow::Cow, collections::HashMap};

use memchr::{memchr, memchr2};
use serde_json::value::RawValue;

/// How much structure a body may have. Both are checked before anything is decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Nested arrays and objects.
    pub depth: usize,
    /// Strings, member names included. `0` means any number.
    pub strings: usize,
}

impl Default for Limits {
    /// Depth 1,024 (the peer is known to take 600) and the peer's 1,000 strings.
    fn default() -> Self {
        Self {
            depth: 1024,
            strings: 1000,
        }
    }
}

/// The caller's JSON has too much structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComplexityError {
    /// More nesting than [`Limits::depth`].
    #[error("refused JSON input due to high complexity: exceeded maximum depth")]
    Depth,
    /// More strings than [`Limits::strings`].
    #[error("refused JSON input due to high complexity: exceeded maximum number of strings")]
    Strings,
}

/// Checks `json` against `limits` in one pass without recursion. Says nothing about whether it is
/// well-formed.
pub fn complexity(json: &[u8], limits: Limits) -> Result<(), ComplexityError> {
    let (mut depth, mut strings) = (0_usize, 0_usize);
    let mut rest = json;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => {
                strings += 1;
                if limits.strings != 0 && strings > limits.strings {
                    return Err(ComplexityError::Strings);
                }
                rest = after_string(rest);
            }
            b'[' | b'{' => {
                depth += 1;
                if depth > limits.depth {
                    return Err(ComplexityError::Depth);
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Replaces invalid UTF-8 and escaped lone surrogates (`\ud800`) by U+FFFD, as existing servers
/// do. Gives the input back untouched when there is nothing to do, which costs one scan.
pub fn sanitize(json: &[u8]) -> Cow<'_, [u8]> {
    let utf8 = match std::str::from_utf8(json) {
        Ok(_) => Cow::Borrowed(json),
        Err(_) => Cow::Owned(String::from_utf8_lossy(json).into_owned().into_bytes()),
    };
    if memchr(b'\\', &utf8).is_none() {
        return utf8;
    }
    match replace_lone_surrogates(&utf8) {
        Some(repaired) => Cow::Owned(repaired),
        None => utf8,
    }
}

/// Rewrites `json` so that no object has a member twice: the last one wins, as for existing
/// servers. `None` when it is not JSON or nested deeper than 128.
pub(crate) fn deduplicate(json: &[u8]) -> Option<Vec<u8>> {
    let raw: &RawValue = serde_json::from_slice(json).ok()?;
    let mut out = Vec::with_capacity(json.len());
    write_deduplicated(raw, 128, &mut out)?;
    Some(out)
}

/// What follows the closing quote of a string whose opening quote was just read.
fn after_string(mut rest: &[u8]) -> &[u8] {
    loop {
        let Some(at) = memchr2(b'"', b'\\', rest) else {
            return &[];
        };
        let escaped = rest.get(at) == Some(&b'\\');
        rest = rest
            .get(at + 1 + usize::from(escaped)..)
            .unwrap_or_default();
        if !escaped {
            return rest;
        }
    }
}

/// `None` when there is no lone surrogate. Outside of strings a backslash is not JSON at all, so
/// every escape may be looked at alike.
fn replace_lone_surrogates(json: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    // Start of what `out` has not got yet.
    let mut copied = 0;
    let mut at = 0;
    while let Some(offset) = json.get(at..).and_then(|rest| memchr(b'\\', rest)) {
        at += offset;
        match unicode_escape(json, at) {
            None => at += 2,
            Some(0xD800..=0xDBFF)
                if matches!(unicode_escape(json, at + 6), Some(0xDC00..=0xDFFF)) =>
            {
                at += 12;
            }
            Some(0xD800..=0xDFFF) => {
                let repaired = out.get_or_insert_with(|| Vec::with_capacity(json.len()));
                repaired.extend_from_slice(json.get(copied..at).unwrap_or_default());
                repaired.extend_from_slice("\u{FFFD}".as_bytes());
                at += 6;
                copied = at;
            }
            Some(_) => at += 6,
        }
    }
    let mut repaired = out?;
    repaired.extend_from_slice(json.get(copied..).unwrap_or_default());
    Some(repaired)
}

/// The code unit of the escape, `\u` and four hex digits, at offset `at`.
fn unicode_escape(json: &[u8], at: usize) -> Option<u16> {
    let (prefix, hex) = json.get(at..at.checked_add(6)?)?.split_at_checked(2)?;
    if prefix != b"\\u" || !hex.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
}

fn write_deduplicated(raw: &RawValue, depth: usize, out: &mut Vec<u8>) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    match raw.get().as_bytes().first() {
        Some(b'{') => {
            let members: Members<'_> = serde_json::from_str(raw.get()).ok()?;
            out.push(b'{');
            for (index, (name, value)) in members.0.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, &name).ok()?;
                out.push(b':');
                write_deduplicated(value, depth, out)?;
            }
            out.push(b'}');
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
            out.push(b'[');
            for (index, value) in elements.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_deduplicated(value, depth, out)?;
            }
            out.push(b']');
        }
        _ => out.extend_from_slice(raw.get().as_bytes()),
    }
    Some(())
}

/// An object's members in order, each name once, with its last value.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut members: Vec<(String, &RawValue)> = Vec::new();
                let mut places: HashMap<String, usize> = HashMap::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    match places.get(&name).and_then(|&place| members.get_mut(place)) {
                        Some(member) => member.1 = value,
                        None => {
                            places.insert(name.clone(), members.len());
                            members.push((name, value));
                        }
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complexity_is_bounded_without_recursion() {
        let limits = Limits::default();
        let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        assert_eq!(complexity(&nested(1024), limits), Ok(()));
        assert_eq!(
            complexity(&nested(1025), limits),
            Err(ComplexityError::Depth)
        );
        assert_eq!(
            complexity(&b"[".repeat(10_000_000), limits),
            Err(ComplexityError::Depth)
        );
        let strings = |count: usize| format!("[{}]", vec!["\"a\""; count].join(","));
        assert_eq!(complexity(strings(1000).as_bytes(), limits), Ok(()));
        assert_eq!(
            complexity(strings(1001).as_bytes(), limits),
            Err(ComplexityError::Strings)
        );
        let brackets_in_strings = format!(r#"{{"k":"{}"}}"#, r#"[\"{"#.repeat(5000));
        assert_eq!(complexity(brackets_in_strings.as_bytes(), limits), Ok(()));
    }

    #[test]
    fn sanitize_repairs_as_the_peer_does() {
        let table: [(&[u8], &str); 8] = [
            (b"{\"k\":\"\xc3(\"}", "{\"k\":\"\u{fffd}(\"}"),
            (br#"{"k":"\ud800"}"#, "{\"k\":\"\u{fffd}\"}"),
            (br#"["\udc00\ud800x"]"#, "[\"\u{fffd}\u{fffd}x\"]"),
            (br#"["\ud83d\ude00"]"#, r#"["\ud83d\ude00"]"#),
            (br#"["\\ud800"]"#, r#"["\\ud800"]"#),
            (br#"["\ud800\ud83d\ude00"]"#, "[\"\u{fffd}\\ud83d\\ude00\"]"),
            (br#"["\ud80"#, r#"["\ud80"#),
            (br"\", r"\"),
        ];
        for (input, output) in table {
            assert_eq!(sanitize(input), output.as_bytes());
        }
        assert!(matches!(sanitize(br#"{"a":"b\n"}"#), Cow::Borrowed(_)));
    }

    #[test]
    fn the_last_duplicate_wins_at_every_depth() {
        let json = br#" {"a":1,"b":[{"c":2,"c":{"d":1,"d":3}}],"a":1.50} "#;
        assert_eq!(
            deduplicate(json).unwrap(),
            br#"{"a":1.50,"b":[{"c":{"d":3}}]}"#
        );
        assert!(deduplicate(&[b"[".repeat(200), b"]".repeat(200)].concat()).is_none());
        assert!(deduplicate(b"{").is_none());
    }
}
