//! The error body of the wire: `{"errors":["…"]}`.

use serde::Serialize;

/// The body of an error answer. No texts at all gives `{"errors":[]}`, the answer for a value
/// that is not there.
pub fn errors<S: AsRef<str>>(texts: &[S]) -> Vec<u8> {
    body(&Errors {
        errors: texts.iter().map(AsRef::as_ref).collect(),
        data: None,
    })
}

/// An error answer that carries data too: `{"errors":[…],"data":…}`. `data` is JSON.
pub fn errors_with_data<S: AsRef<str>>(texts: &[S], data: &serde_json::value::RawValue) -> Vec<u8> {
    body(&Errors {
        errors: texts.iter().map(AsRef::as_ref).collect(),
        data: Some(data),
    })
}

/// One text in the form that clients match for errors from behind the router:
/// `1 error occurred:\n\t* permission denied\n\n`.
pub fn multi(text: &str) -> String {
    format!("1 error occurred:\n\t* {text}\n\n")
}

#[derive(Serialize)]
struct Errors<'a> {
    errors: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a serde_json::value::RawValue>,
}

fn body(errors: &Errors<'_>) -> Vec<u8> {
    // Strings and raw JSON always serialise; an empty body would still be an error status.
    let mut bytes = serde_json::to_vec(errors).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let none: [&str; 0] = [];
        assert_eq!(errors(&none), b"{\"errors\":[]}\n");
        assert_eq!(
            errors(&[multi("permission denied")]),
            b"{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}\n"
        );
        let data = serde_json::value::to_raw_value(&[1]).unwrap();
        assert_eq!(
            errors_with_data(&["x"], &data),
            b"{\"errors\":[\"x\"],\"data\":[1]}\n"
        );
    }
}
