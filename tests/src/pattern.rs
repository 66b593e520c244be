//! Does an answer hold what a story expects, and where in it.
//!
//! An expected object names members that must be there and may leave out others; lists must have the same length;
//! other values must be equal. A text in angle brackets is a pattern:
//!
//! | pattern | holds for |
//! |---|---|
//! | `<any>` | anything that is there |
//! | `<null>` `<string>` `<number>` `<bool>` `<list>` `<object>` | a value of that kind (TOML has no null) |
//! | `<starts:TEXT>` `<contains:TEXT>` | a text |
//! | `<time>` | an RFC 3339 time in UTC |

use serde_json::Value;

/// The first place where `got` does not hold `expected`, in words; `None` when all holds.
pub fn mismatch(expected: &Value, got: &Value) -> Option<String> {
    compare("$", expected, got)
}

/// The value at a path such as `$.data.keys[0]` or `$["secret/"].type`.
pub fn find<'v>(root: &'v Value, path: &str) -> Option<&'v Value> {
    let mut value = root;
    let mut rest = path.strip_prefix('$')?;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let (name, after) = quoted.split_once("\"]")?;
            value = value.get(name)?;
            rest = after;
        } else if let Some(index) = rest.strip_prefix('[') {
            let (index, after) = index.split_once(']')?;
            value = value.get(index.parse::<usize>().ok()?)?;
            rest = after;
        } else {
            let name = rest.strip_prefix('.')?;
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, after) = name.split_at(end);
            value = value.get(name)?;
            rest = after;
        }
    }
    Some(value)
}

fn compare(at: &str, expected: &Value, got: &Value) -> Option<String> {
    let wrong = || Some(format!("at {at}: expected {expected}, got {got}"));
    match (expected, got) {
        (Value::String(text), got) if text.starts_with('<') && text.ends_with('>') => {
            if holds(text, got) { None } else { wrong() }
        }
        (Value::Object(members), Value::Object(have)) => {
            members.iter().find_map(|(name, value)| {
                let at = format!("{at}.{name}");
                match have.get(name) {
                    Some(got) => compare(&at, value, got),
                    None => Some(format!("at {at}: expected {value}, got nothing")),
                }
            })
        }
        (Value::Array(items), Value::Array(have)) => {
            if items.len() != have.len() {
                return wrong();
            }
            let pairs = items.iter().zip(have).enumerate();
            pairs
                .into_iter()
                .find_map(|(i, (item, got))| compare(&format!("{at}[{i}]"), item, got))
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
        (expected, got) if expected == got => None,
        _ => wrong(),
    }
}

fn holds(pattern: &str, got: &Value) -> bool {
    let inner = pattern.trim_start_matches('<').trim_end_matches('>');
    let text = got.as_str();
    if let Some(start) = inner.strip_prefix("starts:") {
        return text.is_some_and(|text| text.starts_with(start));
    }
    if let Some(part) = inner.strip_prefix("contains:") {
        return text.is_some_and(|text| text.contains(part));
    }
    match inner {
        "any" => true,
        "null" => got.is_null(),
        "string" => got.is_string(),
        "number" => got.is_number(),
        "bool" => got.is_boolean(),
        "list" => got.is_array(),
        "object" => got.is_object(),
        "time" => text.is_some_and(is_time),
        _ => text == Some(pattern),
    }
}

/// `2030-01-01T00:00:00Z`, with or without a fraction.
fn is_time(text: &str) -> bool {
    let shape = "dddd-dd-ddTdd:dd:dd";
    let fits = |(want, got): (char, char)| {
        if want == 'd' {
            got.is_ascii_digit()
        } else {
            got == want
        }
    };
    let Some(fraction) = text
        .get(shape.len()..)
        .and_then(|rest| rest.strip_suffix('Z'))
    else {
        return false;
    };
    let digits = fraction.strip_prefix('.').unwrap_or(fraction);
    shape.chars().zip(text.chars()).all(fits) && digits.chars().all(|c| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_expected_object_may_leave_members_out_but_not_differ() {
        let got = json!({"a": 1, "b": {"c": [1, {"d": "x", "e": null}]}});
        for (expected, fits) in [
            (json!({}), true),
            (json!({"a": 1.0}), true),
            (json!({"b": {"c": [1, {"d": "<string>"}]}}), true),
            (json!({"b": {"c": [1]}}), false),
            (json!({"b": {"c": [1, {"e": "<null>"}]}}), true),
            (json!({"a": "1"}), false),
            (json!({"missing": "<any>"}), false),
            (json!({"missing": "<null>"}), false),
            (json!([]), false),
        ] {
            assert_eq!(mismatch(&expected, &got).is_none(), fits, "{expected}");
        }
    }

    #[test]
    fn patterns_hold_for_their_kind_only() {
        for (pattern, got, fits) in [
            ("<starts:vault:v2:>", json!("vault:v2:abc"), true),
            ("<starts:vault:v2:>", json!("vault:v1:abc"), false),
            ("<contains:b>", json!("abc"), true),
            ("<contains:b>", json!(1), false),
            ("<number>", json!("1"), false),
            ("<bool>", json!(false), true),
            ("<list>", json!([]), true),
            ("<object>", json!([]), false),
            ("<time>", json!("2030-01-01T00:00:00.123456789Z"), true),
            ("<time>", json!("2030-01-01T00:00:00Z"), true),
            ("<time>", json!("2030-01-01 00:00:00Z"), false),
            ("<time>", json!("2030-01-01T00:00:00+01:00"), false),
            ("<unknown>", json!("<unknown>"), true),
        ] {
            assert_eq!(
                mismatch(&json!(pattern), &got).is_none(),
                fits,
                "{pattern} {got}"
            );
        }
    }

    #[test]
    fn paths_lead_to_members_items_and_odd_names() {
        let value = json!({"data": {"keys": ["a", "b"]}, "secret/": {"type": "kv"}});
        assert_eq!(find(&value, "$.data.keys[1]"), Some(&json!("b")));
        assert_eq!(find(&value, "$[\"secret/\"].type"), Some(&json!("kv")));
        assert_eq!(find(&value, "$"), Some(&value));
        for path in [
            "",
            "data",
            "$.none",
            "$.data.keys[2]",
            "$.data.keys[x]",
            "$.data.keys[",
        ] {
            assert_eq!(find(&value, path), None, "{path}");
        }
    }
}
