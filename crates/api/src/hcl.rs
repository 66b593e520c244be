//! HCL version 1, the language of configuration files and policies, and its JSON form.
//!
//! Both give the same tree: a [`Body`] of items, in order, with line numbers. Duplicates are kept;
//! whoever reads the tree decides about them. `${…}` means nothing here and stays text.

mod format;
mod json;
mod lexer;
mod parser;

use std::fmt;

/// Nesting that is read at most; deeper input is an error, never an overflow.
const DEPTH: usize = 64;

/// What stands in a file or between braces.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Body {
    /// Items in the order of the text.
    pub items: Vec<Item>,
}

/// `key = value`, `key { … }` or `key "label" { … }`.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// The name, quoted or not.
    pub key: String,
    /// Labels between the name and the brace.
    pub labels: Vec<String>,
    /// What it is set to; a block is an object.
    pub value: Value,
    /// Line of the key, from 1.
    pub line: u32,
}

/// What an item can be.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`, in the JSON form only.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number by its text.
    Number(String),
    /// A string or heredoc, unescaped.
    String(String),
    /// `[…]`
    List(Vec<Value>),
    /// `{…}`
    Object(Body),
}

/// A block that [`Body::labelled_blocks`] found.
#[derive(Debug)]
pub struct Block<'a> {
    /// Its labels, as many as were asked for.
    pub labels: Vec<&'a str>,
    /// What is in it.
    pub body: &'a Body,
    /// Its line, from 1.
    pub line: u32,
}

/// The text can't be read. Names the place and what was expected, quotes no values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("At line {line}: {message}")]
pub struct HclError {
    /// Line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub message: String,
}

/// Reads HCL.
pub fn parse(text: &str) -> Result<Body, HclError> {
    parser::parse(text)
}

/// Reads HCL, or JSON when the first character that is no space is `{`.
pub fn parse_any(text: &str) -> Result<Body, HclError> {
    let first = text.strip_prefix('\u{feff}').unwrap_or(text).trim_start();
    if first.starts_with('{') {
        json::parse(text)
    } else {
        parse(text)
    }
}

/// Writes HCL anew in its usual form: two spaces for each brace, `=` in one column, comments kept.
/// Means the same as before.
pub fn format(text: &str) -> Result<String, HclError> {
    format::format(text)
}

impl Body {
    /// The last item of that name.
    pub fn item(&self, key: &str) -> Option<&Item> {
        self.items.iter().rev().find(|item| item.key == key)
    }

    /// All blocks `key "label" {…}` as `(label, body, line)`, in every spelling that HCL and JSON
    /// have for them: `key { label {…} }`, `{"key": {"label": {…}}}`, `{"key": [{"label": …}]}`.
    pub fn blocks(&self, key: &str) -> Result<Vec<(&str, &Body, u32)>, HclError> {
        let mut blocks = Vec::new();
        for block in self.labelled_blocks(key, 1)? {
            blocks.extend(
                block
                    .labels
                    .first()
                    .map(|&label| (label, block.body, block.line)),
            );
        }
        Ok(blocks)
    }

    /// The same for blocks with `count` labels (`audit "file" "name" {…}` has two).
    pub fn labelled_blocks(&self, key: &str, count: usize) -> Result<Vec<Block<'_>>, HclError> {
        let mut blocks = Vec::new();
        for item in self.items.iter().filter(|item| item.key == key) {
            let labels = item.labels.iter().map(String::as_str).collect();
            expand(key, count, labels, &item.value, item.line, &mut blocks)?;
        }
        Ok(blocks)
    }
}

impl Body {
    /// The same for blocks whose second label may be left out (`seal "kind" {…}`,
    /// `seal "kind" "name" {…}`). In JSON, where labels are objects, the first alone counts as one.
    pub fn blocks_of_one_or_two(&self, key: &str) -> Result<Vec<Block<'_>>, HclError> {
        let mut blocks = Vec::new();
        for item in self.items.iter().filter(|item| item.key == key) {
            let labels: Vec<_> = item.labels.iter().map(String::as_str).collect();
            let count = labels.len().clamp(1, 2);
            expand(key, count, labels, &item.value, item.line, &mut blocks)?;
        }
        Ok(blocks)
    }
}

/// Turns nested objects into labels until there are `count`. Recurses once a missing label and
/// once a list, both within the depth that the parser allows.
fn expand<'a>(
    key: &str,
    count: usize,
    labels: Vec<&'a str>,
    value: &'a Value,
    line: u32,
    blocks: &mut Vec<Block<'a>>,
) -> Result<(), HclError> {
    let wrong = |what: String| {
        Err(HclError {
            line,
            message: what,
        })
    };
    match value {
        Value::List(values) => values
            .iter()
            .try_for_each(|v| expand(key, count, labels.clone(), v, line, blocks)),
        Value::Object(body) if labels.len() == count => {
            blocks.push(Block { labels, body, line });
            Ok(())
        }
        Value::Object(body) if labels.len() < count => body.items.iter().try_for_each(|item| {
            let mut labels = labels.clone();
            labels.push(&item.key);
            labels.extend(item.labels.iter().map(String::as_str));
            expand(key, count, labels, &item.value, item.line, blocks)
        }),
        Value::Object(_) => wrong(format!("\"{key}\" has too many labels: expected {count}")),
        _ => wrong(format!(
            "\"{key}\" has to be a block with {count} label(s) and braces"
        )),
    }
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// The text of a string or number, or of a boolean `true`, `false`: configuration files set
    /// `port = 8200` and `port = "8200"` alike.
    pub fn to_text(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Number(text) => Some(text),
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Null | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// A boolean, also from `"true"`, `1` and the like.
    pub fn to_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::String(text) | Self::Number(text) => crate::weak::parse_bool(text),
            Self::Null | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// The elements of a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Self::List(values) = self {
            Some(values)
        } else {
            None
        }
    }

    /// The body of an object.
    pub fn as_object(&self) -> Option<&Body> {
        if let Self::Object(body) = self {
            Some(body)
        } else {
            None
        }
    }

    /// What it is, for an error text.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

// Configurations hold passwords and tokens: names are shown, values are not.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.items).finish()
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {:?} (line {}): {:?}",
            self.key, self.labels, self.line, self.value
        )
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(values) => f.debug_list().entries(values).finish(),
            Self::Object(body) => body.fmt(f),
            other => f.write_str(other.kind()),
        }
    }
}

#[cfg(test)]
mod tests;
