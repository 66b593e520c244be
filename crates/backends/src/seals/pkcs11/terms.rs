//! The settings of an HSM's key.

use keyfold_core::ports::seal::{SettingError, Settings};
use keyfold_secret::Secret;

use super::super::settings::{needed, secret, text};
use crate::pkcs11::{Hash, Library, Named, Place, number};

/// Which key of which token, and how it is used.
pub(super) struct Terms {
    pub place: Place,
    pub named: Named,
    /// As the key is, where nothing is said.
    pub mechanism: Option<Mechanism>,
    pub hash: Hash,
}

/// A way to wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    AesGcm,
    RsaOaep,
}

impl Terms {
    pub(super) fn read(settings: &Settings) -> Result<Self, SettingError> {
        let wrong = SettingError::new;
        let owned = |name| text(settings, name).map(str::to_owned);
        let slot = text(settings, "slot")
            .map(|text| number(text).ok_or_else(|| wrong("slot", "has to be a number")));
        let (slot, token) = (slot.transpose()?, owned("token_label"));
        if slot.is_none() && token.is_none() {
            return Err(wrong("token_label", "or \"slot\" is needed"));
        }
        let id = text(settings, "key_id").map(|text| {
            let hexed = hex::decode(text.strip_prefix("0x").unwrap_or(text));
            hexed.map_err(|_| wrong("key_id", "has to be hex"))
        });
        let (id, label) = (id.transpose()?, owned("key_label"));
        if id.is_none() && label.is_none() {
            return Err(wrong("key_label", "or \"key_id\" is needed"));
        }
        let mechanism = text(settings, "mechanism").map(|text| {
            mechanism(text).ok_or_else(|| {
                wrong(
                    "mechanism",
                    "has to be CKM_AES_GCM (0x1087) or CKM_RSA_PKCS_OAEP (0x9)",
                )
            })
        });
        let hash = Hash::named(text(settings, "rsa_oaep_hash").unwrap_or("sha256"));
        let pin = secret("pin", needed(settings, "pin")?)?;
        Ok(Self {
            place: Place {
                library: Library::at(needed(settings, "lib")?),
                slot,
                token,
                pin: Secret::new(pin.bytes.expose().trim_ascii_end().to_vec()),
            },
            named: Named { label, id },
            mechanism: mechanism.transpose()?,
            hash: hash.ok_or_else(|| {
                wrong(
                    "rsa_oaep_hash",
                    "has to be sha1, sha224, sha256, sha384 or sha512",
                )
            })?,
        })
    }
}

fn mechanism(text: &str) -> Option<Mechanism> {
    match (
        text.to_ascii_uppercase().trim_start_matches("CKM_"),
        number(text),
    ) {
        ("AES_GCM", _) | (_, Some(0x1087)) => Some(Mechanism::AesGcm),
        ("RSA_PKCS_OAEP", _) | (_, Some(0x9)) => Some(Mechanism::RsaOaep),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(more: &[(&str, &str)]) -> Result<Terms, String> {
        let base = [
            ("lib", "/l.so"),
            ("pin", "1234"),
            ("token_label", "t"),
            ("key_label", "k"),
        ];
        let pairs = base.iter().chain(more);
        let settings = pairs
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Terms::read(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn spellings() {
        for (text, wanted) in [
            ("CKM_AES_GCM", Mechanism::AesGcm),
            ("0x1087", Mechanism::AesGcm),
            ("4231", Mechanism::AesGcm),
            ("0x0009", Mechanism::RsaOaep),
            ("rsa_pkcs_oaep", Mechanism::RsaOaep),
        ] {
            assert_eq!(
                terms(&[("mechanism", text)]).ok().unwrap().mechanism,
                Some(wanted)
            );
        }
        let some = [
            ("slot", "0x10"),
            ("key_id", "0xab01"),
            ("rsa_oaep_hash", "SHA-384"),
        ];
        let some = terms(&some).ok().unwrap();
        assert_eq!(
            (some.place.slot, some.named.id, some.hash),
            (Some(16), Some(vec![0xab, 1]), Hash::Sha384)
        );
        assert_eq!(Hash::of_byte(Hash::Sha512.byte()), Some(Hash::Sha512));
    }

    #[test]
    fn mistakes() {
        for (pair, wanted) in [
            (("lib", ""), "\"lib\" is needed"),
            (("pin", ""), "\"pin\" is needed"),
            (("token_label", ""), "\"token_label\" or \"slot\" is needed"),
            (("key_label", ""), "\"key_label\" or \"key_id\" is needed"),
            (("mechanism", "des"), "\"mechanism\" has to be"),
            (("key_id", "xyz"), "\"key_id\" has to be hex"),
            (("slot", "first"), "\"slot\" has to be a number"),
            (("rsa_oaep_hash", "md5"), "\"rsa_oaep_hash\" has to be"),
        ] {
            let error = terms(&[pair]).err().unwrap();
            assert!(error.starts_with(wanted), "{error}");
        }
    }
}
