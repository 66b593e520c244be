//! `bound_claims`: claims that have to have one of the values that a role names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::claims;
use super::token::Claims;

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Comparison {
    /// They are the same.
    #[default]
    String,
    /// The role's are patterns, in which `*` stands for any text.
    Glob,
}

/// Names of claims, or pointers to them, with the values they may have.
pub(super) type BoundClaims = BTreeMap<String, Value>;

impl Comparison {
    /// Whether values of a role can be compared so; the error names the one that can't.
    pub(super) fn takes(self, bound: &BoundClaims) -> Result<(), String> {
        let mut values = bound.values().flat_map(items);
        match values.find(|value| self == Self::Glob && !value.is_string()) {
            Some(value) => Err(format!("claim is not a string: {value}")),
            None => Ok(()),
        }
    }

    fn matches(self, expected: &Value, actual: &Value) -> bool {
        match (self, expected, actual) {
            (Self::Glob, Value::String(pattern), Value::String(text)) => glob(pattern, text),
            (Self::Glob, ..) => false,
            // 7 and 7.0 are one number.
            (Self::String, Value::Number(a), Value::Number(b)) => {
                a == b || a.as_f64() == b.as_f64()
            }
            (Self::String, ..) => expected == actual,
        }
    }
}

/// Checks that each claim is there and has one of its values; of a claim that is a list one item is
/// enough.
pub(super) fn check(
    claims: &Claims,
    bound: &BoundClaims,
    comparison: Comparison,
) -> Result<(), String> {
    for (name, expected) in bound {
        let actual = claims::find(claims, name);
        let actual = actual.ok_or_else(|| format!("claim \"{name}\" is missing"))?;
        let matches = |actual| {
            items(expected)
                .iter()
                .any(|e| comparison.matches(e, actual))
        };
        if !items(actual).iter().any(matches) {
            return Err(format!(
                "claim \"{name}\" does not match any associated bound claim values"
            ));
        }
    }
    Ok(())
}

/// The items of a list; anything else is a list of itself.
fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        one => std::slice::from_ref(one),
    }
}

/// Whether a text fits a pattern in which `*` stands for any text. In time that grows with the
/// product of their lengths at most.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part).and_then(|at| rest.get(at + part.len()..)) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn globs() {
        for (pattern, text, fits) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "a", true),
            ("*", "", true),
            ("refs/*/main", "refs/heads/main", true),
            ("refs/*/main", "refs/heads/dev", false),
            ("a*a", "a", false),
            ("*b*c", "abbc", true),
            ("*b*c", "abcd", false),
            ("", "", true),
            ("", "a", false),
            ("é*", "éa", true),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn one_value_of_each_claim_has_to_fit() {
        let claims = serde_json::from_value::<Claims>(json!({
            "ref": "refs/heads/main", "groups": ["eng", "ops"], "admin": true, "level": 7,
            "deep": {"name": "eng"},
        }))
        .unwrap();
        let ask = |bound: Value, comparison: Comparison| {
            let bound: BoundClaims = serde_json::from_value(bound).unwrap();
            check(&claims, &bound, comparison).is_ok()
        };
        use Comparison::{Glob, String};
        assert!(ask(
            json!({"groups": ["x", "ops"], "admin": true, "level": 7.0}),
            String
        ));
        assert!(!ask(json!({"level": "7"}), String) && !ask(json!({"level": 8}), String));
        assert!(!ask(json!({"ref": "refs/*"}), String) && ask(json!({"ref": "refs/*"}), Glob));
        assert!(ask(json!({"/deep/name": "e*"}), Glob) && !ask(json!({"admin": "*"}), Glob));
        assert!(!ask(json!({"absent": "x"}), String) && !ask(json!({"groups": []}), String));
        assert!(!ask(json!({"deep": {"name": "x"}}), String));
        let bound: BoundClaims = serde_json::from_value(json!({"a": ["b", 5]})).unwrap();
        assert!(Glob.takes(&bound).is_err() && String.takes(&bound).is_ok());
    }
}
