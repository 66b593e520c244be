//! The pkcs11 seal on a token of SoftHSM2.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    missing_docs
)]

mod softhsm;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keyfold_backends::seals::KINDS;
use keyfold_core::ports::seal::{Blob, Seal, SealError};
use keyfold_keys::Share;
use softhsm::{LABEL, PIN, in_a_child, library, util};

const CHILD: &str = "KEYFOLD_TEST_HSM";

#[test]
fn a_token_wraps_and_opens() {
    in_a_child(CHILD, &[LABEL], import);
}

/// Brings a key of each kind.
fn import(here: &Path) {
    let aes = here.join("aes");
    // The import ends a key at a zero byte and after a line break: neither has its highest bit set.
    let key = keyfold_keys::rng::bytes::<32>().map(|byte| byte | 0x80);
    std::fs::write(&aes, key).unwrap();
    let pair = here.join("pair.pem");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    std::fs::write(&pair, key.serialize_pem()).unwrap();
    for (file, more) in [
        (&aes, &["--aes", "--label", "wrap", "--id", "a1"][..]),
        (&pair, &["--label", "pair", "--id", "b2"]),
    ] {
        let import = [
            "--import",
            file.to_str().unwrap(),
            "--token",
            LABEL,
            "--pin",
            PIN,
        ];
        util(here, &[&import[..], more].concat());
    }
}

/// Does nothing unless it is the child of the other test.
#[tokio::test]
async fn inside() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    both_kinds_of_keys().await;
    what_is_not_of_the_key_is_foreign().await;
    refusals().await;
    a_token_that_is_gone(&folder).await;
}

fn seal(more: &[(&str, &str)]) -> Arc<dyn Seal> {
    let library = library().unwrap();
    let base = [
        ("lib", library.to_str().unwrap()),
        ("pin", PIN),
        ("token_label", LABEL),
        // The only hash that SoftHSM2 knows for OAEP.
        ("rsa_oaep_hash", "sha1"),
    ];
    let pairs = base.iter().chain(more);
    let settings = pairs
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let kind = KINDS.iter().find(|kind| kind.name == "pkcs11").unwrap();
    (kind.make)(&settings).ok().unwrap()
}

fn share() -> Share {
    Share::from_bytes(&[9; 33]).ok().unwrap()
}

async fn both_kinds_of_keys() {
    for (settings, name) in [
        (&[("key_label", "wrap")][..], "wrap:a1"),
        (&[("key_id", "0xa1"), ("mechanism", "0x1087")], "wrap:a1"),
        (&[("key_label", "pair")], "pair:b2"),
        (
            &[("key_id", "b2"), ("mechanism", "CKM_RSA_PKCS_OAEP")],
            "pair:b2",
        ),
    ] {
        let blob = seal(settings).wrap(&share()).await;
        let blob = blob.unwrap_or_else(|e| panic!("{settings:?}: {e:?}"));
        assert_eq!(blob.key_id, name);
        let again = seal(settings).unwrap(&blob).await;
        let again = again.unwrap_or_else(|e| panic!("{settings:?}: {e:?}"));
        assert!(again.ct_eq(&share()), "{settings:?}");
    }
}

async fn what_is_not_of_the_key_is_foreign() {
    for label in ["wrap", "pair"] {
        let seal = seal(&[("key_label", label)]);
        let blob = seal.wrap(&share()).await.unwrap();
        let mut flipped = blob.clone();
        let last = flipped.bytes.len() - 1;
        flipped.bytes[last] ^= 1;
        let mut cut = blob.clone();
        cut.bytes.truncate(20);
        let none = Blob {
            bytes: Vec::new(),
            ..blob.clone()
        };
        for bad in [flipped, cut, none] {
            let went = seal.unwrap(&bad).await;
            assert!(
                matches!(went, Err(SealError::Foreign(_))),
                "{label}: {:?}",
                went.err()
            );
        }
        assert!(seal.unwrap(&blob).await.is_ok());
    }
}

async fn refusals() {
    for (settings, wanted) in [
        (&[("key_label", "nothing")][..], "the token has no such key"),
        (
            &[("key_label", "pair"), ("rsa_oaep_hash", "sha256")],
            "the HSM does not do it",
        ),
        (
            &[("key_label", "wrap"), ("lib", "/nonexistent.so")],
            "the HSM's library can't be loaded",
        ),
    ] {
        let error = seal(settings).wrap(&share()).await.err().unwrap();
        assert!(
            matches!(&error, SealError::Refused(text) if text.starts_with(wanted)),
            "{error:?}"
        );
    }
    let away = seal(&[("key_label", "wrap"), ("token_label", "other")]);
    assert!(matches!(away.wrap(&share()).await, Err(SealError::Down(_))));
    let wrong = seal(&[("key_label", "wrap"), ("pin", "999999")]);
    for _ in 0..2 {
        let went = wrong.wrap(&share()).await;
        assert!(matches!(went, Err(SealError::Refused(text)) if text.contains("PIN")));
    }
    assert!(seal(&[("key_label", "wrap")]).wrap(&share()).await.is_ok());
}

async fn a_token_that_is_gone(folder: &Path) {
    let seal = seal(&[("key_label", "wrap")]);
    let blob = seal.wrap(&share()).await.unwrap();
    let (there, away) = (folder.join("tokens"), folder.join("away"));
    std::fs::rename(&there, &away).unwrap();
    assert!(seal.unwrap(&blob).await.is_err());
    std::fs::rename(&away, &there).unwrap();
    let back = seal.unwrap(&blob).await;
    assert!(
        back.as_ref().is_ok_and(|s| s.ct_eq(&share())),
        "{:?}",
        back.err()
    );
}
