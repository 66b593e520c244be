//! Transit ciphertexts: the text form, and what is in it under a key of each kind.
#![no_main]

use keyfold_keys::transit::{Ciphertext, KeyType, ServiceKey};
use libfuzzer_sys::fuzz_target;

const KINDS: [&str; 4] = [
    "aes256-gcm96",
    "aes128-gcm96",
    "chacha20-poly1305",
    "x-wing",
];

fuzz_target!(|text: &str| {
    let Ok(ciphertext) = Ciphertext::parse(text) else {
        return;
    };
    let Ok(bytes) = ciphertext.decode() else {
        return;
    };
    let again = Ciphertext::format(1, &bytes);
    assert_eq!(
        Ciphertext::parse(&again).unwrap().decode().as_ref(),
        Ok(&bytes)
    );
    for kind in KINDS.into_iter().filter_map(KeyType::from_name) {
        let mut key = ServiceKey::generate(kind, 0)
            .ok()
            .unwrap()
            .cipher()
            .ok()
            .unwrap();
        assert!(
            key.decrypt(b"", bytes.clone()).is_err(),
            "nobody forges a ciphertext"
        );
        let sealed = key.encrypt(b"", &bytes).unwrap();
        assert!(
            key.decrypt(b"", sealed)
                .is_ok_and(|plain| *plain.expose() == bytes)
        );
    }
});
