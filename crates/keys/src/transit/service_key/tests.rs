use super::*;
use crate::aead::TAG_LEN;
use crate::digest::Digest;
use crate::transit::{Padding, Salt, Scheme};

const CONTEXTS: [&[u8]; 3] = [b"", b"a", b"another"];
const SCHEME: Scheme = Scheme {
    hash: Some(Digest::Sha2_256),
    prehashed: false,
    padding: Padding::Pss(Salt::Auto),
    side_by_side: false,
};

/// One of each type; RSA of the shortest modulus alone, as those take long to make.
fn one_of_each() -> impl Iterator<Item = ServiceKey> {
    let quick = |kind: &KeyType| !matches!(kind, KeyType::Rsa3072 | KeyType::Rsa4096);
    let kinds = KeyType::all().filter(quick);
    kinds.map(|kind| ServiceKey::generate(kind, 40).unwrap())
}

fn ciphers() -> impl Iterator<Item = KeyType> {
    KeyType::all().filter(|kind| kind.is_symmetric())
}

fn generate(kind: KeyType) -> ServiceKey {
    ServiceKey::generate(kind, 0).unwrap()
}

#[test]
fn round_trip() {
    for kind in ciphers() {
        let mut cipher = generate(kind).cipher().unwrap();
        for plaintext in [&b""[..], b"a", &[7; 100_000]] {
            let sealed = cipher.encrypt(b"aad", plaintext).unwrap();
            let nonce = if kind == KeyType::XChaCha20Poly1305 {
                24
            } else {
                12
            };
            assert_eq!(sealed.len(), plaintext.len() + nonce + TAG_LEN);
            assert_ne!(sealed, cipher.encrypt(b"aad", plaintext).unwrap());
            assert_eq!(cipher.decrypt(b"aad", sealed).unwrap().expose(), plaintext);
        }
    }
}

#[test]
fn every_changed_bit_is_refused() {
    for kind in [KeyType::default(), KeyType::XChaCha20Poly1305] {
        let mut cipher = generate(kind).cipher().unwrap();
        let sealed = cipher.encrypt(b"aad", b"hello").unwrap();
        for at in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[at / 8] ^= 1 << (at % 8);
            let error = cipher.decrypt(b"aad", changed).err();
            assert_eq!(error, Some(Error::WrongKey), "bit {at}");
        }
        assert_eq!(cipher.decrypt(b"", sealed).err(), Some(Error::WrongKey));
    }
}

#[test]
fn what_is_too_short_is_refused() {
    let cipher = generate(KeyType::default()).cipher().unwrap();
    for length in 0..12 + TAG_LEN {
        let error = cipher.decrypt(b"", vec![0; length]).err();
        let malformed = Error::Malformed("ciphertext");
        let expected = if length < 12 {
            malformed
        } else {
            Error::WrongKey
        };
        assert_eq!(error, Some(expected), "{length}");
    }
}

#[test]
fn contexts_and_keys_are_apart() {
    for kind in ciphers() {
        let key = generate(kind);
        let derive =
            |key: &ServiceKey, context: &[u8]| key.derive(context, Kdf::Hkdf, false).unwrap();
        for one in CONTEXTS {
            let sealed = derive(&key, one).encrypt(b"", b"hello").unwrap();
            for other in CONTEXTS {
                let opened = derive(&key, other).decrypt(b"", sealed.clone());
                assert_eq!(opened.is_ok(), one == other);
            }
            assert!(key.cipher().unwrap().decrypt(b"", sealed.clone()).is_err());
            let stranger = generate(kind);
            assert!(derive(&stranger, one).decrypt(b"", sealed).is_err());
        }
    }
}

#[test]
fn convergent_keys_repeat_what_they_are_given_and_no_nonce() {
    for kind in ciphers() {
        let key = generate(kind);
        let mut cipher = key.derive(b"context", Kdf::Hkdf, true).unwrap();
        let mut seal = |aad: &[u8], plaintext: &[u8]| cipher.encrypt(aad, plaintext).unwrap();
        assert_eq!(seal(b"", b"p"), seal(b"", b"p"));
        assert_eq!(seal(b"a", b"p"), seal(b"a", b"p"));
        assert_ne!(seal(b"", b"p")[..12], seal(b"a", b"p")[..12]);
        assert_ne!(seal(b"b", b"p")[..12], seal(b"a", b"p")[..12]);
        let random = key.derive(b"context", Kdf::Hkdf, false).unwrap();
        let opened = random.decrypt(b"a", seal(b"a", b"p")).unwrap();
        assert_eq!(opened.expose(), b"p", "the same key, whatever its nonces");
        assert!(key.derive(b"context", Kdf::Counter, true).is_err());
    }
}

#[test]
fn records_hold_all_of_a_key() {
    for key in one_of_each() {
        let record = key.to_record();
        let again = ServiceKey::from_record(key.kind(), record.expose()).unwrap();
        assert_eq!(again.expose(), key.expose(), "{:?}", key.kind());
        assert_eq!(again.hmac_key(), key.hmac_key());
        assert_eq!(again.public(), key.public());
        let restored = ServiceKey::new(key.kind(), key.expose(), Some(key.hmac_key())).unwrap();
        assert_eq!(restored.to_record().expose(), record.expose());
        assert_eq!(key.public().is_empty(), !key.kind().has_public());
        for len in 0..record.expose().len().min(5) {
            let cut = record.expose().get(..len).unwrap();
            assert!(ServiceKey::from_record(key.kind(), cut).is_err(), "{len}");
        }
        let other = [&[9][..], &record.expose()[1..]].concat();
        assert!(ServiceKey::from_record(key.kind(), &other).is_err());
    }
}

