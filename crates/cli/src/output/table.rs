//! [`Table`]: columns for people.

use std::fmt;

use serde_json::Value;

/// Rows below headings. Columns are as wide as their widest cell, four spaces apart.
pub(crate) struct Table {
    headings: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str], rows: Vec<Vec<String>>) -> Self {
        Self {
            headings: headings.iter().map(|text| (*text).to_owned()).collect(),
            rows,
        }
    }

    /// Two columns, `Key` and `Value`.
    pub(crate) fn of_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let rows = pairs.into_iter().map(|(key, value)| vec![key, value]);
        Self::new(&["Key", "Value"], rows.collect())
    }

    /// The members of an object, in the order of their names.
    pub(crate) fn of_object(value: &Value) -> Self {
        let members = value.as_object().into_iter().flatten();
        Self::of_pairs(members.map(|(key, value)| (key.clone(), text_of(value))))
    }

    /// `===== title =====` and the table below it.
    pub(crate) fn titled(&self, title: &str) -> String {
        let widest = self.widths().first().copied().unwrap_or_default();
        format!("{}\n{self}", heading(title, widest + 9))
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headings.iter().map(|text| width(text)).collect();
        for row in &self.rows {
            for (cell, widest) in row.iter().zip(&mut widths) {
                *widest = (*widest).max(width(shown(cell)));
            }
        }
        widths
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let rules: Vec<_> = self
            .headings
            .iter()
            .map(|text| "-".repeat(width(text)))
            .collect();
        for row in [&self.headings, &rules].into_iter().chain(&self.rows) {
            for (at, (cell, widest)) in row.iter().zip(&widths).enumerate() {
                let cell = shown(cell);
                if at + 1 == row.len() {
                    writeln!(f, "{cell}")?;
                } else {
                    write!(f, "{cell:<widest$}    ")?;
                }
            }
        }
        Ok(())
    }
}

/// `title` between signs, `length` wide.
pub(crate) fn heading(title: &str, length: usize) -> String {
    let signs = length.saturating_sub(width(title) + 2).max(4).div_ceil(2);
    let signs = "=".repeat(signs);
    format!("{signs} {title} {signs}")
}

/// A value in a cell, as the tables of existing clients show it.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(values) => {
            let texts: Vec<_> = values.iter().map(text_of).collect();
            format!("[{}]", texts.join(" "))
        }
        Value::Object(members) => {
            let texts: Vec<_> = members
                .iter()
                .map(|(key, value)| format!("{key}:{}", text_of(value)))
                .collect();
            format!("map[{}]", texts.join(" "))
        }
        other => other.to_string(),
    }
}

fn shown(cell: &str) -> &str {
    if cell.is_empty() { "n/a" } else { cell }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_line_up() {
        let table = Table::of_pairs([
            ("a".to_owned(), "1".to_owned()),
            ("longer".to_owned(), String::new()),
        ]);
        assert_eq!(
            table.to_string(),
            "Key       Value\n---       -----\na         1\nlonger    n/a\n"
        );
        let one = Table::new(&["Keys"], vec![vec!["a/".to_owned()]]);
        assert_eq!(one.to_string(), "Keys\n----\na/\n");
    }

    #[test]
    fn titles_are_as_wide_as_their_table() {
        let table = Table::of_pairs([("created_time".to_owned(), "x".to_owned())]);
        let titled = table.titled("Metadata");
        let title = titled.lines().next().unwrap();
        assert_eq!(title, "====== Metadata ======");
        assert_eq!(heading("Secret Path", 3), "== Secret Path ==");
    }

    #[test]
    fn values_of_any_shape() {
        for (value, text) in [
            (json!(null), "<nil>"),
            (json!("x"), "x"),
            (json!(1.5), "1.5"),
            (json!(["a", "b"]), "[a b]"),
            (json!({"a": true, "b": [1]}), "map[a:true b:[1]]"),
        ] {
            assert_eq!(text_of(&value), text);
        }
    }
}
