//! What is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use keyfold_core::barrier::json;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::storage::{Batch, Revision};
use serde::{Deserialize, Serialize};

use super::Kv;

/// Versions that are kept where nothing is set.
const KEPT: u64 = 10;
pub(super) const CONFIG: &str = "config";
/// Versions that may be kept: all of them stand in one record.
const MOST_KEPT: u64 = 10_000;

/// Checks what a mount or a secret is to keep.
pub(super) fn check_max_versions(asked: Option<u64>) -> Result<(), Error> {
    if asked.is_some_and(|asked| asked > MOST_KEPT) {
        let what = format!("must be at most {MOST_KEPT}");
        return Err(Error::field("max_versions", what));
    }
    Ok(())
}

/// Settings of a mount.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    /// Zero: ten.
    pub max_versions: u64,
    pub cas_required: bool,
    pub metadata_cas_required: bool,
    /// Seconds; zero: never; negative: never, whatever a secret says.
    pub delete_version_after: i64,
}

/// A secret: its settings and its versions.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Secret {
    pub versions: BTreeMap<u64, Version>,
    pub current: u64,
    /// The first version that pruning has left; zero while it has taken none.
    pub oldest: u64,
    pub created: Time,
    /// Of the newest version or of the settings; deleting a version changes neither.
    pub updated: Time,
    /// Zero: as the mount.
    pub max_versions: u64,
    pub cas_required: bool,
    #[serde(default)]
    pub metadata_cas_required: bool,
    /// Seconds; zero: as the mount; negative: never.
    pub delete_version_after: i64,
    pub custom_metadata: Option<BTreeMap<String, String>>,
    pub metadata_version: u64,
}

/// What is known of a version.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Version {
    pub created: Time,
    /// From when on it is deleted; may lie ahead.
    pub deletion: Option<Time>,
    pub destroyed: bool,
}

impl Version {
    pub fn readable(&self, now: Time) -> bool {
        !self.destroyed && self.deletion.is_none_or(|at| now < at)
    }
}

impl Secret {
    pub fn new(now: Time) -> Self {
        Self {
            versions: BTreeMap::new(),
            current: 0,
            oldest: 0,
            created: now,
            updated: now,
            max_versions: 0,
            cas_required: false,
            metadata_cas_required: false,
            delete_version_after: 0,
            custom_metadata: None,
            metadata_version: 0,
        }
    }

    /// Adds a version, and drops those that are one too many; their numbers.
    pub fn add(&mut self, now: Time, config: &Config) -> Vec<u64> {
        self.current += 1;
        self.updated = now;
        let deletion = self.lifetime(config).map(|after| now.plus(after));
        self.versions.insert(
            self.current,
            Version {
                created: now,
                deletion,
                destroyed: false,
            },
        );
        self.prune(config)
    }

    fn prune(&mut self, config: &Config) -> Vec<u64> {
        let kept = [self.max_versions, config.max_versions, KEPT];
        let kept = kept.into_iter().find(|n| *n > 0).unwrap_or(KEPT);
        let first = self.current.saturating_sub(kept) + 1;
        let left = self.versions.split_off(&first);
        let pruned = std::mem::replace(&mut self.versions, left);
        if !pruned.is_empty() {
            self.oldest = first;
        }
        pruned.into_keys().collect()
    }

    /// How long a new version lives.
    fn lifetime(&self, config: &Config) -> Option<Duration> {
        let secs = match (config.delete_version_after, self.delete_version_after) {
            (..0, _) | (_, ..0) | (0, 0) => return None,
            (0, own) => own,
            (mount, 0) => mount,
            (mount, own) => mount.min(own),
        };
        u64::try_from(secs).ok().map(Duration::from_secs)
    }
}

pub(super) fn metadata_key(path: &str) -> String {
    ["metadata/", path].concat()
}

pub(super) fn version_key(path: &str, version: u64) -> String {
    ["versions/", path, "/", &version.to_string()].concat()
}

/// Adds to a batch what a secret of version 1 becomes: a first version.
pub(in super::super) fn taken_over(
    path: &str,
    data: &[u8],
    now: Time,
    batch: Batch,
) -> Result<Batch, Error> {
    let mut secret = Secret::new(now);
    secret.add(now, &Config::default());
    secret.oldest = secret.current;
    let key = metadata_key(path);
    Ok(batch
        .absent(key.clone())
        .put(key, json(&secret)?)
        .put(version_key(path, secret.current), data))
}

impl Kv {
    pub(super) async fn config(&self) -> Result<Config, Error> {
        let config = self.view().await?.read::<Config>(CONFIG).await?;
        Ok(config.map(|(config, _)| config).unwrap_or_default())
    }

    pub(super) async fn secret(&self, path: &str) -> Result<Option<(Secret, Revision)>, Error> {
        self.view().await?.read(&metadata_key(path)).await
    }

    /// Adds the secret's record to a batch, against the one that was read.
    pub(super) fn store(
        &self,
        path: &str,
        secret: &Secret,
        read: Option<Revision>,
        batch: Batch,
    ) -> Result<Batch, Error> {
        let key = metadata_key(path);
        let batch = batch.put(key.clone(), json(secret)?);
        Ok(match read {
            Some(revision) => batch.unchanged(key, revision),
            None => batch.absent(key),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret_with(max_versions: u64, writes: u64, config: &Config) -> (Secret, Vec<u64>) {
        let mut secret = Secret {
            max_versions,
            ..Secret::new(Time(0))
        };
        let mut pruned = Vec::new();
        for _ in 0..writes {
            pruned.extend(secret.add(Time(0), config));
        }
        (secret, pruned)
    }

    #[test]
    fn the_secrets_bound_counts_before_the_mounts_and_that_before_ten() {
        let mount = |max_versions| Config {
            max_versions,
            ..Config::default()
        };
        for (own, config, first) in [
            (3, mount(5), 10),
            (7, mount(5), 6),
            (0, mount(5), 8),
            (0, mount(0), 3),
        ] {
            let (secret, pruned) = secret_with(own, 12, &config);
            assert_eq!(secret.versions.keys().next(), Some(&first));
            assert_eq!(pruned, (1..first).collect::<Vec<_>>());
            assert_eq!(secret.oldest, first);
        }
    }

    #[test]
    fn lowering_the_bound_prunes_at_the_next_write() {
        let config = Config::default();
        let (mut secret, _) = secret_with(0, 8, &config);
        secret.max_versions = 2;
        assert_eq!(secret.add(Time(0), &config), (1..8).collect::<Vec<_>>());
    }

    #[test]
    fn the_shorter_lifetime_counts_and_a_negative_one_turns_it_off() {
        let lifetime = |mount, own| {
            let secret = Secret {
                delete_version_after: own,
                ..Secret::new(Time(0))
            };
            let config = Config {
                delete_version_after: mount,
                ..Config::default()
            };
            secret.lifetime(&config).map(|d| d.as_secs())
        };
        assert_eq!(lifetime(0, 0), None);
        assert_eq!(lifetime(60, 0), Some(60));
        assert_eq!(lifetime(0, 30), Some(30));
        assert_eq!(lifetime(60, 90), Some(60));
        assert_eq!(lifetime(60, -1), None);
        assert_eq!(lifetime(-1, 30), None);
    }
}
