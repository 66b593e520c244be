//! The members of a request that says where a key is, checked.

use keyfold_api::body::Decoded;
use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::ports::managed::Use;
use keyfold_core::request::Body;
use keyfold_secret::Secret;
use serde::Deserialize;

use super::terms::{Mechanism, Stored};
use crate::pkcs11::{Hash, number};

/// What a PIN is shown as.
const REDACTED: &str = "redacted";
const CURVES: [&str; 3] = ["P256", "P384", "P521"];
/// Uses that a usage can name without effect, since transit has none for them.
const IDLE: [&str; 4] = ["wrap", "unwrap", "mac", "generate_random"];

#[derive(Deserialize, Default)]
#[serde(default)]
struct Members {
    #[serde(deserialize_with = "weak::string")]
    library: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    slot: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    token_label: Option<String>,
    #[serde(deserialize_with = "weak::secret_string")]
    pin: Option<Secret<String>>,
    #[serde(deserialize_with = "weak::string")]
    key_label: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    key_id: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    mechanism: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    rsa_oaep_hash: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    curve: Option<String>,
    #[serde(deserialize_with = "weak::int")]
    key_bits: Option<i64>,
    #[serde(deserialize_with = "weak::boolean")]
    force_rw_session: Option<bool>,
    #[serde(deserialize_with = "weak::list")]
    usages: Option<Vec<String>>,
}

/// What is to be stored, and the members that are none of these.
pub(super) fn settle(body: &Body, stored: Option<Stored>) -> Result<(Stored, Vec<String>), Error> {
    let Decoded {
        value: given,
        unknown,
    } = body.decode::<Members>()?;
    Ok((given.over(stored)?, unknown))
}

impl Members {
    /// These over what is stored.
    fn over(self, stored: Option<Stored>) -> Result<Stored, Error> {
        let (pin, mechanism) = match &stored {
            Some(stored) => (Some(stored.pin.expose().as_str()), Some(stored.mechanism)),
            None => (None, None),
        };
        let pin = self.pin.as_ref().map(|pin| pin.expose().as_str()).or(pin);
        let pin = pin.filter(|pin| !pin.is_empty());
        let pin = pin.ok_or_else(|| Error::field("pin", "is needed"))?;
        if pin == REDACTED {
            let what = "is what is shown in its place: leave it out to keep the one that is stored";
            return Err(Error::field("pin", what));
        }
        let pin = Secret::new(pin.to_owned());
        let mechanism = match self.mechanism.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => Some(named_mechanism(text)?),
            None => mechanism,
        };
        let text = |given: Option<String>, kept: fn(&Stored) -> &String| {
            given.unwrap_or_else(|| stored.as_ref().map(kept).cloned().unwrap_or_default())
        };
        let new = Stored {
            library: text(self.library, |s| &s.library),
            slot: match self.slot {
                Some(text) => slot(&text)?,
                None => stored.as_ref().and_then(|stored| stored.slot),
            },
            token_label: text(self.token_label, |s| &s.token_label),
            pin,
            key_label: text(self.key_label, |s| &s.key_label),
            key_id: key_id(&text(self.key_id, |s| &s.key_id))?,
            mechanism: mechanism.ok_or_else(|| Error::field("mechanism", "is needed"))?,
            rsa_oaep_hash: text(self.rsa_oaep_hash, |s| &s.rsa_oaep_hash),
            curve: text(self.curve, |s| &s.curve),
            key_bits: match self.key_bits {
                Some(bits) => u32::try_from(bits).unwrap_or(u32::MAX),
                None => stored.as_ref().map_or(0, |stored| stored.key_bits),
            },
            force_rw_session: self
                .force_rw_session
                .or(stored.as_ref().map(|stored| stored.force_rw_session))
                .unwrap_or_default(),
            usages: match self.usages {
                Some(usages) => usages,
                None => stored.map(|stored| stored.usages).unwrap_or_default(),
            },
        };
        check(&new)?;
        Ok(new)
    }
}

/// That the members fit each other.
fn check(new: &Stored) -> Result<(), Error> {
    let needed = |field, text: &str| match text.is_empty() {
        true => Err(Error::field(field, "is needed")),
        false => Ok(()),
    };
    needed("library", &new.library)?;
    if new.slot.is_none() {
        needed("token_label", &new.token_label)
            .map_err(|_| Error::field("token_label", "or \"slot\" is needed"))?;
    }
    if new.key_id.is_empty() {
        needed("key_label", &new.key_label)
            .map_err(|_| Error::field("key_label", "or \"key_id\" is needed"))?;
    }
    if !new.rsa_oaep_hash.is_empty() && Hash::named(&new.rsa_oaep_hash).is_none() {
        let what = "must be sha1, sha224, sha256, sha384 or sha512";
        return Err(Error::field("rsa_oaep_hash", what));
    }
    if !new.curve.is_empty() && !CURVES.contains(&new.curve.as_str()) {
        return Err(Error::field("curve", "must be P256, P384 or P521"));
    }
    let sizes: &[u32] = match new.mechanism {
        Mechanism::AesGcm => &[0, 128, 256],
        Mechanism::Ecdsa => &[0],
        _ => &[0, 2048, 3072, 4096],
    };
    if !sizes.contains(&new.key_bits) {
        let what =
            "must be 128 or 256 for AES, 2048, 3072 or 4096 for RSA, and is no matter of ECDSA";
        return Err(Error::field("key_bits", what));
    }
    let known = |usage: &String| {
        let uses = [Use::Encrypt, Use::Decrypt, Use::Sign, Use::Verify];
        uses.iter().any(|what| what.name() == usage) || IDLE.contains(&usage.as_str())
    };
    if !new.usages.iter().all(known) {
        let what = "must be of encrypt, decrypt, sign, verify, wrap, unwrap, mac, generate_random";
        return Err(Error::field("usages", what));
    }
    Ok(())
}

