//! The records of a key: its settings, and the material of each version.
//!
//! Each version is a record of its own that is written once, so a key with 10,000 versions costs
//! no more to use, and no more to rotate, than one with two. Versions are stored under an id that
//! is made with the key: a key that is deleted and made again under the same name shares nothing
//! with its predecessor, not even in the memory of another node.

use keyfold_core::barrier::json;
use keyfold_core::error::Error;
use keyfold_core::id;
use keyfold_core::ports::storage::Batch;
use keyfold_keys::transit::{KeyType, ServiceKey};
use serde::{Deserialize, Serialize};

/// Folder of the settings; below it one record for each key name.
pub(super) const POLICIES: &str = "policy/";
/// Folder of the versions; below it one folder for each key id.
pub(super) const VERSIONS: &str = "keys/";
/// First byte of a version record; the material follows.
const FORMAT: u8 = 1;

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
    /// The oldest version that decrypts.
    pub min_decryption_version: u32,
    /// The oldest version that encrypts when it is asked for; 0 for any that decrypts.
    pub min_encryption_version: u32,
    /// The version that encrypts.
    pub latest_version: u32,
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
            min_decryption_version: 1,
            min_encryption_version: 0,
            latest_version: 1,
        }
    }

    /// The version that a call asks to encrypt with; 0 asks for the latest.
    pub fn encryption_version(&self, asked: i64) -> Result<u32, Error> {
        if asked < 0 {
            return Err(Error::bad("requested version for encryption is negative"));
        }
        if asked == 0 {
            return Ok(self.latest_version);
        }
        let version = u32::try_from(asked)
            .ok()
            .filter(|version| *version <= self.latest_version);
        let version = version.ok_or_else(|| {
            Error::bad("requested version for encryption is higher than the latest key version")
        })?;
        if version < self.min_encryption_version.max(self.min_decryption_version) {
            return Err(Error::bad(
                "requested version for encryption is less than the minimum encryption key version",
            ));
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
            .filter(|version| *version >= self.min_decryption_version)
            .ok_or_else(|| {
                Error::bad("ciphertext or signature version is disallowed by policy (too old)")
            })
    }

    /// Adds the settings to a batch.
    pub fn put(&self, name: &str, batch: Batch) -> Result<Batch, Error> {
        Ok(batch.put(policy_key(name), json(self)?))
    }

    /// Adds a version to a batch.
    pub fn put_version(&self, version: u32, key: &ServiceKey, batch: Batch) -> Batch {
        let mut record = Vec::with_capacity(1 + key.expose().len());
        record.push(FORMAT);
        record.extend_from_slice(key.expose());
        batch.put(version_key(&self.id, version), record)
    }

    /// Reads a version record, `None` when it is none of this key's type.
    pub fn read_version(&self, record: &[u8]) -> Option<ServiceKey> {
        let (&FORMAT, material) = record.split_first()? else {
            return None;
        };
        ServiceKey::from_bytes(self.kind, material).ok()
    }
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
        let key = ServiceKey::generate(settings.kind);
        let batch = settings.put_version(1, &key, Batch::new());
        let record = &batch.puts[0].1;
        assert_eq!(
            settings.read_version(record).unwrap().expose(),
            key.expose()
        );
        assert!(settings.read_version(&[]).is_none());
        assert!(settings.read_version(&record[..record.len() - 1]).is_none());
        assert!(
            settings
                .read_version(&[&[2], &record[1..]].concat())
                .is_none()
        );
    }
}
