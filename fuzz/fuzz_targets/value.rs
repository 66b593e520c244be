//! A sealed value, as bytes and as text. None opens that the key has not sealed, and each has one text.
#![no_main]

use std::sync::{Arc, LazyLock};

use keyfold_envelope::value::{dek_no, from_text, to_text};
use keyfold_envelope::{Place, ValueKey, open_value};
use keyfold_secret::Protected;
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<Arc<ValueKey>> =
    LazyLock::new(|| Arc::new(ValueKey::new(1, &Protected::init_with(|dek| dek.fill(7)))));

const PLACE: Place<'static> = Place {
    table: "customers",
    column: "iban",
    key: b"4711",
};

fuzz_target!(|bytes: &[u8]| {
    let text = std::str::from_utf8(bytes).ok();
    if let Some(value) = text.and_then(|text| from_text(text).ok()) {
        assert_eq!(to_text(&value).as_bytes(), bytes);
        assert!(dek_no(&value).is_ok());
    }
    assert!(open_value(&*KEY, &PLACE, bytes).is_err());
});
