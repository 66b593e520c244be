//! A JSON text as a tree of its objects. What is no object stays the text that it was, so that no
//! number loses a digit.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

/// How deep objects are taken apart; what lies deeper is a leaf.
const DEEPEST: usize = 256;
const NULL: &str = "null";

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree<'a> {
    /// Its members; of those of one name the last.
    Object(BTreeMap<String, Tree<'a>>),
    /// Anything else, as it is written.
    Leaf(&'a str),
}

impl<'a> Tree<'a> {
    /// Takes apart what is known to be JSON; `None` where it turns out to be none.
    pub fn parse(json: &'a str) -> Option<Self> {
        let (tree, rest) = value(json.trim_start(), DEEPEST)?;
        rest.trim_start().is_empty().then_some(tree)
    }

    /// It has objects below [`DEEPEST`], which were not taken apart.
    pub fn is_cut(&self) -> bool {
        match self {
            Self::Object(members) => members.values().any(Self::is_cut),
            Self::Leaf(text) => text.starts_with('{'),
        }
    }

    /// The value after a merge-patch (RFC 7396).
    pub fn patched(self, patch: &Self) -> Self {
        let Self::Object(changes) = patch else {
            return patch.clone();
        };
        let mut members = match self {
            Self::Object(members) => members,
            Self::Leaf(_) => BTreeMap::new(),
        };
        for (name, change) in changes {
            let old = members.remove(name).unwrap_or(Self::Leaf(NULL));
            if *change != Self::Leaf(NULL) {
                members.insert(name.clone(), old.patched(change));
            }
        }
        Self::Object(members)
    }

    /// The names alone, down to a depth: all that has none below it is null.
    pub fn names(self, depth: usize) -> Self {
        match self {
            Self::Object(members) => {
                let below = depth.saturating_sub(1);
                let names = members.into_iter().map(|(name, value)| {
                    let open = matches!(&value, Self::Object(m) if !m.is_empty());
                    let value = if open && below > 0 {
                        value.names(below)
                    } else {
                        Self::Leaf(NULL)
                    };
                    (name, value)
                });
                Self::Object(names.collect())
            }
            Self::Leaf(_) => Self::Leaf(NULL),
        }
    }
}

impl Serialize for Tree<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(members) => to.collect_map(members),
            Self::Leaf(text) => serde_json::from_str::<&RawValue>(text)
                .map_err(S::Error::custom)?
                .serialize(to),
        }
    }
}

/// The value that a text begins with, and what follows it.
fn value(text: &str, depth: usize) -> Option<(Tree<'_>, &str)> {
    let (Some(mut rest), Some(depth)) = (text.strip_prefix('{'), depth.checked_sub(1)) else {
        let (leaf, rest) = text.split_at_checked(leaf(text)?)?;
        return Some((Tree::Leaf(leaf), rest));
    };
    let mut members = BTreeMap::new();
    rest = rest.trim_start();
    if let Some(rest) = rest.strip_prefix('}') {
        return Some((Tree::Object(members), rest));
    }
    loop {
        let (name, after) = rest.split_at_checked(string(rest)?)?;
        let name = serde_json::from_str::<String>(name).ok()?;
        let after = after.trim_start().strip_prefix(':')?;
        let (member, after) = value(after.trim_start(), depth)?;
        members.insert(name, member);
        let after = after.trim_start();
        match after.strip_prefix(',') {
            Some(next) => rest = next.trim_start(),
            None => return Some((Tree::Object(members), after.strip_prefix('}')?)),
        }
    }
}

/// Length of the value at the beginning of a text, whatever it is.
fn leaf(text: &str) -> Option<usize> {
    match text.as_bytes().first()? {
        b'"' => string(text),
        b'[' | b'{' => nested(text),
        _ => {
            let end = |b: u8| b",]} \t\r\n".contains(&b);
            let length = text.bytes().position(end).unwrap_or(text.len());
            (length > 0).then_some(length)
        }
    }
}

/// Length of the list or object at the beginning of a text.
fn nested(text: &str) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        let rest = text.get(at..)?;
        let step = match rest.as_bytes().first()? {
            b'"' => string(rest)?,
            b'[' | b'{' => {
                depth += 1;
                1
            }
            b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                1
            }
            // On to the next byte that matters, over whole characters.
            _ => rest.find(['"', '[', '{', ']', '}'])?,
        };
        at += step;
        if depth == 0 {
            return Some(at);
        }
    }
}

