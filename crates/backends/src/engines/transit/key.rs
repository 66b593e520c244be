//! The records of a key: its settings, and the material of each version.
//!
//! Each version is a record of its own that is written once, so a key with 10,000 versions costs
//! no more to use, and no more to rotate, than one with two. Versions are stored under an id that
//! is made with the key: a key that is deleted and made again under the same name shares nothing
//! with its predecessor, not even in the memory of another node.

use keyfold_core::barrier::{View, json};
use keyfold_core::error::Error;
use keyfold_core::id;
use keyfold_core::ports::storage::Batch;
use keyfold_keys::transit::{Kdf, KeyType, ServiceKey};
use serde::{Deserialize, Serialize};

use super::compromise::Compromises;
use super::managed::Held;
use super::periods::Periods;
use super::shred::{Graves, Mark};
use super::{catalogs, census, chains, due, pace, times};

/// Folder of the settings; below it one record for each key name.
pub(super) const POLICIES: &str = "policy/";
/// Folder of the versions; below it one folder for each key id.
pub(super) const VERSIONS: &str = "keys/";
/// All folders that have one for each key id.
const OF_KEYS: [&str; 5] = [
    VERSIONS,
    times::FOLDER,
    census::FOLDER,
    chains::FOLDER,
    catalogs::FOLDER,
];

/// What a key is and what may be done with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// Made with the key, never used again.
    pub id: String,
    /// The type of all its versions.
    #[serde(rename = "type")]
    pub kind: KeyType,
    /// Every call gives a context, and is served with the key derived for it.
    pub derived: bool,
    /// Its material may be exported. Can't be taken back.
    pub exportable: bool,
    /// It may be backed up in clear. Can't be taken back.
    pub allow_plaintext_backup: bool,
    /// It may be deleted.
    pub deletion_allowed: bool,
    /// What it protects is to be opened by nobody without it: clients add no offline slots.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offline_slots_forbidden: bool,
    /// The oldest version that decrypts.
    pub min_decryption_version: u32,
    /// The oldest version that encrypts when it is asked for; 0 for any that decrypts.
    pub min_encryption_version: u32,
    /// The version that encrypts.
    pub latest_version: u32,
    /// How keys for contexts are derived.
    #[serde(default)]
    pub kdf: Kdf,
    /// Equal plaintexts have equal ciphertexts.
    #[serde(default)]
    pub convergent: bool,
    /// Bytes of a key for HMAC alone; 0 for other types.
    #[serde(default)]
    pub key_size: u32,
    /// The oldest version that is stored; 0 for all of them.
    #[serde(default)]
    pub min_available_version: u32,
    /// It was made elsewhere.
    #[serde(default)]
    pub imported: bool,
    /// New versions of an imported key may be made here.
    #[serde(default)]
    pub allow_imported_rotation: bool,
    /// It is kept, and does nothing until it is restored.
    #[serde(default)]
    pub soft_deleted: bool,
    /// Versions have certificates: see [`chains`](super::chains).
    #[serde(default)]
    pub certified: bool,
    /// Seconds after which it is rotated by itself; 0 for never.
    #[serde(default)]
    pub auto_rotate_period: u64,
    /// The second at which that is; 0 for never. See [`due`].
    #[serde(default)]
    pub rotate_at: u64,
    /// How long a version is to be used.
    #[serde(default, skip_serializing_if = "Periods::is_none")]
    pub periods: Periods,
    /// Versions that somebody else may have.
    #[serde(default, skip_serializing_if = "Compromises::is_empty")]
    pub compromised: Compromises,
    /// The managed keys of its versions, where their secret parts lie in devices.
    #[serde(default, skip_serializing_if = "Held::is_empty")]
    pub managed: Held,
    /// These are for signing: an RSA key in a device is for that, or encrypts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub managed_signs: bool,
    /// It is to be destroyed, or was and came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shred: Option<Mark>,
    /// The keys that had its name before and were destroyed.
    #[serde(default, skip_serializing_if = "Graves::is_empty")]
    pub graves: Graves,
    /// The last backup.
    #[serde(default)]
    pub backup: Option<Copied>,
    /// The restore that brought the key here.
    #[serde(default)]
    pub restore: Option<Copied>,
}

/// When a key was backed up or restored, and its newest version then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Copied {
    /// RFC 3339.
    pub time: String,
    pub version: u32,
}

impl Settings {
    /// A new key with one version.
    pub fn new(kind: KeyType) -> Self {
        Self {
            id: id::uuid(),
            kind,
            derived: false,
            exportable: false,
            allow_plaintext_backup: false,
            deletion_allowed: false,
            offline_slots_forbidden: false,
            min_decryption_version: 1,
            min_encryption_version: 0,
            latest_version: 1,
            kdf: Kdf::default(),
            convergent: false,
            key_size: 0,
            min_available_version: 0,
            imported: false,
            allow_imported_rotation: false,
            soft_deleted: false,
            certified: false,
            auto_rotate_period: 0,
            rotate_at: 0,
            periods: Periods::default(),
            compromised: Compromises::new(),
            managed: Held::new(),
            managed_signs: false,
            shred: None,
            graves: Graves::default(),
            backup: None,
            restore: None,
        }
    }

    /// A new version's key.
    pub fn generate(&self) -> Result<ServiceKey, Error> {
        let size = usize::try_from(self.key_size).unwrap_or_default();
        pace::slow(self.kind, || ServiceKey::generate(self.kind, size)).map_err(Error::from)
    }

    /// The oldest version that is used and stored.
    pub fn oldest(&self) -> u32 {
        self.min_decryption_version
            .max(self.min_available_version)
            .max(1)
    }

