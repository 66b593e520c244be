//! Values of `initialize` stanzas: written down, or found when the request is made.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Bytes of a file that are read at most.
const LONGEST: u64 = 1 << 20;

/// A value as the configuration has it.
pub enum Node {
    /// As it is written.
    Literal(Value),
    /// Of values.
    List(Vec<Node>),
    /// Of values by name.
    Object(Vec<(String, Node)>),
    /// Found elsewhere, and read as something else than text.
    From(Source, Convert),
}

/// Where a value is found.
pub enum Source {
    /// In a variable of the environment.
    Env(String),
    /// In a file: its text, without a line break at its end.
    File(PathBuf),
    /// In the members of an earlier request.
    Request(Field),
    /// In the answer to an earlier request: below `data` and `auth`.
    Response(Field),
}

/// A place in an earlier request or answer.
pub struct Field {
    /// The stanza.
    pub initialize: String,
    /// The request.
    pub request: String,
    /// Names, from the outside in.
    pub path: Vec<String>,
}

/// How a found text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Convert {
    /// As it is.
    #[default]
    Text,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
    /// JSON.
    Json,
}

/// What was asked and answered so far: by stanza, then by request.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Past(HashMap<String, HashMap<String, Done>>);

/// A request and its answer; nothing where it was not asked, or failed as it may.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) request: Value,
    pub(super) response: Value,
}

impl Past {
    pub(super) fn add(&mut self, initialize: &str, request: &str, done: Done) {
        let stanza = self.0.entry(initialize.to_owned()).or_default();
        stanza.insert(request.to_owned(), done);
    }

    pub(super) fn holds(&self, initialize: &str, request: &str) -> bool {
        self.done(initialize, request).is_some()
    }

    fn done(&self, initialize: &str, request: &str) -> Option<&Done> {
        self.0.get(initialize)?.get(request)
    }

    fn find(&self, field: &Field, part: fn(&Done) -> &Value) -> Result<Value, String> {
        let missing = || format!("no answer of request {:?} yet", field.request);
        let done = self.done(&field.initialize, &field.request);
        let mut value = part(done.ok_or_else(missing)?);
        if value.is_null() {
            let name = &field.request;
            return Err(format!("request {name:?} was passed over or failed"));
        }
        for name in &field.path {
            let inner = match value {
                Value::Array(items) => name.parse::<usize>().ok().and_then(|at| items.get(at)),
                value => value.get(name),
            };
            value = inner.ok_or_else(|| format!("request {:?} has no {name:?}", field.request))?;
        }
        Ok(value.clone())
    }
}

impl Node {
    /// The value, as JSON. An error names where it was looked for, never what was found.
    pub(super) fn value(&self, past: &Past) -> Result<Value, String> {
        Ok(match self {
            Self::Literal(value) => value.clone(),
            Self::List(nodes) => {
                let values = nodes.iter().map(|node| node.value(past));
                Value::Array(values.collect::<Result<_, _>>()?)
            }
            Self::Object(members) => {
                let members = members
                    .iter()
                    .map(|(name, node)| Ok((name.clone(), node.value(past)?)));
                Value::Object(members.collect::<Result<Map<_, _>, String>>()?)
            }
            Self::From(source, convert) => convert.of(source.value(past)?)?,
        })
    }
}

impl Source {
    fn value(&self, past: &Past) -> Result<Value, String> {
        match self {
            Self::Env(name) => std::env::var(name)
                .map(Value::String)
                .map_err(|_| format!("the variable {name} is not set, or is no text")),
            Self::File(path) => text_of(path)
                .map(Value::String)
                .map_err(|error| format!("{}: {error}", path.display())),
            Self::Request(field) => past.find(field, |done| &done.request),
            Self::Response(field) => past.find(field, |done| &done.response),
        }
    }
}

fn text_of(path: &PathBuf) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?
        .take(LONGEST)
        .read_to_string(&mut text)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

impl Convert {
    /// A word of the configuration.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "" | "string" => Self::Text,
            "int" => Self::Int,
            "float" => Self::Float,
            "bool" => Self::Bool,
            "map" | "any" | "json" => Self::Json,
            _ => return None,
        })
    }

    fn of(self, value: Value) -> Result<Value, String> {
        let Value::String(text) = &value else {
            return Ok(value);
        };
        let wrong = |what: &str| format!("what was found is not {what}");
        Ok(match self {
            Self::Text => value,
            Self::Int => text
                .trim()
                .parse::<i64>()
                .map_err(|_| wrong("a whole number"))?
                .into(),
            Self::Float => text
                .trim()
                .parse::<f64>()
                .map_err(|_| wrong("a number"))?
                .into(),
            Self::Bool => text
                .trim()
                .parse::<bool>()
                .map_err(|_| wrong("true or false"))?
                .into(),
            Self::Json => serde_json::from_str(text).map_err(|_| wrong("JSON"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(request: &str, path: &[&str]) -> Field {
        Field {
            initialize: "i".to_owned(),
            request: request.to_owned(),
            path: path.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn an_earlier_answer_is_a_source() {
        let mut past = Past::default();
        let done = Done {
            request: json!({"name": "ann"}),
            response: json!({"data": {"keys": ["a", "b"]}}),
        };
        past.add("i", "r", done);
        let node = Node::Object(vec![
            (
                "second".to_owned(),
                Node::From(
                    Source::Response(field("r", &["data", "keys", "1"])),
                    Convert::Text,
                ),
            ),
            (
                "who".to_owned(),
                Node::List(vec![Node::From(
                    Source::Request(field("r", &["name"])),
                    Convert::Text,
                )]),
            ),
        ]);
        assert_eq!(
            node.value(&past).unwrap(),
            json!({"second": "b", "who": ["ann"]})
        );
        let missing = Node::From(Source::Response(field("r", &["auth"])), Convert::Text);
        assert_eq!(
            missing.value(&past).unwrap_err(),
            "request \"r\" has no \"auth\""
        );
        past.add("i", "skipped", Done::default());
        let nothing = Node::From(Source::Response(field("skipped", &["data"])), Convert::Text);
        assert_eq!(
            nothing.value(&past).unwrap_err(),
            "request \"skipped\" was passed over or failed"
        );
    }

    #[test]
    fn a_file_is_read_without_its_last_line_break_and_converted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n");
        std::fs::write(&path, "42\n").unwrap();
        let value = |convert| {
            let node = Node::From(Source::File(path.clone()), convert);
            node.value(&Past::default())
        };
        assert_eq!(value(Convert::Text).unwrap(), json!("42"));
        assert_eq!(value(Convert::Int).unwrap(), json!(42));
        let error = value(Convert::Bool).unwrap_err();
        assert!(!error.contains("42"), "{error}");
    }
}
