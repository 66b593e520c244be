//! One scalar of a body and what it may stand for.

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Deserializer, de};

use crate::duration::{self, Seconds};

/// A string, number or boolean as it came; borrowed from the body where it can be.
pub enum Scalar<'de> {
    /// Text.
    Text(Cow<'de, str>),
    /// A whole number that fits.
    Int(i64),
    /// A whole number above `i64::MAX`.
    BigInt(u64),
    /// Any other number.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
}

/// Go's spellings of a boolean, which clients of this protocol rely on.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl Scalar<'_> {
    /// Its text; `true` is `1`.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Int(number) => Cow::Owned(number.to_string()),
            Self::BigInt(number) => Cow::Owned(number.to_string()),
            Self::Float(number) => Cow::Owned(number.to_string()),
            Self::Bool(value) => Cow::Borrowed(if *value { "1" } else { "0" }),
        }
    }

    /// The integer it stands for.
    pub fn to_int(&self) -> Result<i64, &'static str> {
        const EXPECTED: &str = "expected an integer";
        match self {
            Self::Int(number) => Ok(*number),
            Self::Bool(value) => Ok(i64::from(*value)),
            Self::Text(text) => integer(text).ok_or(EXPECTED),
            Self::BigInt(_) => Err("the integer is too large"),
            Self::Float(_) => Err(EXPECTED),
        }
    }

    /// The boolean it stands for.
    pub fn to_bool(&self) -> Result<bool, &'static str> {
        const EXPECTED: &str = "expected a boolean";
        match self {
            Self::Bool(value) => Ok(*value),
            Self::Int(0) => Ok(false),
            Self::Int(1) => Ok(true),
            Self::Text(text) if text.is_empty() => Ok(false),
            Self::Text(text) => parse_bool(text).ok_or(EXPECTED),
            Self::Int(_) | Self::BigInt(_) | Self::Float(_) => Err(EXPECTED),
        }
    }

    /// The duration it stands for; numbers are seconds, fractions are cut off.
    pub fn to_seconds(&self) -> Result<Seconds, &'static str> {
        const INVALID: &str = "time: invalid duration";
        const TOO_LONG: &str = "time: duration is too long";
        match self {
            Self::Int(seconds) => Seconds(*seconds).within_limit(),
            Self::Text(text) => duration::parse(text),
            // A float too large for i64 saturates and is then over the limit.
            #[expect(clippy::cast_possible_truncation, reason = "saturates, then checked")]
            Self::Float(seconds) => Seconds(*seconds as i64).within_limit(),
            Self::BigInt(_) => return Err(TOO_LONG),
            Self::Bool(_) => return Err(INVALID),
        }
        .map_err(|error| match error {
            duration::DurationError::Invalid => INVALID,
            duration::DurationError::TooLong => TOO_LONG,
        })
    }
}

/// The decimal, `0x`, `0o` or `0b` integer in `text`; the empty text is 0.
pub(super) fn integer(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    for (prefix, radix) in [("0x", 16), ("0X", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(prefix) {
            if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
                return None;
            }
            return i64::from_str_radix(&format!("{sign}{digits}"), radix).ok();
        }
    }
    text.parse().ok()
}

/// A scalar's text, owned.
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let scalar = Scalar::deserialize(from)?;
        Ok(Self(match scalar {
            Scalar::Text(text) => text.into_owned(),
            other => other.to_text().into_owned(),
        }))
    }
}

impl<'de> Deserialize<'de> for Scalar<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> de::Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number or a boolean")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Int(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(number).map_or(Scalar::BigInt(number), Scalar::Int))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Float(number))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text)))
    }
}
