//! The parts of a rule that look into the request: which parameters it may, must and must not
//! have.

use std::collections::BTreeMap;

use keyfold_api::weak::parse_bool;
use serde_json::{Map, Value};

/// Where the parameters of a request come from. Asked only when a rule has something to say about
/// them, so that other requests never pay for it.
pub trait ParamSource {
    /// The top-level members of the body; `None` when it can't be read, which denies.
    fn params(&self) -> Option<Map<String, Value>>;
}

/// A request without parameters.
pub struct NoParams;

/// The parameters in a JSON body.
pub struct JsonParams<'a>(pub &'a [u8]);

impl ParamSource for NoParams {
    fn params(&self) -> Option<Map<String, Value>> {
        Some(Map::new())
    }
}

impl ParamSource for JsonParams<'_> {
    fn params(&self) -> Option<Map<String, Value>> {
        match self.0.trim_ascii() {
            b"" | b"null" => Some(Map::new()),
            body => serde_json::from_slice(body).ok(),
        }
    }
}

/// Parameter name, in lower case, to the values it is about; no values means all of them. The
/// name `*` is about all parameters.
pub type Table = BTreeMap<String, Vec<Value>>;

/// The constraints of a rule. Empty ones constrain nothing.
#[derive(Clone, Default)]
pub struct Params {
    /// These and no others.
    pub allowed: Table,
    /// None of these.
    pub denied: Table,
    /// All of these.
    pub required: Vec<String>,
}

impl Params {
    pub(super) fn is_empty(&self) -> bool {
        self.allowed.is_empty() && self.denied.is_empty() && self.required.is_empty()
    }

    /// Adds the constraints of another rule for the same path.
    pub(super) fn merge(&mut self, other: &Self) {
        merge_tables(&mut self.allowed, &other.allowed);
        merge_tables(&mut self.denied, &other.denied);
        for name in &other.required {
            if !self.required.contains(name) {
                self.required.push(name.clone());
            }
        }
    }

    /// Whether a request with these parameters may pass.
    pub(super) fn permit(&self, given: &Map<String, Value>) -> bool {
        if !self.required.iter().all(|name| given.contains_key(name)) {
            return false;
        }
        if given.is_empty() {
            return true;
        }
        if self.denied.contains_key("*") {
            return false;
        }
        let denied = given.iter().any(|(name, value)| {
            self.denied
                .get(&name.to_lowercase())
                .is_some_and(|values| is_denied(value, values))
        });
        !denied && (self.allowed.is_empty() || given.iter().all(|(n, v)| self.is_allowed(n, v)))
    }

    /// Whether a list request may pass under a page limit. A `limit` that asks for no more than
    /// that, for nothing in particular (then it is cut to the limit), or for `max` may. A negative
    /// one asks for all, which is more.
    pub(super) fn permit_page(&self, limit: u32, given: &Map<String, Value>) -> bool {
        match given.get("limit") {
            None | Some(Value::Null) => !self.required.iter().any(|name| name == "limit"),
            Some(Value::String(word)) if word.is_empty() || word == "max" => true,
            Some(asked) => match text(asked).and_then(|text| text.parse::<u64>().ok()) {
                Some(asked) => asked <= u64::from(limit),
                None => false,
            },
        }
    }

    fn is_allowed(&self, name: &str, value: &Value) -> bool {
        match self.allowed.get(&name.to_lowercase()) {
            Some(values) => values.is_empty() || values.iter().any(|rule| means(rule, value)),
            None => self.allowed.contains_key("*"),
        }
    }
}

fn merge_tables(table: &mut Table, other: &Table) {
    for (name, values) in other {
        match table.get_mut(name) {
            None => {
                table.insert(name.clone(), values.clone());
            }
            // "All values" stays all values.
            Some(known) if known.is_empty() || values.is_empty() => known.clear(),
            Some(known) => known.extend(values.iter().cloned()),
        }
    }
}

/// A list is denied for any of its elements: many calls take a list where they take one value.
fn is_denied(value: &Value, values: &[Value]) -> bool {
    let single = |value: &Value| values.iter().any(|rule| means(rule, value));
    values.is_empty()
        || single(value)
        || value
            .as_array()
            .is_some_and(|elements| elements.iter().any(single))
}

/// Whether a value of the policy stands for one of the request. Strings of the policy may have
/// `*` at their ends. Numbers and booleans are the same as their texts, because the calls take
/// them for each other.
fn means(rule: &Value, value: &Value) -> bool {
    match (text(rule), text(value)) {
        (Some(pattern), Some(text)) => {
            let alike = rule.is_string() && glob(&pattern, &text);
            let same_bool = || {
                (rule.is_boolean() || value.is_boolean())
                    && parse_bool(&pattern).is_some()
                    && parse_bool(&pattern) == parse_bool(&text)
            };
            alike || pattern == text || same_bool()
        }
        _ => rule == value,
    }
}