/// Length of the string at the beginning of a text, with its quotes.
fn string(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    bytes.next().filter(|(_, quote)| *quote == b'"')?;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' => {
                bytes.next()?;
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn text(tree: &Tree<'_>) -> String {
        serde_json::to_string(tree).unwrap()
    }

    #[test]
    fn leaves_keep_their_text() {
        let json = "{ \"b\" : [1.10, {\"x\" : 1e3}] ,\"a\":{\"e\":{} , \"n\":-0},\"a\\u0062\":\"q\\\"}\" }";
        let tree = Tree::parse(json).unwrap();
        assert_eq!(
            text(&tree),
            r#"{"a":{"e":{},"n":-0},"ab":"q\"}","b":[1.10, {"x" : 1e3}]}"#
        );
    }

    #[test]
    fn patches_of_the_specification() {
        for (target, patch, then) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#),
            (
                r#"{"a":"foo"}"#,
                r#"{"a":{"b":1,"c":null}}"#,
                r#"{"a":{"b":1}}"#,
            ),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
            (
                r#"{"n":123456789012345678901}"#,
                r#"{"f":1.10,"l":[null]}"#,
                r#"{"f":1.10,"l":[null],"n":123456789012345678901}"#,
            ),
        ] {
            let patch = Tree::parse(patch).unwrap();
            assert_eq!(text(&Tree::parse(target).unwrap().patched(&patch)), then);
        }
    }

    #[test]
    fn names_down_to_a_depth() {
        let json = r#"{"a":{"b":{"c":1},"d":"x"},"e":[1,{"f":2}],"g":{}}"#;
        for (depth, names) in [
            (1, json!({"a": null, "e": null, "g": null})),
            (
                2,
                json!({"a": {"b": null, "d": null}, "e": null, "g": null}),
            ),
            (
                usize::MAX,
                json!({"a": {"b": {"c": null}, "d": null}, "e": null, "g": null}),
            ),
        ] {
            let tree = Tree::parse(json).unwrap().names(depth);
            assert_eq!(serde_json::to_value(tree).unwrap(), names);
        }
        assert_eq!(text(&Tree::parse("{}").unwrap().names(1)), "{}");
    }

    #[test]
    fn what_lies_very_deep_is_a_leaf() {
        for (depth, cut) in [(256, false), (257, true), (1024, true)] {
            let json = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
            let tree = Tree::parse(&json).unwrap();
            assert_eq!(tree.is_cut(), cut, "{depth}");
            assert_eq!(text(&tree), json);
        }
    }

    #[test]
    fn what_is_no_json_is_none() {
        for text in [
            "",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1",
            "[1",
            "\"a",
            "{} x",
            "{\"a\":1,}",
        ] {
            assert_eq!(Tree::parse(text), None, "{text}");
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab\"\\\\é]{0,2}", inner, 0..4)
                    .prop_map(|m| m.into_iter().collect()),
            ]
        })
    }

    fn merged(target: Value, patch: &Value) -> Value {
        let Value::Object(changes) = patch else {
            return patch.clone();
        };
        let mut members = match target {
            Value::Object(members) => members,
            _ => serde_json::Map::new(),
        };
        for (name, change) in changes {
            let old = members.remove(name).unwrap_or(Value::Null);
            if !change.is_null() {
                members.insert(name.clone(), merged(old, change));
            }
        }
        members.into()
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in "[{}\\[\\]\",:\\\\a1 né]{0,40}") {
            let _ = Tree::parse(&text);
        }

        #[test]
        fn any_value_comes_back_and_patches_as_a_value_does(target in values(), patch in values()) {
            let (a, b) = (serde_json::to_string_pretty(&target).unwrap(), patch.to_string());
            let (a, b) = (Tree::parse(&a).unwrap(), Tree::parse(&b).unwrap());
            prop_assert_eq!(serde_json::to_value(&a).unwrap(), target.clone());
            let both = serde_json::to_value(a.patched(&b)).unwrap();
            prop_assert_eq!(both, merged(target, &patch));
        }
    }
}
