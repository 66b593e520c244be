//! Reads one block of a configuration, key by key, and refuses what is left over.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keyfold_api::duration;
use keyfold_api::hcl::{Block, Body, Item, Value};

use super::place::{ConfigError, Place, Placed};

/// A block while it is read.
pub struct Section<'a> {
    file: &'a Arc<Path>,
    /// How errors call it: `listener "tcp"`; empty for the top level.
    name: String,
    body: &'a Body,
    taken: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// Starts to read a block.
    pub fn new(file: &'a Arc<Path>, name: impl Into<String>, body: &'a Body) -> Self {
        Self {
            file,
            name: name.into(),
            body,
            taken: Vec::new(),
        }
    }

    /// The place of a line of this file.
    pub fn place(&self, line: u32) -> Place {
        Place {
            file: Arc::clone(self.file),
            line,
        }
    }

    /// A string; numbers and booleans count by their text.
    pub fn text(&mut self, key: &'static str) -> Result<Option<Placed<String>>, ConfigError> {
        self.scalar(key, "a string", |text| Some(text.to_owned()))
    }

    /// `true`, `false`, or the same as a string or as 0 and 1.
    pub fn flag(&mut self, key: &'static str) -> Result<Option<Placed<bool>>, ConfigError> {
        self.scalar(key, "true or false", |text| match text {
            "true" | "True" | "TRUE" | "t" | "T" | "1" => Some(true),
            "false" | "False" | "FALSE" | "f" | "F" | "0" => Some(false),
            _ => None,
        })
    }

    /// A number that is not negative.
    pub fn number(&mut self, key: &'static str) -> Result<Option<Placed<usize>>, ConfigError> {
        self.scalar(key, "a number that is not negative", |text| {
            text.parse().ok()
        })
    }

    /// A duration: seconds, or text such as `30s` or `768h`.
    pub fn duration(&mut self, key: &'static str) -> Result<Option<Placed<Duration>>, ConfigError> {
        self.scalar(key, "a duration such as \"30s\" or \"768h\"", |text| {
            if text.is_empty() {
                return None;
            }
            duration::parse(text).ok()?.to_duration()
        })
    }

    /// The settings of a block inside, each as text: `options { file_path = "stdout" }`.
    pub fn map(
        &mut self,
        key: &'static str,
    ) -> Result<BTreeMap<String, Placed<String>>, ConfigError> {
        let Some(item) = self.take(key)? else {
            return Ok(BTreeMap::new());
        };
        let place = self.place(item.line);
        let body = match &item.value {
            Value::Object(body) => body,
            Value::List(values) => match values.as_slice() {
                [Value::Object(body)] => body,
                _ => return Err(ConfigError::at(place, self.expects(key, "a block"))),
            },
            _ => return Err(ConfigError::at(place, self.expects(key, "a block"))),
        };
        Section::new(self.file, key, body).settings()
    }

    /// All of this block's settings as text.
    pub fn settings(self) -> Result<BTreeMap<String, Placed<String>>, ConfigError> {
        let mut settings = BTreeMap::new();
        for item in &self.body.items {
            let place = self.place(item.line);
            let Some(value) = scalar(item) else {
                return Err(ConfigError::at(place, self.expects(&item.key, "a string")));
            };
            let placed = Placed {
                value,
                place: Some(place.clone()),
            };
            if settings.insert(item.key.clone(), placed).is_some() {
                return Err(ConfigError::at(place, self.twice(&item.key)));
            }
        }
        Ok(settings)
    }

    /// A list of strings, or a string of them with commas between; none of them is empty.
    pub fn list(&mut self, key: &'static str) -> Result<Option<Placed<Vec<String>>>, ConfigError> {
        let Some(item) = self.take(key)? else {
            return Ok(None);
        };
        let place = self.place(item.line);
        let texts = match item.value.as_list() {
            Some(values) => values.iter().map(Value::as_str).collect::<Option<Vec<_>>>(),
            None => (item.value.as_str()).map(|text| text.split(',').collect()),
        };
        let Some(texts) = texts else {
            let message = self.expects(key, "a list of strings");
            return Err(ConfigError::at(place, message));
        };
        let texts = texts.into_iter().map(str::trim).filter(|t| !t.is_empty());
        Ok(Some(Placed {
            value: texts.map(str::to_owned).collect(),
            place: Some(place),
        }))
    }

    /// A value of any kind, and its line.
    pub fn value(&mut self, key: &'static str) -> Result<Option<(&'a Value, u32)>, ConfigError> {
        Ok(self.take(key)?.map(|item| (&item.value, item.line)))
    }

    /// All blocks of a name with `labels` labels.
    pub fn blocks(
        &mut self,
        key: &'static str,
        labels: usize,
    ) -> Result<Vec<Block<'a>>, ConfigError> {
        self.taken.push(key);
        let blocks = self.body.labelled_blocks(key, labels);
        blocks.map_err(|e| ConfigError::at(self.place(e.line), e.message))
    }

    /// All blocks of a name with one label or two.
    pub fn blocks_of_one_or_two(
        &mut self,
        key: &'static str,
    ) -> Result<Vec<Block<'a>>, ConfigError> {
        self.taken.push(key);
        let blocks = self.body.blocks_of_one_or_two(key);
        blocks.map_err(|e| ConfigError::at(self.place(e.line), e.message))
    }

    /// Refuses settings that would be wrong to leave out in silence, each with its reason. An empty
    /// text asks for nothing.
    pub fn refuse(&mut self, refused: &[(&'static str, &'static str)]) -> Result<(), ConfigError> {
        for (key, why) in refused {
            self.taken.push(key);
            let item = self.body.item(key);
            if let Some(item) = item.filter(|item| item.value.to_text() != Some("")) {
                let message = format!("\"{key}\" is not offered: {why}");
                return Err(ConfigError::at(self.place(item.line), message));
            }
        }
        Ok(())
    }

    /// Ends the block: what was not read is a warning where it is `known`, else an error.
    pub fn finish(self, known: &[&str], warnings: &mut Vec<String>) -> Result<(), ConfigError> {
        for item in &self.body.items {
            let key = item.key.as_str();
            if self.taken.contains(&key) {
                continue;
            }
            let place = self.place(item.line);
            let of = if self.name.is_empty() {
                String::new()
            } else {
                format!(" of {}", self.name)
            };
            if known.contains(&key) {
                warnings.push(format!(
                    "{place}: \"{key}\"{of} has no effect in this server"
                ));
            } else {
                return Err(ConfigError::at(
                    place,
                    format!("unknown setting \"{key}\"{of}"),
                ));
            }
        }
        Ok(())
    }

    /// The one item of a name.
    fn take(&mut self, key: &'static str) -> Result<Option<&'a Item>, ConfigError> {
        self.taken.push(key);
        let mut items = self.body.items.iter().filter(|item| item.key == key);
        let first = items.next();
        match items.next() {
            Some(second) => Err(ConfigError::at(self.place(second.line), self.twice(key))),
            None => Ok(first),
        }
    }

    fn scalar<T>(
        &mut self,
        key: &'static str,
        what: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<Placed<T>>, ConfigError> {
        let Some(item) = self.take(key)? else {
            return Ok(None);
        };
        let place = self.place(item.line);
        match scalar(item).and_then(|text| read(&text)) {
            Some(value) => Ok(Some(Placed {
                value,
                place: Some(place),
            })),
            None => Err(ConfigError::at(place, self.expects(key, what))),
        }
    }

    fn expects(&self, key: &str, what: &str) -> String {
        match self.name.as_str() {
            "" => format!("\"{key}\" has to be {what}"),
            name => format!("\"{key}\" of {name} has to be {what}"),
        }
    }

    fn twice(&self, key: &str) -> String {
        match self.name.as_str() {
            "" => format!("\"{key}\" is set twice"),
            name => format!("\"{key}\" of {name} is set twice"),
        }
    }
}

/// The text of a string, number or boolean.
fn scalar(item: &Item) -> Option<String> {
    match &item.value {
        Value::String(text) | Value::Number(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::List(_) | Value::Object(_) => None,
    }
}
