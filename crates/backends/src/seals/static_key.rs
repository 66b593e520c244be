//! `seal "static"`: an AES-256 key that something else puts beside the configuration.
//!
//! What it wraps is `nonce 12 | ciphertext | tag 16`, AES-256-GCM. The nonce is random: a key wraps a
//! few shares in its life, and one every ten minutes as a rehearsal.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_core::ports::seal::{Blob, Seal, SealError, SealKind, Setting, SettingError, Settings};
use keyfold_keys::aead::{Algorithm, Key, NONCE_LEN};
use keyfold_keys::{Share, rng};
use keyfold_secret::{Protected, Secret};

use super::settings::{self, Revealed};

const KEY_LEN: usize = 32;

/// The kind, for the wiring.
pub const KIND: SealKind = SealKind {
    name: "static",
    settings: &[
        Setting::new(
            "current_key",
            &[
                "BAO_STATIC_SEAL_CURRENT_KEY",
                "VAULT_STATIC_SEAL_CURRENT_KEY",
            ],
        ),
        Setting::new(
            "current_key_id",
            &[
                "BAO_STATIC_SEAL_CURRENT_KEY_ID",
                "VAULT_STATIC_SEAL_CURRENT_KEY_ID",
            ],
        ),
        Setting::new(
            "previous_key",
            &[
                "BAO_STATIC_SEAL_PREVIOUS_KEY",
                "VAULT_STATIC_SEAL_PREVIOUS_KEY",
            ],
        ),
        Setting::new(
            "previous_key_id",
            &[
                "BAO_STATIC_SEAL_PREVIOUS_KEY_ID",
                "VAULT_STATIC_SEAL_PREVIOUS_KEY_ID",
            ],
        ),
    ],
    idle: &[],
    make,
};

/// A key, and perhaps the one before it.
struct Static {
    current: Named,
    previous: Option<Named>,
}

struct Named {
    id: String,
    key: Protected<KEY_LEN>,
}

fn make(settings: &Settings) -> Result<Arc<dyn Seal>, SettingError> {
    let current = named(settings, ["current_key", "current_key_id"])?;
    let previous = match settings::text(settings, "previous_key") {
        None => None,
        Some(_) => Some(named(settings, ["previous_key", "previous_key_id"])?),
    };
    if let Some(previous) = &previous
        && previous.id == current.id
    {
        let what = "is that of the current key: each key needs an id of its own";
        return Err(SettingError::new("previous_key_id", what));
    }
    Ok(Arc::new(Static { current, previous }))
}

