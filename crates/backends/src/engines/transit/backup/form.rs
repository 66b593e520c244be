//! The form of a backup, which existing servers read and write: base64 of JSON `{policy,
//! archived_keys}`. Numbers of any size stand in it as JSON numbers, so they are kept as text.

use std::collections::BTreeMap;

use keyfold_api::base64;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_keys::transit::{
    CurveHalf, Family, KeyType, Numbers, ParameterSet, RsaPrivate, ServiceKey,
};
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::engines::transit::key::Copied;
use crate::engines::transit::kind::PQC;

/// All of a backup.
#[derive(Serialize, Deserialize)]
pub(super) struct Backup {
    pub policy: Policy,
    pub archived_keys: Archive,
}

/// The settings of a key.
#[derive(Serialize, Deserialize)]
pub(super) struct Policy {
    pub name: String,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub key_size: u32,
    /// The versions that decrypt, which stand in the archive too.
    #[serde(default)]
    pub keys: BTreeMap<String, Entry>,
    #[serde(default)]
    pub derived: bool,
    #[serde(default)]
    pub kdf: i64,
    #[serde(default)]
    pub convergent_encryption: bool,
    #[serde(default)]
    pub exportable: bool,
    pub min_decryption_version: u32,
    #[serde(default)]
    pub min_encryption_version: u32,
    pub latest_version: u32,
    #[serde(default)]
    pub archive_version: u32,
    #[serde(default)]
    pub archive_min_version: u32,
    #[serde(default)]
    pub min_available_version: u32,
    #[serde(default)]
    pub deletion_allowed: bool,
    #[serde(default)]
    pub convergent_version: i64,
    #[serde(rename = "type")]
    pub kind: i64,
    #[serde(default)]
    pub backup_info: Option<Copied>,
    #[serde(default)]
    pub restore_info: Option<Copied>,
    #[serde(default)]
    pub allow_plaintext_backup: bool,
    #[serde(default)]
    pub version_template: String,
    #[serde(default)]
    pub storage_prefix: String,
    /// Nanoseconds.
    #[serde(default)]
    pub auto_rotate_period: i64,
    #[serde(default, rename = "Imported")]
    pub imported: bool,
    #[serde(default, rename = "AllowImportedKeyRotation")]
    pub allow_imported_rotation: bool,
    #[serde(default)]
    pub soft_deleted: bool,
    /// Of ML-DSA, alone or in a hybrid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter_set: Option<String>,
    /// Of hybrids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hybrid_config: Option<Hybrid>,
    /// Of keys that another server keeps elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_key_name: Option<String>,
}

/// The two types of a hybrid, by their names.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub(super) struct Hybrid {
    pub pqc_key_type: String,
    pub ec_key_type: String,
}

/// Versions in their order, the first that is available first; where all are, an empty entry stands
/// before them.
#[derive(Serialize, Deserialize)]
pub(super) struct Archive {
    pub keys: Vec<Entry>,
}

/// One version.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub(super) struct Entry {
    pub key: Option<String>,
    pub hmac_key: Option<String>,
    pub time: String,
    ec_x: Option<Box<RawValue>>,
    ec_y: Option<Box<RawValue>>,
    ec_d: Option<Box<RawValue>>,
    rsa_key: Option<RsaKey>,
    rsa_public_key: Option<RsaPublic>,
    public_key: String,
    pub convergent_version: i64,
    pub creation_time: i64,
    pub certificate_chain: Option<Vec<String>>,
}

#[derive(Serialize, Deserialize)]
struct RsaPublic {
    #[serde(rename = "N")]
    n: Box<RawValue>,
    #[serde(rename = "E")]
    e: Box<RawValue>,
}

#[derive(Serialize, Deserialize)]
struct RsaKey {
    #[serde(rename = "N")]
    n: Box<RawValue>,
    #[serde(rename = "E")]
    e: Box<RawValue>,
    #[serde(rename = "D")]
    d: Box<RawValue>,
    #[serde(rename = "Primes")]
    primes: Vec<Box<RawValue>>,
    #[serde(rename = "Precomputed", default)]
    precomputed: Option<Precomputed>,
}

#[derive(Serialize, Deserialize)]
struct Precomputed {
    #[serde(rename = "Dp")]
    dp: Option<Box<RawValue>>,
    #[serde(rename = "Dq")]
    dq: Option<Box<RawValue>>,
    #[serde(rename = "Qinv")]
    qinv: Option<Box<RawValue>>,
    #[serde(rename = "CRTValues", default)]
    crt_values: Vec<()>,
}

