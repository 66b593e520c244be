//! HCL in its usual form: what is written stays, comments too; spaces and line breaks are made anew.
//!
//! ```text
//! path "a" { capabilities=["read"] }     path "a" {
//! # why                              →     capabilities = ["read"]
//! path "b" {}                            }
//!
//!                                        # why
//!                                        path "b" {}
//! ```

mod read;

use super::HclError;
use read::{Block, Element, Entry, Shape};

pub(super) fn format(text: &str) -> Result<String, HclError> {
    // Every mistake is found here, and told as everywhere.
    super::parse(text)?;
    let mut out = String::new();
    block(&mut out, &read::read(text)?, 0);
    Ok(out)
}

/// What stands between braces, or in a file.
fn block(out: &mut String, block: &Block<'_>, depth: usize) {
    let mut rest = block.entries.as_slice();
    let mut previous: Option<&Entry<'_>> = None;
    while let Some(first) = rest.first() {
        if previous.is_some_and(|previous| parted(previous, first)) {
            out.push('\n');
        }
        let together = rest
            .windows(2)
            .take_while(|pair| matches!(pair, [one, other] if !parted(one, other)))
            .count()
            + 1;
        let (run, after) = rest.split_at_checked(together).unwrap_or((rest, &[]));
        aligned(out, run, depth);
        previous = run.last();
        rest = after;
    }
    if !block.tail.is_empty() && !block.entries.is_empty() {
        out.push('\n');
    }
    comments(out, &block.tail, depth);
}

/// Whether an empty line stands between two entries.
fn parted(one: &Entry<'_>, other: &Entry<'_>) -> bool {
    let alone = |entry: &Entry<'_>| !entry.assigns || line(&entry.shape).is_none();
    other.gap || !other.lead.is_empty() || alone(one) || alone(other)
}

