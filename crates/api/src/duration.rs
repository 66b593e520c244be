//! Durations as the wire has them: `30`, `"30s"`, `"1h30m"`, `"7d"`; always whole seconds inside.

use std::{fmt, str::FromStr, time::Duration};

/// The longest duration that is taken, in seconds: what fits into nanoseconds in 64 bits, which
/// is the range that existing clients and servers can hold (292 years).
const LIMIT: i64 = i64::MAX / NANOS_PER_SECOND as i64;
const NANOS_PER_SECOND: i128 = 1_000_000_000;

/// A span of whole seconds, as every duration of the wire is answered. May be negative: whether
/// that is allowed is the business of the field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub i64);

/// Reads a duration: an integer (seconds) or numbers with units `ns us µs ms s m h d`, with an
/// optional sign. The empty text is zero. Fractions of a second are cut off.
pub fn parse(text: &str) -> Result<Seconds, DurationError> {
    let seconds = if text.is_empty() {
        0
    } else if let Ok(seconds) = text.parse::<i64>() {
        seconds
    } else {
        let nanos = nanoseconds(text)?;
        i64::try_from(nanos / NANOS_PER_SECOND).map_err(|_| DurationError::TooLong)?
    };
    Seconds(seconds).within_limit()
}

impl Seconds {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// Whole seconds of `duration`, the rest cut off.
    pub fn from_duration(duration: Duration) -> Self {
        Self(
            i64::try_from(duration.as_secs())
                .unwrap_or(LIMIT)
                .min(LIMIT),
        )
    }

    /// The same span as a [`Duration`], or `None` when it is negative.
    pub fn to_duration(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_secs)
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Refuses what is longer than any clock of this protocol can hold.
    pub(crate) fn within_limit(self) -> Result<Self, DurationError> {
        if (-LIMIT..=LIMIT).contains(&self.0) {
            Ok(self)
        } else {
            Err(DurationError::TooLong)
        }
    }
}

impl FromStr for Seconds {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

/// The caller's text is no duration. The text itself is not kept: see [`DurationError::quoting`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// Not a number, or a unit that is not known.
    #[error("time: invalid duration")]
    Invalid,
    /// More than 292 years.
    #[error("time: duration is too long")]
    TooLong,
}

impl DurationError {
    /// The error with the caller's own text in it, as existing servers word it. Only for places
    /// where that text can't be a secret, a header such as `X-Vault-Wrap-TTL` for one.
    pub fn quoting(self, text: &str) -> String {
        format!("{self} {text:?}")
    }
}

fn nanoseconds(text: &str) -> Result<i128, DurationError> {
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, text.get(1..).unwrap_or_default()),
        Some(b'+') => (false, text.get(1..).unwrap_or_default()),
        _ => (false, text),
    };
    if rest.is_empty() {
        return Err(DurationError::Invalid);
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (nanos, after) = component(rest)?;
        total = total.checked_add(nanos).ok_or(DurationError::TooLong)?;
        rest = after;
    }
    Ok(if negative { -total } else { total })
}

/// One number with its unit from the start of `text`: nanoseconds, and what follows.
fn component(text: &str) -> Result<(i128, &str), DurationError> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(after) => digits(after),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Invalid);
    }
    let (unit, rest) = unit(rest).ok_or(DurationError::Invalid)?;
    let mut nanos = match whole {
        "" => 0,
        _ => whole.parse::<i128>().map_err(|_| DurationError::TooLong)?,
    }
    .checked_mul(unit)
    .ok_or(DurationError::TooLong)?;
    let mut scale = unit;
    for digit in fraction.bytes() {
        scale /= 10;
        nanos = nanos
            .checked_add(scale * i128::from(digit.wrapping_sub(b'0')))
            .ok_or(DurationError::TooLong)?;
    }
    Ok((nanos, rest))
}

fn digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn unit(text: &str) -> Option<(i128, &str)> {
    const UNITS: [(&str, i128); 9] = [
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("μs", 1_000),
        ("ms", 1_000_000),
        ("s", NANOS_PER_SECOND),
        ("m", 60 * NANOS_PER_SECOND),
        ("h", 3600 * NANOS_PER_SECOND),
        ("d", 86_400 * NANOS_PER_SECOND),
    ];
    UNITS
        .iter()
        .find_map(|&(name, nanos)| Some((nanos, text.strip_prefix(name)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_write() {
        let table = [
            ("", 0),
            ("0", 0),
            ("30", 30),
            ("-5", -5),
            ("+5", 5),
            ("30s", 30),
            ("1h30m", 5400),
            ("7d", 604_800),
            ("1d12h", 129_600),
            ("1.5h", 5400),
            (".5m", 30),
            ("-1h", -3600),
            ("1500ms", 1),
            ("999ms", 0),
            ("1h0.5s", 3600),
            ("9223372036", 9_223_372_036),
        ];
        for (text, seconds) in table {
            assert_eq!(parse(text), Ok(Seconds(seconds)), "{text:?}");
        }
    }

    #[test]
    fn what_is_none() {
        for text in [
            "soon", "x", "s", "1 s", "1hm", "-", "+", "1.h.", "1w", "é", "1h ", ".",
        ] {
            assert_eq!(parse(text), Err(DurationError::Invalid), "{text:?}");
        }
        for text in [
            "9223372037",
            "9999999999999999999999999999999999999999999h",
            "107000d",
        ] {
            assert_eq!(parse(text), Err(DurationError::TooLong), "{text:?}");
        }
        assert_eq!(
            DurationError::Invalid.quoting("soon"),
            r#"time: invalid duration "soon""#
        );
    }
}
