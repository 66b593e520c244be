//! What the key hierarchy stores: records and wrapped keys as they stand, and what is inside them.
#![no_main]

use std::sync::LazyLock;

use keyfold_keys::aead::{self, Algorithm};
use keyfold_keys::{Dek, Keyring, RootKey, Share, UnsealKey, Wrapped, Wraps, record, xaes};
use libfuzzer_sys::fuzz_target;

const AT: &[u8] = b"core/x";
const UNSEAL_KEY: [u8; 32] = [7; 32];
const ROOT_KEY: [u8; 32] = [9; 32];

static DEK: LazyLock<Dek> = LazyLock::new(Dek::generate);
static KEYRING: LazyLock<Keyring> = LazyLock::new(|| Keyring::new("now"));
static ROOT: LazyLock<(UnsealKey, RootKey)> = LazyLock::new(root_key);

fuzz_target!(|bytes: &[u8]| {
    let _ = record::version(bytes);
    assert!(
        DEK.open("mount", "key", bytes).is_err(),
        "nobody forges a record"
    );
    let dek = Wrapped::<Dek>::from_bytes(bytes.to_vec());
    let _ = dek.term();
    assert!(KEYRING.active().kek.unwrap(&dek, AT).is_err());
    let (unseal_key, root_key) = &*ROOT;
    assert!(
        unseal_key
            .unwrap(&Wrapped::<RootKey>::from_bytes(bytes.to_vec()), AT)
            .is_err()
    );
    assert!(
        root_key
            .unwrap(&Wrapped::<Keyring>::from_bytes(bytes.to_vec()), AT)
            .is_err()
    );

    // The same bytes as what a keyring holds, truly wrapped.
    if let Ok(keyring) = root_key.unwrap(&Wrapped::from_bytes(wrap_keyring(bytes)), AT) {
        let again = root_key.wrap(&keyring, AT).unwrap();
        let again = root_key.unwrap(&again, AT).ok().unwrap();
        assert!(
            again
                .terms()
                .map(|term| term.term)
                .eq(keyring.terms().map(|term| term.term))
        );
        assert_eq!(keyring.active().kek.term(), keyring.active().term);
        let _ = keyring.retire(keyring.active().term);
        if let Ok(rotated) = keyring.rotate("later") {
            assert!(rotated.active().term > keyring.active().term);
        }
    }
});

/// A root key of which the bytes are known, so that other bytes can be wrapped by it.
fn root_key() -> (UnsealKey, RootKey) {
    let share = Share::from_bytes(&UNSEAL_KEY).ok().unwrap();
    let unseal_key = UnsealKey::from_share_of_one(&share).ok().unwrap();
    let (header, nonce) = ([1], [0; 12]);
    let mut sealed = ROOT_KEY.to_vec();
    let key = aead::Key::new(Algorithm::Aes256Gcm, &UNSEAL_KEY)
        .ok()
        .unwrap();
    key.seal(nonce, &[&header, AT].concat(), &mut sealed)
        .unwrap();
    let wrapped = Wrapped::from_bytes([&header[..], &nonce, &sealed].concat());
    let root_key = unseal_key.unwrap(&wrapped, AT).ok().unwrap();
    (unseal_key, root_key)
}

fn wrap_keyring(json: &[u8]) -> Vec<u8> {
    let (header, nonce) = ([1], [0; 24]);
    let mut sealed = json.to_vec();
    let tag = xaes::Key::new(&ROOT_KEY)
        .seal(&nonce, &[&header, AT].concat(), &mut sealed)
        .unwrap();
    [&header[..], &nonce, &sealed, &tag].concat()
}
