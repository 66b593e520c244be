//! A keyring's JSON: whatever is taken is written again as what was read.
#![no_main]

use keyfold_envelope::keyring::Keyring;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(keyring) = Keyring::from_json(bytes) else {
        return;
    };
    // Written with more white space it may be too long.
    if let Ok(json) = keyring.to_json() {
        let again = Keyring::from_json(&json);
        assert!(again.is_ok_and(|again| again == keyring));
    }
    for row in keyring.rows() {
        assert_eq!(keyring.row(row.dek_no), Some(row));
    }
    let _ = (keyring.active(), keyring.next_number());
});
