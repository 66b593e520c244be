//! [`Member`]: the value of one member of a body, read as what the call takes it for.

use std::borrow::Cow;

use keyfold_api::weak::Scalar;
use keyfold_core::error::Error;
use serde_json::value::RawValue;

/// The value of a member.
#[derive(Default)]
pub(super) enum Member<'a> {
    /// Left out, or null.
    #[default]
    Absent,
    /// A string, a number or a boolean.
    Scalar(Scalar<'a>),
    /// A list or an object.
    Nested,
}

impl<'a> Member<'a> {
    /// Neither left out nor null.
    pub fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// Text; a number or a boolean counts by its text.
    pub fn text(&self, name: &str) -> Result<Option<Cow<'_, str>>, Error> {
        self.read(name, "expected a string", |scalar| Ok(scalar.to_text()))
    }

    /// An integer, or the text of one.
    pub fn int(&self, name: &str) -> Result<Option<i64>, Error> {
        self.read(name, "expected an integer", Scalar::to_int)
    }

    /// A boolean, or the text of one.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, Error> {
        self.read(name, "expected a boolean", Scalar::to_bool)
    }

    /// Left out, null, or a string and nothing that counts as one.
    pub fn is_strict_text(&self) -> bool {
        matches!(self, Self::Absent | Self::Scalar(Scalar::Text(_)))
    }

    /// Left out, null, or an integer and nothing that counts as one.
    pub fn is_strict_int(&self) -> bool {
        matches!(self, Self::Absent | Self::Scalar(Scalar::Int(_)))
    }

    /// Its text where it is a string, else empty.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Scalar(Scalar::Text(text)) => text,
            _ => "",
        }
    }

    fn read<'s, T>(
        &'s self,
        name: &str,
        expected: &str,
        read: impl Fn(&'s Scalar<'a>) -> Result<T, &'static str>,
    ) -> Result<Option<T>, Error> {
        let wrong = |why: &str| {
            Error::bad(format!(
                "error converting input for field \"{name}\": {why}"
            ))
        };
        match self {
            Self::Absent => Ok(None),
            Self::Scalar(scalar) => read(scalar).map(Some).map_err(wrong),
            Self::Nested => Err(wrong(expected)),
        }
    }

    /// The member with this value.
    pub fn of(value: &'a RawValue) -> Self {
        let text = value.get();
        let plain = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        match plain.filter(|text| !text.contains('\\')) {
            // Without an escape, a string is what stands between its quotes.
            Some(plain) => Self::Scalar(Scalar::Text(Cow::Borrowed(plain))),
            None if text == "null" => Self::Absent,
            // JSON is checked by now, so what is no scalar is a list or an object.
            None => serde_json::from_str(text).map_or(Self::Nested, Self::Scalar),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(json: &str) -> Member<'_> {
        Member::of(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn weak_and_strict() {
        for (json, text) in [
            (r#""a\u0062""#, "ab"),
            ("5", "5"),
            ("true", "1"),
            (r#""""#, ""),
        ] {
            assert_eq!(member(json).text("n").unwrap().unwrap(), text);
        }
        assert!(!member("null").is_present());
        assert_eq!(member(r#""4""#).int("n").unwrap(), Some(4));
        assert!(member("4").is_strict_int() && !member(r#""4""#).is_strict_int());
        assert!(member(r#""4""#).is_strict_text() && !member("4").is_strict_text());
        assert_eq!((member(r#""r""#).as_str(), member("7").as_str()), ("r", ""));
    }

    #[test]
    fn text_is_borrowed() {
        let Member::Scalar(Scalar::Text(Cow::Borrowed("YQ=="))) = member(r#""YQ==""#) else {
            panic!("copied");
        };
    }

    #[test]
    fn errors_name_the_member_and_no_value() {
        for json in [r#"["hush"]"#, r#"{"hush":1}"#, r#""hush""#, "4.5"] {
            let error = member(json).int("n").unwrap_err().to_string();
            assert!(
                error.contains("field \"n\"") && !error.contains("hush"),
                "{error}"
            );
        }
        assert!(member("[]").text("n").is_err() && member("{}").boolean("n").is_err());
    }
}