/// The text of a scalar; `null`, lists and objects have none.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `x*`, `*x`, `*x*` or the text itself.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    if pattern.len() < 2 {
        return pattern == "*" || pattern == text;
    }
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), Some(_)) => text.contains(end.strip_suffix('*').unwrap_or(end)),
        (Some(end), None) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => pattern == text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(value: Value) -> Table {
        serde_json::from_value(value).unwrap()
    }

    fn params(allowed: Value, denied: Value, required: &[&str]) -> Params {
        let required = required.iter().map(|&name| name.to_owned()).collect();
        Params {
            allowed: table(allowed),
            denied: table(denied),
            required,
        }
    }

    fn permits(params: &Params, body: Value) -> bool {
        params.permit(body.as_object().unwrap())
    }

    #[test]
    fn allowed() {
        let rule = params(json!({"k": ["a", "b*"], "n": []}), json!({}), &[]);
        let table = [
            (json!({}), true),
            (json!({"k": "a"}), true),
            (json!({"K": "a"}), true),
            (json!({"k": "bcd", "n": {"any": 1}}), true),
            (json!({"k": "z"}), false),
            (json!({"k": null}), false),
            (json!({"k": ["a"]}), false),
            (json!({"zzz": "a"}), false),
        ];
        for (body, expected) in table {
            assert_eq!(permits(&rule, body.clone()), expected, "{body}");
        }
        let star = params(json!({"*": [], "k": ["a"]}), json!({}), &[]);
        assert!(permits(&star, json!({"x": 1, "k": "a"})) && !permits(&star, json!({"k": "b"})));
    }

    #[test]
    fn denied() {
        let rule = params(json!({}), json!({"k": ["a*", true, 5], "n": []}), &[]);
        let table = [
            (json!({"x": "a"}), true),
            (json!({"k": "b"}), true),
            (json!({"k": "ab"}), false),
            (json!({"k": ["x", "ab"]}), false),
            (json!({"k": true}), false),
            (json!({"k": "true"}), false),
            (json!({"k": "1"}), false),
            (json!({"k": "5"}), false),
            (json!({"k": 5}), false),
            (json!({"N": "any"}), false),
        ];
        for (body, expected) in table {
            assert_eq!(permits(&rule, body.clone()), expected, "{body}");
        }
        let star = params(json!({"k": []}), json!({"*": []}), &[]);
        assert!(permits(&star, json!({})) && !permits(&star, json!({"k": 1})));
    }

    #[test]
    fn required() {
        let rule = params(json!({}), json!({}), &["must"]);
        assert!(permits(&rule, json!({"must": null, "x": 1})));
        assert!(!permits(&rule, json!({"x": 1})) && !permits(&rule, json!({})));
    }

    #[test]
    fn pages() {
        let rule = Params::default();
        let page = |body: Value| rule.permit_page(2, body.as_object().unwrap());
        for body in [
            json!({}),
            json!({"limit": 2}),
            json!({"limit": "1"}),
            json!({"limit": "max"}),
            json!({"limit": 0}),
            json!({"limit": ""}),
        ] {
            assert!(page(body.clone()), "{body}");
        }
        for body in [
            json!({"limit": 3}),
            json!({"limit": -1}),
            json!({"limit": "-1"}),
            json!({"limit": "x"}),
            json!({"limit": [1]}),
        ] {
            assert!(!page(body.clone()), "{body}");
        }
        let required = params(json!({}), json!({}), &["limit"]);
        assert!(!required.permit_page(2, &Map::new()));
    }

    #[test]
    fn all_values_stay_all_values_when_merged() {
        let mut one = params(json!({"a": ["x"], "b": []}), json!({"c": ["x"]}), &["r"]);
        one.merge(&params(
            json!({"a": ["y"], "b": ["z"], "d": ["w"]}),
            json!({"c": []}),
            &["r"],
        ));
        assert_eq!(
            one.allowed,
            table(json!({"a": ["x", "y"], "b": [], "d": ["w"]}))
        );
        assert_eq!(one.denied, table(json!({"c": []})));
        assert_eq!(one.required, ["r"]);
    }

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("", "", true),
            ("**", "x", true),
            ("a", "a", true),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("*b*", "abc", true),
            ("a*c", "abc", false),
            ("", "a", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern:?} {text:?}");
        }
    }
}