fn named(settings: &Settings, [key, id]: [&'static str; 2]) -> Result<Named, SettingError> {
    let found = settings::secret(key, settings::needed(settings, key)?)?;
    let id = settings::needed(settings, id)?.to_owned();
    let wrong = || {
        SettingError::new(
            key,
            "has to be 32 bytes, in base64 or hex, or raw in a file",
        )
    };
    let key = parse(&found).ok_or_else(wrong)?;
    Ok(Named { id, key })
}

/// 32 raw bytes of a file, or text in hex or base64.
fn parse(found: &Revealed) -> Option<Protected<KEY_LEN>> {
    let bytes = found.bytes.expose();
    let own = |bytes: &[u8]| {
        let bytes: &[u8; KEY_LEN] = bytes.try_into().ok()?;
        Some(Protected::init_with(|key| key.copy_from_slice(bytes)))
    };
    if found.from_file && bytes.len() == KEY_LEN {
        return own(bytes);
    }
    let text = bytes.trim_ascii();
    let decoded = hex::decode(text).or_else(|_| STANDARD.decode(text));
    own(Secret::new(decoded.ok()?).expose())
}

impl Static {
    fn key(&self, id: &str) -> Option<&Named> {
        let previous = self.previous.iter();
        std::iter::once(&self.current)
            .chain(previous)
            .find(|named| named.id == id)
    }
}

#[async_trait]
impl Seal for Static {
    async fn wrap(&self, share: &Share) -> Result<Blob, SealError> {
        let nonce = rng::bytes::<NONCE_LEN>();
        let mut bytes = share.as_bytes().to_vec();
        let wrapped = self
            .current
            .cipher()
            .and_then(|key| key.seal(nonce, self.current.id.as_bytes(), &mut bytes));
        wrapped.map_err(|_| SealError::Refused("the key does not encrypt".into()))?;
        Ok(Blob {
            key_id: self.current.id.clone(),
            bytes: [nonce.as_slice(), &bytes].concat(),
        })
    }

    async fn unwrap(&self, blob: &Blob) -> Result<Share, SealError> {
        let Some(named) = self.key(&blob.key_id) else {
            let id = &blob.key_id;
            return Err(SealError::Foreign(format!(
                "the wrap is under the key \"{id}\", which is neither the current nor the previous one"
            )));
        };
        let id = &named.id;
        let other = || SealError::Foreign(format!("the wrap does not open under the key \"{id}\""));
        let (nonce, sealed) = blob
            .bytes
            .split_first_chunk::<NONCE_LEN>()
            .ok_or_else(other)?;
        let mut sealed = Secret::new(sealed.to_vec());
        let key = named.cipher().map_err(|_| other())?;
        let share = key.open(*nonce, id.as_bytes(), sealed.expose_mut());
        Share::from_bytes(share.map_err(|_| other())?).map_err(|_| other())
    }
}

impl Named {
    fn cipher(&self) -> Result<Key, keyfold_keys::Error> {
        Key::new(Algorithm::Aes256Gcm, self.key.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    const BASE64: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER: &str = "1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100";

    fn seal(settings: &[(&str, &str)]) -> Result<Arc<dyn Seal>, SettingError> {
        let settings = settings.iter();
        make(
            &settings
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        )
    }

    fn one(key: &str, id: &str) -> Arc<dyn Seal> {
        seal(&[("current_key", key), ("current_key_id", id)])
            .ok()
            .unwrap()
    }

    fn share() -> Share {
        Share::from_bytes(&[7; 32]).ok().unwrap()
    }

    #[tokio::test]
    async fn any_spelling_of_the_key_opens_what_another_wrapped() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            format!("file://{}", path.display())
        };
        let raw = file("raw", &hex::decode(HEX).unwrap());
        let text = file("text", format!("{BASE64}\n").as_bytes());
        let blob = one(HEX, "a").wrap(&share()).await.unwrap();
        assert_eq!(blob.key_id, "a");
        for spelling in [BASE64, &raw, &text] {
            let again = one(spelling, "a").unwrap(&blob).await.ok().unwrap();
            assert!(again.ct_eq(&share()), "{spelling}");
        }
    }

    #[tokio::test]
    async fn the_previous_key_opens_and_the_current_one_wraps() {
        let old = one(HEX, "a").wrap(&share()).await.unwrap();
        let both = seal(&[
            ("current_key", OTHER),
            ("current_key_id", "b"),
            ("previous_key", HEX),
            ("previous_key_id", "a"),
        ]);
        let both = both.ok().unwrap();
        assert!(both.unwrap(&old).await.ok().unwrap().ct_eq(&share()));
        assert_eq!(both.wrap(&share()).await.unwrap().key_id, "b");
    }

    #[tokio::test]
    async fn another_key_or_a_changed_blob_is_foreign() {
        let blob = one(HEX, "a").wrap(&share()).await.unwrap();
        let foreign = |went: Result<Share, SealError>| matches!(went, Err(SealError::Foreign(_)));
        assert!(foreign(one(OTHER, "a").unwrap(&blob).await));
        assert!(foreign(one(HEX, "b").unwrap(&blob).await));
        for bit in 0..blob.bytes.len() * 8 {
            let mut changed = blob.clone();
            changed.bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(foreign(one(HEX, "a").unwrap(&changed).await), "bit {bit}");
        }
        for len in 0..blob.bytes.len() {
            let mut cut = blob.clone();
            cut.bytes.truncate(len);
            assert!(foreign(one(HEX, "a").unwrap(&cut).await), "{len}");
        }
    }

    #[test]
    fn settings_that_are_wrong_are_named() {
        for (settings, wanted) in [
            (&[("current_key", HEX)][..], "\"current_key_id\" is needed"),
            (&[("current_key_id", "a")], "\"current_key\" is needed"),
            (
                &[("current_key", "abc"), ("current_key_id", "a")],
                "\"current_key\" has to be 32",
            ),
            (
                &[("current_key", "AAECAw=="), ("current_key_id", "a")],
                "\"current_key\" has to be",
            ),
            (
                &[
                    ("current_key", HEX),
                    ("current_key_id", "a"),
                    ("previous_key", OTHER),
                    ("previous_key_id", "a"),
                ],
                "\"previous_key_id\" is that of the current key",
            ),
        ] {
            let error = seal(settings).err().unwrap().to_string();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}
