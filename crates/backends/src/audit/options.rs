//! Options that several kinds of device have.

use std::time::Duration;

use keyfold_api::duration;
use keyfold_core::ports::audit::{DeviceOptions, WRITE_DEADLINE};

/// The longest that a request may be told to wait for a device.
const LONGEST: Duration = Duration::from_secs(60);

/// `write_timeout`: a duration, two seconds without.
pub(super) fn write_timeout(text: Option<&str>) -> Result<Duration, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(WRITE_DEADLINE);
    };
    let parsed = duration::parse(text).ok().and_then(|d| d.to_duration());
    parsed
        .filter(|timeout| !timeout.is_zero() && *timeout <= LONGEST)
        .ok_or_else(|| "write_timeout: has to be a duration of at most 60 seconds".to_owned())
}

/// Refuses options that a kind does not have.
pub(super) fn known(options: &DeviceOptions, kind: &str, names: &[&str]) -> Result<(), String> {
    match options.keys().find(|name| !names.contains(&name.as_str())) {
        Some(name) => Err(format!("{name}: not an option of {kind} devices")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts() {
        let seconds = |text| write_timeout(Some(text)).map(|timeout| timeout.as_secs());
        assert_eq!(write_timeout(None), Ok(WRITE_DEADLINE));
        assert_eq!(seconds(""), Ok(2));
        assert_eq!(seconds("5"), Ok(5));
        assert_eq!(seconds("1m"), Ok(60));
        for text in ["0", "61s", "-1s", "soon"] {
            assert!(seconds(text).unwrap_err().starts_with("write_timeout:"));
        }
    }
}