impl Entry {
    /// The place before the first version, where none was trimmed.
    pub fn empty() -> Self {
        Self {
            time: "0001-01-01T00:00:00Z".to_owned(),
            ..Self::default()
        }
    }

    /// A version that was made in a second.
    pub fn of(key: &ServiceKey, secs: u64, convergent: bool) -> Result<Self, Error> {
        let text = |bytes: &[u8]| (!bytes.is_empty()).then(|| base64::encode(bytes));
        let mut entry = Self {
            hmac_key: text(key.hmac_key()),
            time: Time(secs.saturating_mul(1_000_000_000)).rfc3339(),
            creation_time: i64::try_from(secs).unwrap_or(i64::MAX),
            convergent_version: if convergent { 3 } else { 0 },
            ..Self::default()
        };
        match key.numbers() {
            None => {
                entry.key = text(key.expose());
                entry.public_key = key.public_shown();
            }
            Some(Numbers::Ec { x, y, d }) => {
                entry.ec_x = Some(raw(x)?);
                entry.ec_y = Some(raw(y)?);
                entry.ec_d = d.map(|d| raw(d.into_inner())).transpose()?;
                entry.public_key = key.public_shown();
            }
            Some(Numbers::Rsa {
                n,
                e,
                private: None,
            }) => {
                entry.rsa_public_key = Some(RsaPublic {
                    n: raw(n)?,
                    e: raw(e)?,
                });
            }
            Some(Numbers::Rsa {
                n,
                e,
                private: Some(private),
            }) => {
                let [first, second] = private.primes;
                let [dp, dq] = private.exponents;
                entry.rsa_key = Some(RsaKey {
                    n: raw(n)?,
                    e: raw(e)?,
                    d: raw(private.d.into_inner())?,
                    primes: vec![raw(first.into_inner())?, raw(second.into_inner())?],
                    precomputed: Some(Precomputed {
                        dp: Some(raw(dp.into_inner())?),
                        dq: Some(raw(dq.into_inner())?),
                        qinv: Some(raw(private.coefficient.into_inner())?),
                        crt_values: Vec::new(),
                    }),
                });
            }
        }
        Ok(entry)
    }

    /// The key of the version; `None` where it is none of the type.
    pub fn service_key(&self, kind: KeyType) -> Option<ServiceKey> {
        let bytes = |text: &Option<String>| {
            base64::decode(text.as_deref().unwrap_or_default())
                .ok()
                .map(Secret::new)
        };
        let (key, hmac) = (bytes(&self.key)?, bytes(&self.hmac_key)?);
        let hmac_or_new = Some(hmac.expose().as_slice()).filter(|hmac| !hmac.is_empty());
        match kind.family() {
            Family::Ed25519 if key.expose().is_empty() => {
                let public = base64::decode(&self.public_key).ok()?;
                ServiceKey::public_only(kind, &public).ok()
            }
            Family::Aead(_) | Family::Cmac(_) | Family::Ed25519 => {
                ServiceKey::new(kind, key.expose(), hmac_or_new).ok()
            }
            Family::MlDsa(_) | Family::Hybrid(..) | Family::Kem(_) if key.expose().is_empty() => {
                ServiceKey::from_public_pem(kind, &self.public_key).ok()
            }
            Family::MlDsa(_) | Family::Hybrid(..) | Family::Kem(_) => {
                ServiceKey::new(kind, key.expose(), hmac_or_new).ok()
            }
            Family::Hmac if key.expose().is_empty() => {
                ServiceKey::new(kind, hmac.expose(), None).ok()
            }
            Family::Hmac => ServiceKey::new(kind, key.expose(), None).ok(),
            Family::Ecdsa(_) | Family::Rsa(_) => {
                let Some(numbers) = self.numbers() else {
                    return ServiceKey::from_public_pem(kind, &self.public_key).ok();
                };
                ServiceKey::from_numbers(kind, &numbers, hmac.expose()).ok()
            }
        }
    }

