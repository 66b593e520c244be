//! Policies named by claims: `team-{{ .sub }}`, where a role says so. Only a claim, by its name or a
//! path of names, can stand between the braces.

use serde_json::Value;

use super::token::Claims;

/// Whether a text is a template that can be filled in; the error says what is wrong.
pub(super) fn check(text: &str) -> Result<(), String> {
    fill(text, |_| Ok(String::new())).map(|_| ())
}

/// The text with the claims filled in. A claim that is absent, empty or no string is an error.
pub(super) fn render(text: &str, claims: &Claims) -> Result<String, String> {
    fill(text, |path| {
        let mut names = path.split('.');
        let first = names.next().and_then(|name| claims.get(name));
        let value = names.fold(first, |value, name| value.and_then(|v| v.get(name)));
        match value {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            Some(_) => Err(format!(
                "claim \"{path}\" is not a string that names a policy"
            )),
            None => Err(format!("claim \"{path}\" not found in token")),
        }
    })
}

fn fill(text: &str, value: impl Fn(&str) -> Result<String, String>) -> Result<String, String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (action, after) = after.split_once("}}").ok_or("unclosed braces")?;
        let path = action.trim().strip_prefix('.').unwrap_or_default();
        let name = |name: &str| {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            !name.is_empty() && name.chars().all(word)
        };
        if !path.split('.').all(name) {
            return Err("only {{ .claim }} can stand in a policy's name".to_owned());
        }
        filled.push_str(before);
        filled.push_str(&value(path)?);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_are_filled_in() {
        let claims =
            serde_json::from_value::<Claims>(json!({"sub": "ann", "n": 5, "d": {"e": "x"}}))
                .unwrap();
        let render = |text| render(text, &claims);
        assert_eq!(render("team-{{ .sub }}-{{.d.e}}!").unwrap(), "team-ann-x!");
        assert_eq!(render("plain").unwrap(), "plain");
        assert!(render("{{ .n }}").is_err() && render("{{ .none }}").is_err());
        for bad in [
            "{{ .sub",
            "{{ }}",
            "{{ sub }}",
            "{{ .a | len }}",
            "{{ . }}",
            "{{ .a..b }}",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check("a-{{ .b }}").is_ok());
    }
}