/// What the first versions of this server stored: a byte 1 and the key.
#[test]
fn records_of_the_first_format() {
    for kind in [
        KeyType::Aes128Gcm96,
        KeyType::Aes256Gcm96,
        KeyType::ChaCha20Poly1305,
    ] {
        let key = generate(kind);
        let record = [&[1][..], key.expose()].concat();
        let read = ServiceKey::from_record(kind, &record).unwrap();
        assert_eq!(read.expose(), key.expose());
        let again = ServiceKey::from_record(kind, &record).unwrap();
        assert_eq!(
            read.hmac_key(),
            again.hmac_key(),
            "derived, and always the same"
        );
        assert_eq!(read.hmac_key().len(), 32);
        assert!(ServiceKey::from_record(kind, &record[1..]).is_err());
    }
    assert!(ServiceKey::from_record(KeyType::Hmac, &[1; 33]).is_err());
}

#[test]
fn material_has_the_length_of_its_type() {
    for kind in ciphers() {
        let len = kind.key_len().unwrap();
        for wrong in [0, len - 1, len + 1] {
            assert!(ServiceKey::new(kind, &vec![1; wrong], None).is_err());
        }
    }
    for size in [0, 31, 513] {
        assert!(ServiceKey::generate(KeyType::Hmac, size).is_err());
        assert!(ServiceKey::new(KeyType::Hmac, &vec![1; size], None).is_err());
    }
}

#[test]
fn signatures() {
    for key in one_of_each() {
        let signed = key.sign(b"message", &SCHEME, None);
        if !key.kind().signs() {
            assert!(signed.is_err());
            continue;
        }
        let signed = signed.unwrap();
        assert!(key.verify(b"message", &SCHEME, None, &signed).unwrap());
        assert!(!key.verify(b"massage", &SCHEME, None, &signed).unwrap());
        let public = ServiceKey::public_only(key.kind(), key.public()).unwrap();
        assert!(public.verify(b"message", &SCHEME, None, &signed).unwrap());
        assert!(public.sign(b"message", &SCHEME, None).is_err());
        assert!(public.hmac(Digest::Sha2_256, b"message").is_err());
        let record = public.to_record();
        let again = ServiceKey::from_record(key.kind(), record.expose()).unwrap();
        assert!(again.is_public_only() && again.public() == key.public());
    }
}

#[test]
fn signatures_for_contexts() {
    let key = generate(KeyType::Ed25519);
    let for_a = Some((&b"a"[..], Kdf::Hkdf));
    let signed = key.sign(b"message", &SCHEME, for_a).unwrap();
    assert!(key.verify(b"message", &SCHEME, for_a, &signed).unwrap());
    let for_b = Some((&b"b"[..], Kdf::Hkdf));
    assert!(!key.verify(b"message", &SCHEME, for_b, &signed).unwrap());
    assert!(!key.verify(b"message", &SCHEME, None, &signed).unwrap());
    let derived = key.derived_public(b"a", Kdf::Hkdf).unwrap();
    let public = ServiceKey::public_only(KeyType::Ed25519, &derived).unwrap();
    assert!(public.verify(b"message", &SCHEME, None, &signed).unwrap());
}

#[test]
fn rsa_encrypts() {
    let key = generate(KeyType::Rsa2048);
    let mut cipher = key.cipher().unwrap();
    assert_eq!(cipher.longest(), Some(190));
    let sealed = cipher.encrypt(b"", &[7; 190]).unwrap();
    assert_eq!(
        cipher.decrypt(b"", sealed.clone()).unwrap().expose(),
        &[7; 190]
    );
    assert!(cipher.encrypt(b"", &[7; 191]).is_err());
    let public = ServiceKey::public_only(key.kind(), key.public()).unwrap();
    let error = public.cipher().unwrap().decrypt(b"", sealed).err();
    assert_eq!(error, Some(Error::UnknownVersion(0)));
}

#[test]
fn kems_encrypt() {
    for kind in [KeyType::MlKem768, KeyType::XWing] {
        let key = generate(kind);
        let mut cipher = key.cipher().unwrap();
        assert_eq!(cipher.longest(), None);
        let sealed = cipher.encrypt(b"aad", b"hello").unwrap();
        assert_ne!(sealed, cipher.encrypt(b"aad", b"hello").unwrap());
        let opened = cipher.decrypt(b"aad", sealed.clone()).unwrap();
        assert_eq!(opened.expose(), b"hello");
        let wrong = cipher.decrypt(b"", sealed.clone()).err();
        assert_eq!(wrong, Some(Error::WrongKey));
        let public = ServiceKey::public_only(kind, key.public()).unwrap();
        let mut cipher = public.cipher().unwrap();
        let error = cipher.decrypt(b"aad", sealed).err();
        assert_eq!(error, Some(Error::UnknownVersion(0)));
        let sealed = cipher.encrypt(b"", b"from outside").unwrap();
        let opened = key.cipher().unwrap().decrypt(b"", sealed).unwrap();
        assert_eq!(opened.expose(), b"from outside");
        assert!(key.derive(b"context", Kdf::Hkdf, false).is_err());
    }
}
