//! Timestamps of the wire: RFC 3339 in UTC with up to nine decimals, trailing zeros left out.

use std::time::SystemTime;

use jiff::Timestamp;

/// The caller's text is no RFC 3339 timestamp, or one outside the years -9999 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 timestamp")]
pub struct TimeError;

/// `2030-01-01T00:00:01.1438Z`. A time that the calendar can't hold is clamped to its ends.
pub fn format(time: SystemTime) -> String {
    Timestamp::try_from(time)
        .unwrap_or(Timestamp::MAX)
        .to_string()
}

/// The same for nanoseconds since 1970.
pub fn format_nanos(unix_nanos: i128) -> String {
    let clamped = unix_nanos.clamp(
        Timestamp::MIN.as_nanosecond(),
        Timestamp::MAX.as_nanosecond(),
    );
    Timestamp::from_nanosecond(clamped)
        .unwrap_or(Timestamp::MAX)
        .to_string()
}

/// Reads a timestamp with any offset.
pub fn parse(text: &str) -> Result<SystemTime, TimeError> {
    text.parse::<Timestamp>()
        .map(SystemTime::from)
        .map_err(|_| TimeError)
}

/// Reads a timestamp as nanoseconds since 1970.
pub fn parse_nanos(text: &str) -> Result<i128, TimeError> {
    text.parse::<Timestamp>()
        .map(Timestamp::as_nanosecond)
        .map_err(|_| TimeError)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn prints_as_existing_servers_do() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (1_893_456_001_180_864_446, "2030-01-01T00:00:01.180864446Z"),
            (1_893_456_001_100_000_000, "2030-01-01T00:00:01.1Z"),
            (-62_135_596_800_000_000_000, "0001-01-01T00:00:00Z"),
        ];
        for (nanos, text) in table {
            assert_eq!(format_nanos(nanos), text);
            assert_eq!(parse_nanos(text), Ok(nanos));
        }
        let time = UNIX_EPOCH + Duration::new(1_893_456_001, 500);
        assert_eq!(format(time), "2030-01-01T00:00:01.0000005Z");
        assert_eq!(parse(&format(time)), Ok(time));
    }

    #[test]
    fn is_total() {
        assert!(format_nanos(i128::MAX).starts_with("9999-"));
        assert!(format_nanos(i128::MIN).starts_with("-"));
        assert_eq!(
            parse_nanos("2030-01-01T01:00:00+01:00"),
            parse_nanos("2030-01-01T00:00:00Z")
        );
        for text in ["", "now", "2030-01-01", "2030-13-01T00:00:00Z"] {
            assert_eq!(parse(text), Err(TimeError), "{text:?}");
        }
    }
}
