//! `k=v` arguments: values as text, `k=@file`, `k=-`, and whole bodies `@file` and `-`.

use std::fs;
use std::io::Read;

use serde_json::{Map, Value};

use crate::error::CliError;

/// Builds the JSON object that `arguments` describe.
///
/// | argument | member |
/// |---|---|
/// | `k=v` | the text `v` |
/// | `k=@file` | the text of the file, as it is |
/// | `k=\@v` | the text `@v` |
/// | `k=-` | the text of `stdin`, once |
/// | `@file`, `-` | all members of the JSON object in the file or on `stdin` |
///
/// A name given several times becomes a list.
pub(crate) fn object(
    arguments: &[String],
    stdin: &mut impl Read,
) -> Result<Map<String, Value>, CliError> {
    let mut stdin = Once(Some(stdin));
    let mut object = Map::new();
    for argument in arguments {
        if argument == "-" {
            members(&mut object, &stdin.text()?, "standard input")?;
        } else if let Some(file) = argument.strip_prefix('@') {
            members(&mut object, &text_of(file)?, file)?;
        } else {
            let (name, value) = argument.split_once('=').ok_or_else(|| {
                CliError::Usage("each argument must be name=value, @FILE or -".to_owned())
            })?;
            let value = match value.strip_prefix('@') {
                _ if value == "-" => stdin.text()?,
                Some(file) => text_of(file)?,
                None => value
                    .strip_prefix('\\')
                    .filter(|v| v.starts_with('@'))
                    .unwrap_or(value)
                    .to_owned(),
            };
            add(&mut object, name, Value::String(value));
        }
    }
    Ok(object)
}

/// Reads `name=value`, for flags that take it.
pub(crate) fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("it must be name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Adds a member; a second value of the same name makes it a list.
fn add(object: &mut Map<String, Value>, name: &str, value: Value) {
    match object.get_mut(name) {
        None => {
            object.insert(name.to_owned(), value);
        }
        Some(Value::Array(values)) => values.push(value),
        Some(first) => {
            let values = vec![first.take(), value];
            *first = Value::Array(values);
        }
    }
}

fn members(object: &mut Map<String, Value>, text: &str, from: &str) -> Result<(), CliError> {
    let Ok(Value::Object(all)) = serde_json::from_str(text) else {
        return Err(CliError::Usage(format!("{from} holds no JSON object")));
    };
    object.extend(all);
    Ok(())
}

fn text_of(file: &str) -> Result<String, CliError> {
    fs::read_to_string(file).map_err(CliError::io(format!("can't read {file}")))
}

/// Standard input has one end: a second argument that asks for it would get nothing.
struct Once<'a, R>(Option<&'a mut R>);

impl<R: Read> Once<'_, R> {
    fn text(&mut self) -> Result<String, CliError> {
        let reader = self.0.take().ok_or_else(|| {
            CliError::Usage("standard input can be read for one argument only".to_owned())
        })?;
        let mut text = String::new();
        reader
            .read_to_string(&mut text)
            .map_err(CliError::io("can't read standard input"))?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn built(arguments: &[&str], stdin: &str) -> Result<Value, CliError> {
        let arguments: Vec<_> = arguments.iter().map(|a| (*a).to_owned()).collect();
        object(&arguments, &mut stdin.as_bytes()).map(Value::Object)
    }

    #[test]
    fn values_round_trip_as_text() {
        let object = built(
            &["a=1", "b=x=y", "c=", r"d=\", r"e=\@f", "g=line\nbreak\""],
            "",
        );
        let expected =
            json!({"a": "1", "b": "x=y", "c": "", "d": "\\", "e": "@f", "g": "line\nbreak\""});
        assert_eq!(object.unwrap(), expected);
    }

    #[test]
    fn files_and_standard_input() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "{\"n\":1}\n").unwrap();
        let path = path.to_str().unwrap();
        let object = built(&[&format!("a=@{path}"), "b=-", &format!("@{path}")], "in\n");
        assert_eq!(
            object.unwrap(),
            json!({"a": "{\"n\":1}\n", "b": "in\n", "n": 1})
        );
        assert_eq!(built(&["-"], r#"{"x":[1]}"#).unwrap(), json!({"x": [1]}));
    }

    #[test]
    fn a_name_given_twice_is_a_list() {
        assert_eq!(
            built(&["a=1", "a=2", "a=3"], "").unwrap(),
            json!({"a": ["1", "2", "3"]})
        );
    }

    #[test]
    fn refused() {
        for arguments in [
            &["a"][..],
            &["a=-", "b=-"],
            &["-", "a=-"],
            &["a=@/no/such/file"],
            &["@/no"],
        ] {
            assert!(built(arguments, "{}").is_err(), "{arguments:?}");
        }
        assert!(built(&["-"], "[1]").is_err());
    }
}
