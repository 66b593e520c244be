//! Offline keys as text, and the wraps that they open. A passphrase's wrap is not among them: each costs memory and time.
#![no_main]

use keyfold_envelope::header::Prelude;
use keyfold_envelope::slot::{Slot, TYPE_X_WING};
use keyfold_envelope::{
    Context, ExportedKek, Identity, Labels, XWingIdentity, identities_of, recipients_of,
};
use keyfold_secret::Protected;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static IDENTITY: LazyLock<XWingIdentity> =
    LazyLock::new(|| XWingIdentity::generate().expect("an identity is made"));

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = identities_of(text);
        if let Ok(recipients) = recipients_of(text) {
            for recipient in recipients {
                let again = recipients_of(&recipient.to_string());
                assert!(again.is_ok_and(|again| again == [recipient]));
            }
        }
    }
    let prelude = Prelude::new([1; 16], &Context::new(), &Labels::default()).expect("a prelude");
    let slot = Slot {
        kek_id: IDENTITY.recipient().id(),
        ..Slot::new(TYPE_X_WING, bytes.to_vec())
    };
    assert!(
        IDENTITY
            .open(&prelude, &slot)
            .is_none_or(|dek| dek.is_err()),
        "nobody forges a wrap"
    );
    let locator: keyfold_envelope::Locator = "transit/k".parse().expect("a locator");
    let key = Protected::init_with(|key: &mut [u8; 32]| key.fill(7));
    let kek = ExportedKek::new(locator.clone(), 1, key);
    let slot = Slot {
        version: 1,
        locator: Some(locator),
        ..Slot::new(1, bytes.to_vec())
    };
    assert!(
        kek.open(&prelude, &slot).is_none_or(|dek| dek.is_err()),
        "nobody forges a wrap"
    );
});