fn slot(text: &str) -> Result<Option<u64>, Error> {
    match text {
        "" => Ok(None),
        text => number(text)
            .map(Some)
            .ok_or_else(|| Error::field("slot", "must be a number")),
    }
}

/// The id in hex, without a prefix.
fn key_id(text: &str) -> Result<String, Error> {
    let bytes = hex::decode(text.strip_prefix("0x").unwrap_or(text));
    bytes
        .map(hex::encode)
        .map_err(|_| Error::field("key_id", "must be hex"))
}

/// A mechanism by its name or its number.
fn named_mechanism(text: &str) -> Result<Mechanism, Error> {
    let name = text.to_ascii_uppercase();
    let name = name.trim_start_matches("CKM_");
    let asked = number(&text.to_ascii_lowercase());
    let mut all = Mechanism::ALL.into_iter();
    let found = all.find(|(_, known, number)| {
        asked == Some(*number) || known.trim_start_matches("CKM_") == name
    });
    found.map(|row| row.0).ok_or_else(|| {
        let offered = Mechanism::ALL.map(|(_, name, number)| format!("{name} ({number:#06x})"));
        Error::field(
            "mechanism",
            format_args!("must be one of {}", offered.join(", ")),
        )
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn settled(more: Value, stored: Option<Stored>) -> Result<Stored, String> {
        let mut body = json!({});
        if stored.is_none() {
            body = json!({
                "library": "hsm", "token_label": "t", "pin": "1234", "key_label": "k",
                "mechanism": "0x1087",
            });
        }
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        let body = Body::new(body.to_string().into_bytes());
        let settled = settle(&body, stored);
        settled
            .map(|(stored, _)| stored)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn spellings() {
        for (text, wanted) in [
            (json!("0x1087"), Mechanism::AesGcm),
            (json!("ckm_ecdsa"), Mechanism::Ecdsa),
            (json!("0x000D"), Mechanism::RsaPss),
            (json!("RSA_PKCS"), Mechanism::RsaPkcs1),
            (json!(9), Mechanism::RsaOaep),
        ] {
            let stored = settled(json!({ "mechanism": text }), None).ok().unwrap();
            assert_eq!(stored.mechanism, wanted);
        }
        let some = json!({ "slot": "0x10", "key_id": "0xAB01", "usages": "encrypt,mac" });
        let some = settled(some, None).ok().unwrap();
        assert_eq!((some.slot, some.key_id.as_str()), (Some(16), "ab01"));
        assert!(some.allows(Use::Encrypt) && !some.allows(Use::Decrypt));
        assert!(!some.allows(Use::Sign));
    }

    #[test]
    fn mistakes_name_the_member_and_no_pin() {
        for (more, wanted) in [
            (json!({ "library": "" }), "\"library\": is needed"),
            (json!({ "pin": "" }), "\"pin\": is needed"),
            (json!({ "pin": "redacted" }), "\"pin\": is what is shown"),
            (json!({ "token_label": "" }), "\"token_label\": or \"slot\""),
            (json!({ "key_label": "" }), "\"key_label\": or \"key_id\""),
            (
                json!({ "mechanism": "des" }),
                "\"mechanism\": must be one of",
            ),
            (json!({ "slot": "one" }), "\"slot\": must be a number"),
            (json!({ "key_id": "xyz" }), "\"key_id\": must be hex"),
            (json!({ "key_bits": 192 }), "\"key_bits\": must be"),
            (json!({ "curve": "P224" }), "\"curve\": must be"),
            (
                json!({ "rsa_oaep_hash": "md5" }),
                "\"rsa_oaep_hash\": must be",
            ),
            (json!({ "usages": ["fly"] }), "\"usages\": must be"),
        ] {
            let error = settled(more, None).err().unwrap();
            assert!(error.contains(wanted), "{error}");
            assert!(!error.contains("1234"), "{error}");
        }
    }

    #[test]
    fn what_is_left_out_stays_and_the_pin_is_not_shown() {
        let first = settled(json!({ "key_bits": 256 }), None).ok().unwrap();
        let record = first.record().ok().unwrap();
        let stored = Stored::read(record.expose()).ok().unwrap();
        let second = settled(json!({ "key_label": "other" }), Some(stored))
            .ok()
            .unwrap();
        assert_eq!(second.pin.expose(), "1234");
        assert_eq!((second.key_bits, second.key_label.as_str()), (256, "other"));
        let shown = Value::Object(second.show());
        assert_eq!(shown["pin"], "redacted");
        assert_eq!(shown["mechanism"], 0x1087);
        assert!(!shown.to_string().contains("1234"));
    }
}
