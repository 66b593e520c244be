//! [`Bounds`]: a part of the plaintext, as it is asked for.

use std::ops::Range;
use std::str::FromStr;

use crate::error::Error;

/// A part of the plaintext, written as in an HTTP `Range`: `0-499`, `500-`, `-100`. Unlike there, a part that does not
/// exist whole is an error and never a shorter answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounds {
    /// From the first of these bytes to the last, both included.
    Between(u64, u64),
    /// From this byte to the end.
    From(u64),
    /// This many bytes before the end.
    Last(u64),
}

/// Why a text is no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundsError {
    /// It is not of the form A-B, A- or -N.
    #[error("a range is written A-B, A- (to the end) or -N (the last N bytes), in bytes from 0")]
    Form,
    /// It ends before it begins.
    #[error("the range ends before it begins")]
    Order,
    /// It holds no byte: `-0`.
    #[error("the range holds no byte")]
    Empty,
}

impl Bounds {
    /// The bytes meant, where the end is not asked about; the rest needs the plaintext's length.
    pub(super) fn absolute(self) -> Option<Range<u64>> {
        match self {
            Self::Between(first, last) => Some(first..last.saturating_add(1)),
            Self::From(_) | Self::Last(_) => None,
        }
    }

    /// The bytes meant, of a plaintext of `len` bytes.
    pub(super) fn within(self, len: u64) -> Result<Range<u64>, Error> {
        let beyond = |end| Error::OutOfRange { end, len };
        match self {
            Self::Between(first, last) => {
                let end = last.saturating_add(1);
                if end > len {
                    Err(beyond(end))
                } else {
                    Ok(first..end)
                }
            }
            Self::From(first) if first >= len => Err(beyond(first.saturating_add(1))),
            Self::From(first) => Ok(first..len),
            Self::Last(count) => Ok(len.checked_sub(count).ok_or(beyond(count))?..len),
        }
    }
}

impl FromStr for Bounds {
    type Err = BoundsError;

    fn from_str(text: &str) -> Result<Self, BoundsError> {
        let number = |digits: &str| {
            let all_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.parse().ok().filter(|_| all_digits);
            number.ok_or(BoundsError::Form)
        };
        match text.split_once('-').ok_or(BoundsError::Form)? {
            ("", count) => match number(count)? {
                0 => Err(BoundsError::Empty),
                count => Ok(Self::Last(count)),
            },
            (first, "") => Ok(Self::From(number(first)?)),
            (first, last) => match (number(first)?, number(last)?) {
                (first, last) if last < first => Err(BoundsError::Order),
                (first, last) => Ok(Self::Between(first, last)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::Bounds::{Between, From, Last};

    #[test]
    fn the_forms_of_http() {
        for (text, bounds) in [
            ("0-0", Ok(Between(0, 0))),
            ("5-99", Ok(Between(5, 99))),
            ("100-", Ok(From(100))),
            ("-100", Ok(Last(100))),
            ("18446744073709551615-", Ok(From(u64::MAX))),
            ("9-8", Err(BoundsError::Order)),
            ("-0", Err(BoundsError::Empty)),
            ("", Err(BoundsError::Form)),
            ("-", Err(BoundsError::Form)),
            ("5", Err(BoundsError::Form)),
            ("+1-2", Err(BoundsError::Form)),
            ("1-2-3", Err(BoundsError::Form)),
            (" 1-2", Err(BoundsError::Form)),
            ("0-18446744073709551616", Err(BoundsError::Form)),
        ] {
            assert_eq!(text.parse::<Bounds>(), bounds, "{text:?}");
        }
    }

    #[test]
    fn a_part_is_there_whole_or_not_at_all() {
        for (bounds, len, range) in [
            (Between(0, 0), 1, Some(0..1)),
            (Between(0, 1), 1, None),
            (Between(0, u64::MAX), 1, None),
            (From(0), 1, Some(0..1)),
            (From(1), 1, None),
            (From(u64::MAX), 1, None),
            (From(0), 0, None),
            (Last(1), 1, Some(0..1)),
            (Last(2), 1, None),
            (Last(u64::MAX), u64::MAX, Some(0..u64::MAX)),
        ] {
            assert_eq!(bounds.within(len).ok(), range, "{bounds:?} of {len}");
        }
    }
}
