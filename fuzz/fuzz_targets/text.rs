//! The small texts of the wire: base64, durations, times. What is read is written the same way again.
#![no_main]

use keyfold_api::{base64, duration, time};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(bytes) = base64::decode(text) {
        assert_eq!(base64::decode(&base64::encode(&bytes)).ok(), Some(bytes));
    }
    match duration::parse(text) {
        Ok(seconds) => {
            assert_eq!(duration::parse(&seconds.to_string()).ok(), Some(seconds));
            assert_eq!(seconds.to_duration().is_none(), seconds.is_negative());
        }
        Err(error) => assert!(!error.quoting(text).is_empty()),
    }
    if let Ok(nanos) = time::parse_nanos(text) {
        assert_eq!(
            time::parse_nanos(&time::format_nanos(nanos)).ok(),
            Some(nanos)
        );
    }
    if let Ok(when) = time::parse(text) {
        assert_eq!(time::parse(&time::format(when)).ok(), Some(when));
    }
});
