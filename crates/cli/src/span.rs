//! Durations as arguments: refused here, where the flag can be named.

use keyfold_api::duration;

/// The text of a duration that the server takes: seconds, or `1h30m`. The empty text and `system`,
/// which leave it to the server, pass.
pub(crate) fn span(text: &str) -> Result<String, String> {
    if text != "system" {
        duration::parse(text).map_err(|error| error.quoting(text))?;
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_duration_is_told() {
        for good in ["", "0", "90", "1h30m", "1.5h", "7d", "-5m", "system"] {
            assert_eq!(span(good).as_deref(), Ok(good));
        }
        for bad in ["x", "5 minutes", "1h30", " 5", "1y"] {
            let error = span(bad).unwrap_err();
            assert!(error.contains(bad), "{error}");
        }
    }
}
