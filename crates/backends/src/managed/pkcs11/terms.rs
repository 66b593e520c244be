//! What is stored of a key of a token, and how it is shown.

use keyfold_core::barrier::json;
use keyfold_core::error::Error;
use keyfold_core::ports::managed::Use;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::pkcs11::Hash;

/// The record. Texts are empty, and numbers 0, where nothing was said.
#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    /// The name of a library, never a path.
    pub library: String,
    /// One of the two at least.
    pub slot: Option<u64>,
    pub token_label: String,
    #[serde(serialize_with = "in_clear")]
    pub pin: Secret<String>,
    /// One of the two at least.
    pub key_label: String,
    /// In hex.
    pub key_id: String,
    pub mechanism: Mechanism,
    /// Of OAEP.
    pub rsa_oaep_hash: String,
    /// Of a key that is made.
    pub curve: String,
    /// So, too.
    pub key_bits: u32,
    pub force_rw_session: bool,
    /// Of the uses that the mechanism has; empty for all of them.
    pub usages: Vec<String>,
}

/// What is done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mechanism {
    AesGcm,
    RsaOaep,
    RsaPss,
    RsaPkcs1,
    Ecdsa,
}

impl Mechanism {
    /// Name and number of each, as the standard has them.
    pub const ALL: [(Self, &str, u64); 5] = [
        (Self::AesGcm, "CKM_AES_GCM", 0x1087),
        (Self::RsaOaep, "CKM_RSA_PKCS_OAEP", 0x9),
        (Self::RsaPss, "CKM_RSA_PKCS_PSS", 0xd),
        (Self::RsaPkcs1, "CKM_RSA_PKCS", 0x1),
        (Self::Ecdsa, "CKM_ECDSA", 0x1041),
    ];

    /// What it is for.
    pub const fn uses(self) -> [Use; 2] {
        match self {
            Self::AesGcm | Self::RsaOaep => [Use::Encrypt, Use::Decrypt],
            Self::RsaPss | Self::RsaPkcs1 | Self::Ecdsa => [Use::Sign, Use::Verify],
        }
    }

    fn number(self) -> u64 {
        let row = Self::ALL.iter().find(|row| row.0 == self);
        row.map_or(0, |row| row.2)
    }
}

impl Stored {
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|_| Error::corrupt("of a managed key"))
    }

    pub fn record(&self) -> Result<Secret<Vec<u8>>, Error> {
        json(self).map(Secret::new)
    }

    /// As it is shown.
    pub fn show(&self) -> Map<String, Value> {
        let shown = json!({
            "library": self.library,
            "slot": self.slot.map_or(Value::String(String::new()), Value::from),
            "token_label": self.token_label,
            "pin": "redacted",
            "key_label": self.key_label,
            "key_id": self.key_id,
            "mechanism": self.mechanism.number(),
            "rsa_oaep_hash": self.hash().name(),
            "curve": self.curve,
            "key_bits": self.key_bits,
            "force_rw_session": self.force_rw_session,
            "usages": self.usages,
        });
        match shown {
            Value::Object(shown) => shown,
            _ => Map::new(),
        }
    }

    /// Whether the key is for a use.
    pub fn allows(&self, what: Use) -> bool {
        let named = self.usages.iter().any(|usage| usage == what.name());
        self.mechanism.uses().contains(&what) && (named || self.usages.is_empty())
    }

    /// The hash of OAEP.
    pub fn hash(&self) -> Hash {
        Hash::named(&self.rsa_oaep_hash).unwrap_or(Hash::Sha256)
    }
}

fn in_clear<S: Serializer>(pin: &Secret<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(pin.expose())
}
