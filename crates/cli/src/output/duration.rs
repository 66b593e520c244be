//! Spans of time as people write them: `768h`, `1h30m`.

/// `seconds` in hours, minutes and seconds, without those that are zero.
pub(super) fn spelled(seconds: i64) -> String {
    let (sign, seconds) = if seconds < 0 {
        ("-", seconds.unsigned_abs())
    } else {
        ("", seconds.unsigned_abs())
    };
    let parts = [
        (seconds / 3600, 'h'),
        (seconds / 60 % 60, 'm'),
        (seconds % 60, 's'),
    ];
    let text: String = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if text.is_empty() {
        "0s".to_owned()
    } else {
        format!("{sign}{text}")
    }
}

/// Whether a member of this name is a span of time in seconds.
pub(super) fn is_span(name: &str) -> bool {
    matches!(
        name,
        "ttl" | "period" | "default_lease_ttl" | "max_lease_ttl"
    ) || name.ends_with("_ttl")
        || name.ends_with("_duration")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (90, "1m30s"),
            (3600, "1h"),
            (2_764_800, "768h"),
            (-60, "-1m"),
        ] {
            assert_eq!(spelled(seconds), text);
        }
        assert!(is_span("creation_ttl") && !is_span("creation_time"));
    }
}