/// Entries without an empty line between them, `=` and comments in one column each.
fn aligned(out: &mut String, run: &[Entry<'_>], depth: usize) {
    let width = run.iter().map(|entry| entry.head.chars().count()).max();
    let heads = run.iter().map(|entry| match entry.assigns {
        true => format!("{:1$} = ", entry.head, width.unwrap_or(0)),
        false => format!("{} ", entry.head),
    });
    let lines: Vec<String> = heads
        .zip(run)
        .map(|(head, entry)| match line(&entry.shape) {
            Some(value) => format!("{head}{value}"),
            None => head,
        })
        .collect();
    let widest = lines.iter().map(|line| line.chars().count()).max();
    for (text, entry) in lines.iter().zip(run) {
        comments(out, &entry.lead, depth);
        indent(out, depth);
        out.push_str(text);
        let is_line = line(&entry.shape).is_some();
        if !is_line {
            shape(out, &entry.shape, depth);
        }
        if let Some(trail) = entry.trail {
            let missing = widest.unwrap_or(0).saturating_sub(text.chars().count());
            let spaces = if is_line { missing + 1 } else { 1 };
            out.push_str(&" ".repeat(spaces));
            out.push_str(trail);
        }
        out.push('\n');
    }
}

/// The value on the line of its name, where it fits there.
fn line(shape: &Shape<'_>) -> Option<String> {
    match shape {
        Shape::Scalar(text) if text.contains('\n') => None,
        Shape::Scalar(text) => Some((*text).to_owned()),
        Shape::Block(block) if block.entries.is_empty() && block.tail.is_empty() => {
            Some("{}".to_owned())
        }
        Shape::Block(_) => None,
        Shape::List { broken: true, .. } => None,
        Shape::List { elements, .. } => {
            let elements = elements.iter().map(|element| line(&element.shape));
            let elements: Vec<String> = elements.collect::<Option<_>>()?;
            Some(format!("[{}]", elements.join(", ")))
        }
    }
}

/// A value that takes several lines; ends without a line break.
fn shape(out: &mut String, shape: &Shape<'_>, depth: usize) {
    match shape {
        Shape::Scalar(text) => out.push_str(text),
        Shape::Block(inner) => {
            out.push_str("{\n");
            block(out, inner, depth + 1);
            indent(out, depth);
            out.push('}');
        }
        Shape::List { elements, tail, .. } => {
            out.push_str("[\n");
            for (index, one) in elements.iter().enumerate() {
                if index > 0 && !one.lead.is_empty() {
                    out.push('\n');
                }
                element(out, one, depth + 1);
            }
            comments(out, tail, depth + 1);
            indent(out, depth);
            out.push(']');
        }
    }
}

fn element(out: &mut String, element: &Element<'_>, depth: usize) {
    comments(out, &element.lead, depth);
    indent(out, depth);
    match line(&element.shape) {
        Some(text) => out.push_str(&text),
        None => shape(out, &element.shape, depth),
    }
    // The mark of a heredoc has to be alone on its line.
    if matches!(element.shape, Shape::Scalar(text) if text.contains('\n')) {
        out.push('\n');
        indent(out, depth);
    }
    out.push(',');
    if let Some(trail) = element.trail {
        out.push(' ');
        out.push_str(trail);
    }
    out.push('\n');
}

fn comments(out: &mut String, comments: &[&str], depth: usize) {
    for comment in comments {
        indent(out, depth);
        out.push_str(comment);
        out.push('\n');
    }
}

fn indent(out: &mut String, depth: usize) {
    out.push_str(&"  ".repeat(depth));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Body, Item, Value, parse};
    use super::*;

    /// The tree without its lines.
    fn meaning(body: &Body) -> Body {
        fn value(of: &Value) -> Value {
            match of {
                Value::List(values) => Value::List(values.iter().map(value).collect()),
                Value::Object(body) => Value::Object(meaning(body)),
                other => other.clone(),
            }
        }
        let items = body.items.iter().map(|item| Item {
            value: value(&item.value),
            line: 0,
            ..item.clone()
        });
        Body {
            items: items.collect(),
        }
    }

    #[test]
    fn the_usual_form() {
        let text = "path \"a\" { capabilities=[\"read\",\"list\"] }\n\n\n\n# c1\n  path   \"b/*\"\n\
                    {\n   capabilities=[\"read\", \"list\" , ]\n  # inner\n  min_wrapping_ttl=\"10s\" \
                    // x\n allowed_parameters={\n\"k\"=[\"a\",\"b\"]\n \"longer\" = []\n}\n}\n/* block\n  \
                    comment */\npath \"c\" {policy=\"write\"}";
        let expected = r#"path "a" {
  capabilities = ["read", "list"]
}

# c1
path "b/*" {
  capabilities = ["read", "list"]

  # inner
  min_wrapping_ttl = "10s" // x

  allowed_parameters = {
    "k"      = ["a", "b"]
    "longer" = []
  }
}

/* block
  comment */
path "c" {
  policy = "write"
}
"#;
        assert_eq!(format(text).unwrap(), expected);
        assert_eq!(format(expected).unwrap(), expected);
    }

    #[test]
    fn comments_stay_where_they_are() {
        let text = "path \"a\" {} # trailing\npath \"b\" { # after the brace\n capabilities = [\n\"read\", # r\n\
                    # why\n\"list\"\n] # after\n x = 1 # one\n longer = 2 # two\n # last\n}\n# end";
        let expected = r#"path "a" {} # trailing

path "b" {
  # after the brace
  capabilities = [
    "read", # r

    # why
    "list",
  ] # after

  x      = 1 # one
  longer = 2 # two

  # last
}

# end
"#;
        assert_eq!(format(text).unwrap(), expected);
        assert_eq!(format(expected).unwrap(), expected);
        assert_eq!(format("").unwrap(), "");
        assert_eq!(format("# only").unwrap(), "# only\n");
        assert!(format("path \"a\" {").is_err());
    }

    #[test]
    fn a_comma_may_follow_the_comments_after_an_item() {
        let text = "x = 1\n# c\n, y = [1 # one\n # two\n, # three\n 2]\n";
        let expected = "x = 1\n\n# c\ny = [\n  1, # one\n\n  # two\n  # three\n  2,\n]\n";
        assert_eq!(format(text).unwrap(), expected);
        assert_eq!(format(expected).unwrap(), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn it_means_the_same_and_is_stable(parts in prop::collection::vec(prop::sample::select(vec![
            "a", "\"b c\"", " ", "\n", "=", "{", "}", "[", "]", ",", "# c\n", "/* d */", "1", "true",
            "\"${x}\"", "x = 1\n", "y = [1, 2]\n", "b \"l\" {\n", "}\n", "z = <<E\n t\nE\n",
        ]), 0..24)) {
            let text = parts.concat();
            if let Ok(before) = parse(&text) {
                let once = format(&text).unwrap();
                let after = parse(&once);
                prop_assert!(after.is_ok(), "{text:?} became {once:?}");
                prop_assert!(meaning(&before) == meaning(&after.unwrap()), "{text:?} became {once:?}");
                prop_assert_eq!(format(&once).unwrap(), once);
            }
        }
    }
}