    /// Refuses to use a key that is deleted until it is restored, or was destroyed.
    pub fn usable(&self) -> Result<(), Error> {
        self.buried()?;
        match self.soft_deleted {
            true => Err(Error::bad("refusing to use soft-deleted key")),
            false => Ok(()),
        }
    }

    /// The version that a call asks to encrypt with; 0 asks for the latest.
    pub fn encryption_version(&self, asked: i64) -> Result<u32, Error> {
        self.version_for("encryption", asked)
    }

    /// The version that a call asks to sign with; 0 asks for the latest.
    pub fn signing_version(&self, asked: i64) -> Result<u32, Error> {
        self.version_for("signing", asked)
    }

    fn version_for(&self, what: &str, asked: i64) -> Result<u32, Error> {
        let refused = |why| Error::bad(format!("requested version for {what} is {why}"));
        self.makes()?;
        if asked < 0 {
            return Err(refused("negative"));
        }
        if asked == 0 {
            self.uncompromised(self.latest_version)?;
            return Ok(self.latest_version);
        }
        let version = u32::try_from(asked)
            .ok()
            .filter(|version| *version <= self.latest_version);
        let version = version.ok_or_else(|| refused("higher than the latest key version"))?;
        self.uncompromised(version)?;
        if version < self.min_encryption_version.max(self.oldest()) {
            return Err(refused("less than the minimum encryption key version"));
        }
        Ok(version)
    }

    /// The version that a ciphertext names.
    pub fn decryption_version(&self, written: i64) -> Result<u32, Error> {
        if written > i64::from(self.latest_version) {
            return Err(Error::bad("invalid ciphertext: version is too new"));
        }
        u32::try_from(written)
            .ok()
            .filter(|version| *version >= self.oldest())
            .ok_or_else(|| match self.graves.of(written) {
                Some(grave) => {
                    Error::bad(grave.text(&format!("version {written}, of a key before this one,")))
                }
                None => {
                    Error::bad("ciphertext or signature version is disallowed by policy (too old)")
                }
            })
    }

    /// Adds the settings to a batch.
    pub fn put(&self, name: &str, batch: Batch) -> Result<Batch, Error> {
        let batch = batch.put(policy_key(name), json(self)?);
        Ok(due::mark(self, name, batch))
    }

    /// Adds a version to a batch.
    pub fn put_version(&self, version: u32, key: &ServiceKey, batch: Batch) -> Batch {
        batch.put(version_key(&self.id, version), key.to_record().into_inner())
    }

    /// Reads a version record, `None` when it is none of this key's type.
    pub fn read_version(&self, record: &[u8]) -> Option<ServiceKey> {
        ServiceKey::from_record(self.kind, record).ok()
    }
}

/// Adds the removal of all that is stored under a key's id to a batch. What is there is looked up: the
/// versions of a key that was restored may begin at any number.
pub(super) async fn delete_all(view: &View, id: &str, mut batch: Batch) -> Result<Batch, Error> {
    for folder in OF_KEYS {
        let folder = format!("{folder}{id}/");
        for name in view.list(&folder, "", 0).await?.names {
            batch = batch.delete(format!("{folder}{name}"));
        }
    }
    Ok(batch)
}

/// Where the settings of a key are stored.
pub(super) fn policy_key(name: &str) -> String {
    format!("{POLICIES}{name}")
}

/// Where a version is stored.
pub(super) fn version_key(id: &str, version: u32) -> String {
    format!("{VERSIONS}{id}/{version}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(error: Result<u32, Error>) -> String {
        error.err().unwrap().to_string()
    }

    #[test]
    fn windows() {
        let mut settings = Settings {
            latest_version: 5,
            ..Settings::new(KeyType::default())
        };
        settings.min_decryption_version = 2;
        settings.min_encryption_version = 3;
        assert_eq!(settings.encryption_version(0).unwrap(), 5);
        assert_eq!(settings.encryption_version(3).unwrap(), 3);
        assert!(text(settings.encryption_version(2)).contains("less than the minimum"));
        assert!(text(settings.encryption_version(6)).contains("higher than the latest"));
        assert!(text(settings.encryption_version(i64::MAX)).contains("higher than the latest"));
        assert!(text(settings.encryption_version(-1)).contains("negative"));
        assert_eq!(settings.decryption_version(2).unwrap(), 2);
        assert_eq!(settings.decryption_version(5).unwrap(), 5);
        for old in [1, 0, -1, i64::MIN] {
            assert!(text(settings.decryption_version(old)).contains("too old"));
        }
        for new in [6, i64::MAX] {
            assert!(text(settings.decryption_version(new)).contains("too new"));
        }
        settings.min_encryption_version = 0;
        assert!(
            settings.encryption_version(1).is_err(),
            "what can't be decrypted is not made"
        );
    }

    #[test]
    fn damaged_version_records_are_none() {
        let settings = Settings::new(KeyType::Aes128Gcm96);
        let key = settings.generate().unwrap();
        let batch = settings.put_version(1, &key, Batch::new());
        let record = &batch.puts[0].1;
        assert_eq!(
            settings.read_version(record).unwrap().expose(),
            key.expose()
        );
        assert!(settings.read_version(&[]).is_none());
        assert!(settings.read_version(&record[1..]).is_none());
    }

    /// Settings as the first versions of this server stored them.
    #[test]
    fn settings_of_the_first_format() {
        let old = r#"{"id":"i","type":"aes256-gcm96","derived":false,"exportable":false,
            "allow_plaintext_backup":false,"deletion_allowed":false,"min_decryption_version":1,
            "min_encryption_version":0,"latest_version":1}"#;
        let read: Settings = serde_json::from_str(old).unwrap();
        let new = Settings::new(KeyType::default());
        assert_eq!(
            read,
            Settings {
                id: "i".into(),
                ..new
            }
        );
    }
}
