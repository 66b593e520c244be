//! `list_scan_response_keys_filter_path`: which keys of a list its caller gets to see.
//!
//! The rule of a list says where each of its keys leads: `{{ .path }}{{ .key }}`, or a path
//! elsewhere with the key in it. A key is shown to whoever may read there; one that ends in a slash
//! to whoever may list there.

use std::sync::Arc;

use super::{Acl, NoParams, Operation};

/// Where a key of a list leads: a path with blanks for the list's own path and for the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysFilter {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The path that is listed, with a slash at its end.
    Path,
    /// The key.
    Key,
}

impl KeysFilter {
    /// Reads a filter. Two keys must not lead to one place, so the key has to be in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else {
                return Err("a template is not closed: expected }}".to_owned());
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(match name.trim() {
                ".path" => Part::Path,
                ".key" => Part::Key,
                _ => return Err("templates are {{ .path }} and {{ .key }}".to_owned()),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if !parts.contains(&Part::Key) {
            return Err("resulted in same path for two different keys".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            parts,
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where a key of the list at `folder`, which ends in a slash, leads.
    fn place(&self, folder: &str, key: &str) -> String {
        let part = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Path => folder.to_owned(),
            Part::Key => key.to_owned(),
        };
        self.parts.iter().map(part).collect()
    }
}

/// Whether a key of the list at `folder` passes all of the filters.
pub fn shows(acl: &Acl, filters: &[Arc<KeysFilter>], folder: &str, key: &str) -> bool {
    filters.iter().all(|filter| {
        let place = filter.place(folder, key);
        let operation = match place.ends_with('/') {
            true => Operation::List,
            false => Operation::Read,
        };
        acl.check(&place, operation, &NoParams).is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_filled() {
        let place = |text: &str| KeysFilter::parse(text).unwrap().place("kv/a/", "b");
        assert_eq!(place("{{ .path }}{{ .key }}"), "kv/a/b");
        assert_eq!(place("{{.path}}{{.key}}"), "kv/a/b");
        assert_eq!(place("other/{{ .key }}/x"), "other/b/x");
    }

    #[test]
    fn mistakes() {
        for text in [
            "",
            "kv/a",
            "{{ .path }}",
            "{{ .key",
            "{{ .Key }}",
            "{{ .key | upper }}",
        ] {
            assert!(KeysFilter::parse(text).is_err(), "{text}");
        }
    }
}