    fn numbers(&self) -> Option<Numbers> {
        let text = |number: &RawValue| number.get().to_owned();
        let secret = |number: &RawValue| Secret::new(text(number));
        if let (Some(x), Some(y)) = (&self.ec_x, &self.ec_y) {
            let d = self.ec_d.as_deref().map(secret);
            return Some(Numbers::Ec {
                x: text(x),
                y: text(y),
                d,
            });
        }
        if let Some(RsaPublic { n, e }) = &self.rsa_public_key {
            return Some(Numbers::Rsa {
                n: text(n),
                e: text(e),
                private: None,
            });
        }
        let key = self.rsa_key.as_ref()?;
        let [first, second] = &*key.primes else {
            return None;
        };
        let empty = || Secret::new(String::new());
        Some(Numbers::Rsa {
            n: text(&key.n),
            e: text(&key.e),
            private: Some(RsaPrivate {
                d: secret(&key.d),
                primes: [secret(first), secret(second)],
                exponents: [empty(), empty()],
                coefficient: empty(),
            }),
        })
    }
}

const ML_DSA: i64 = 14;
const HYBRID: i64 = 15;

/// The number of a type in backups. Those of the first ten are the same everywhere; beyond, they are
/// OpenBao's, Vault's for the types that OpenBao has not, and far from both for those that neither
/// has.
pub(super) const fn number(kind: KeyType) -> i64 {
    match kind {
        KeyType::Aes256Gcm96 => 0,
        KeyType::EcdsaP256 => 1,
        KeyType::Ed25519 => 2,
        KeyType::Rsa2048 => 3,
        KeyType::Rsa4096 => 4,
        KeyType::ChaCha20Poly1305 => 5,
        KeyType::EcdsaP384 => 6,
        KeyType::EcdsaP521 => 7,
        KeyType::Aes128Gcm96 => 8,
        KeyType::Rsa3072 => 9,
        KeyType::Hmac => 10,
        KeyType::XChaCha20Poly1305 => 11,
        KeyType::Aes128Cmac => 12,
        KeyType::Aes256Cmac => 13,
        KeyType::Aes192Cmac => 16,
        KeyType::MlDsa(_) => ML_DSA,
        KeyType::Hybrid(..) => HYBRID,
        KeyType::MlKem768 => 20_001,
        KeyType::XWing => 20_002,
    }
}

/// The type of a backup. 10 is HMAC in OpenBao and a key kept elsewhere in Vault; 11 is
/// XChaCha20-Poly1305 in OpenBao and HMAC in Vault. A key for HMAC alone stands in both places of an
/// entry; where that and its size contradict each other, nobody can tell.
pub(super) fn kind(policy: &Policy, newest: &Entry) -> Result<KeyType, Error> {
    let ambiguous = || {
        Error::field(
            "backup",
            "the type of the key means another in Vault than in OpenBao, and nothing else tells \
             which it is",
        )
    };
    if policy
        .managed_key_name
        .as_deref()
        .is_some_and(|name| !name.is_empty())
    {
        return Err(Error::field("backup", "a managed key is not in its backup"));
    }
    let twice = newest.key.is_some() && newest.key == newest.hmac_key;
    match (policy.kind, twice, policy.key_size > 0) {
        (10, true, _) | (11, true, true) => Ok(KeyType::Hmac),
        (11, false, false) => Ok(KeyType::XChaCha20Poly1305),
        (11, true, false) => Ok(KeyType::Hmac),
        (10 | 11, ..) => Err(ambiguous()),
        (ML_DSA, ..) => Ok(KeyType::MlDsa(parameter_set(policy)?)),
        (HYBRID, ..) => Ok(KeyType::Hybrid(parameter_set(policy)?, curve(policy)?)),
        (other, ..) => KeyType::all()
            .find(|kind| number(*kind) == other)
            .ok_or_else(|| Error::field("backup", format!("unknown key type {other}"))),
    }
}

fn parameter_set(policy: &Policy) -> Result<ParameterSet, Error> {
    let set = policy.parameter_set.as_deref();
    set.and_then(ParameterSet::from_name)
        .ok_or_else(|| Error::field("backup", "no parameter_set of ML-DSA"))
}

fn curve(policy: &Policy) -> Result<CurveHalf, Error> {
    let types = policy.hybrid_config.as_ref();
    types
        .filter(|types| types.pqc_key_type == PQC)
        .and_then(|types| CurveHalf::from_name(&types.ec_key_type))
        .ok_or_else(|| Error::field("backup", "no hybrid_config with types that are served"))
}

fn raw(digits: String) -> Result<Box<RawValue>, Error> {
    RawValue::from_string(digits).map_err(|_| Error::Bug("a number is no JSON"))
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(size: &u32) -> bool {
    *size == 0
}
