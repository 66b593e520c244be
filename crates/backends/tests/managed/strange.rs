//! A token that makes its own nonces, and one that does not answer: SoftHSM2 behind a library that changes what it
//! does, see `strange.c`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use keyfold_backends::managed::pkcs11::Pkcs11Keys;
use keyfold_core::error::Error;
use keyfold_core::request::Op;
use serde_json::json;

use crate::softhsm::library;
use crate::world::{HELLO, World};

/// Its token. That of the others is logged in to by another copy of the library.
pub const TOKEN: &str = "strange";
/// Bytes of the nonces that it makes.
const OWN: u8 = 0xa5;

pub async fn own_nonces_and_no_answers(_: &World, folder: &Path) {
    let Some(library) = built(folder) else {
        eprintln!("skipped: no C compiler is installed, for a token that makes its own nonces");
        return;
    };
    let libraries = [("softhsm", library.to_str().unwrap())];
    let keys = Pkcs11Keys::new(libraries).patient(Duration::from_secs(1));
    let world = World::of(keys).await;
    world
        .key("k", "CKM_AES_GCM", json!({ "token_label": TOKEN }))
        .await;
    let sealed = world.encrypt("k", json!({})).await;
    let bytes = keyfold_api::base64::decode(sealed.rsplit(':').next().unwrap()).unwrap();
    assert_eq!(bytes[..12], [OWN; 12], "the nonce is not the token's");
    assert_eq!(world.decrypt("k", &sealed).await, HELLO);
    // More than may be inside of it at once: nobody waits for ever, and the mount goes on.
    world.write("transit/keys/soft", json!({})).await;
    let hangs = folder.join("hangs");
    std::fs::write(&hangs, "").unwrap();
    let plain = json!({ "plaintext": HELLO });
    let asked = (0..10).map(|_| world.ask(Op::Write, "transit/encrypt/k", plain.clone()));
    let (answers, _) = tokio::join!(futures_util::future::join_all(asked), async {
        world.encrypt("soft", json!({})).await
    });
    for answer in answers {
        let Err(Error::Away(text)) = answer else {
            panic!("{:?}", answer.err());
        };
        assert!(
            text.contains("managed key k: the HSM does not answer in time"),
            "{text}"
        );
    }
    std::fs::remove_file(&hangs).unwrap();
    // Those that were inside come back by and by.
    for left in (0..100).rev() {
        let body = json!({ "ciphertext": sealed });
        match world.ask(Op::Write, "transit/decrypt/k", body).await {
            Ok(_) => break,
            Err(Error::Away(_)) if left > 0 => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The library, around a copy of SoftHSM2 that nobody else has loaded.
fn built(folder: &Path) -> Option<PathBuf> {
    let (copy, strange) = (folder.join("copy.so"), folder.join("strange.so"));
    std::fs::copy(library().unwrap(), &copy).unwrap();
    let text = |name: &str, path: &Path| format!("-D{name}=\"{}\"", path.display());
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror"])
        .arg(text("SOFTHSM", &copy))
        .arg(text("HANGS", &folder.join("hangs")))
        .arg(format!("-DOWN={OWN}"))
        .arg("-o")
        .arg(&strange)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/managed/strange.c"
        ))
        .arg("-ldl")
        .output()
        .ok()?;
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    Some(strange)
}
