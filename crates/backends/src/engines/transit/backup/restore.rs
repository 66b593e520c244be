//! restore: a key from its backup, under its own name or another.

use keyfold_api::{Seconds, base64, weak};
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::id;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::{Kdf, KeyType, ServiceKey};
use keyfold_secret::Secret;
use serde::Deserialize;

use super::form::{self, Backup, Entry, Policy};
use crate::engines::transit::compromise::Compromises;
use crate::engines::transit::key::{Copied, Settings, delete_all, policy_key};
use crate::engines::transit::shred::Graves;
use crate::engines::transit::{Transit, chains, due, is_name, keys, pace, times};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::secret_string")]
    backup: Option<Secret<String>>,
    #[serde(deserialize_with = "weak::boolean")]
    force: Option<bool>,
}

/// A key as its backup tells it.
struct Restored {
    settings: Settings,
    first: u32,
    versions: Vec<ServiceKey>,
    secs: Vec<u64>,
    chains: Vec<(u32, Vec<Vec<u8>>)>,
}

pub(in crate::engines::transit) async fn run(
    transit: &Transit,
    call: &Call<'_>,
) -> Result<Reply, Error> {
    let asked = call.decode::<Ask>()?;
    let text = asked.backup.filter(|text| !text.expose().is_empty());
    let text = text.ok_or_else(|| Error::bad("'backup' must be supplied"))?;
    let backup = parse(&text)?;
    let name = match call.param("name") {
        "" => backup.policy.name.clone(),
        name => name.to_owned(),
    };
    if !is_name(&name) {
        return Err(Error::field("name", "no name for a key"));
    }
    let restored = pace::slow(KeyType::Rsa4096, || read(&backup, call.now))?;
    transit
        .view
        .change(&name, || async {
            let there = transit.stored(&name).await?;
            let (graves, graves_at) = Graves::load(&transit.view, &name).await?;
            if restored.first <= graves.last() {
                return Err(wrong(format!(
                    "it has version {}, and the versions of {name} up to {} were destroyed: restore it \
                     under another name",
                    restored.first,
                    graves.last()
                )));
            }
            let batch = match &there {
                Some(_) if !asked.force.unwrap_or_default() => {
                    return Err(Error::bad(format!("key \"{name}\" already exists")));
                }
                Some((old, revision)) => {
                    old.unmarked()?;
                    let batch = Batch::new().unchanged(policy_key(&name), *revision);
                    delete_all(&transit.view, &old.id, batch).await?
                }
                None => Batch::new().absent(policy_key(&name)),
            };
            // The versions lie under an id of their own, so that the old ones are not meant.
            let old = there.as_ref().map(|(old, _)| old);
            let settings = Settings {
                id: id::uuid(),
                // A backup does not tell, and a restore makes nobody forget what they know.
                compromised: old.map_or_else(Compromises::new, |old| old.compromised.clone()),
                graves,
                ..restored.settings.clone()
            };
            let batch = Graves::demand(&name, graves_at, batch);
            let batch = put(&restored, &settings, batch)?;
            transit.commit(&name, settings.put(&name, batch)?).await?;
            if let Some((old, _)) = &there {
                transit.cache.forget_versions(&old.id);
            }
            Ok(())
        })
        .await?;
    Ok(Reply::none())
}

fn put(restored: &Restored, settings: &Settings, batch: Batch) -> Result<Batch, Error> {
    let mut batch = times::put_all(settings, restored.first, &restored.secs, batch);
    let numbers = restored.first..=settings.latest_version;
    for (version, key) in numbers.zip(&restored.versions) {
        batch = settings.put_version(version, key, batch);
    }
    for (version, chain) in &restored.chains {
        batch = chains::put(settings, *version, chain, batch)?;
    }
    Ok(batch)
}

fn wrong(what: impl std::fmt::Display) -> Error {
    Error::field("backup", what)
}

fn parse(text: &Secret<String>) -> Result<Backup, Error> {
    let json = base64::decode(text.expose()).map_err(wrong)?;
    let json = Secret::new(json);
    // serde's own text would quote what it found.
    serde_json::from_slice(json.expose()).map_err(|_| wrong("not the backup of a key"))
}

/// Takes a backup to pieces; none of it is believed.
fn read(backup: &Backup, now: Time) -> Result<Restored, Error> {
    let Backup {
        policy,
        archived_keys,
    } = backup;
    let first = policy.min_available_version.max(1);
    let latest = policy.latest_version;
    let in_order = first <= policy.min_decryption_version.max(1)
        && policy.min_decryption_version <= latest
        && policy.min_encryption_version <= latest;
    if !in_order || latest == 0 {
        return Err(wrong("its versions are not in order"));
    }
    // Where nothing was trimmed, an empty entry stands before the first.
    let skipped = usize::from(policy.min_available_version == 0);
    let entries = archived_keys.keys.get(skipped..).unwrap_or_default();
    if usize::try_from(latest - first + 1) != Ok(entries.len()) {
        return Err(wrong("versions are missing"));
    }
    let newest = entries
        .last()
        .ok_or_else(|| wrong("versions are missing"))?;
    let kind = form::kind(policy, newest)?;
    let settings = settings(policy, kind, now)?;
    let mut restored = Restored {
        settings,
        first,
        versions: Vec::with_capacity(entries.len()),
        secs: Vec::with_capacity(entries.len()),
        chains: Vec::new(),
    };
    for (version, entry) in (first..=latest).zip(entries) {
        if policy.convergent_encryption && !matches!(entry.convergent_version, 0 | 3) {
            return Err(wrong(format!(
                "version {version} is convergent by a rule that is no longer served"
            )));
        }
        let key = entry.service_key(kind);
        let key = key.ok_or_else(|| wrong(format!("version {version} is damaged")))?;
        restored.versions.push(key);
        restored.secs.push(made(entry));
        if let Some(chain) = entry
            .certificate_chain
            .as_deref()
            .filter(|chain| !chain.is_empty())
        {
            let chain = chain.iter().map(|der| base64::decode(der));
            let chain = chain
                .collect::<Result<_, _>>()
                .map_err(|_| wrong(format!("the certificates of version {version} are damaged")))?;
            restored.chains.push((version, chain));
        }
    }
    restored.settings.certified = !restored.chains.is_empty();
    let newest = restored.secs.last().copied().unwrap_or_default();
    restored.settings = restored.settings.scheduled(newest);
    Ok(restored)
}

fn settings(policy: &Policy, kind: KeyType, now: Time) -> Result<Settings, Error> {
    if !policy.version_template.is_empty() {
        return Err(wrong("keys with a version_template are not served"));
    }
    if policy.convergent_encryption && !matches!(policy.convergent_version, -1 | 0 | 3) {
        return Err(wrong("it is convergent by a rule that is no longer served"));
    }
    if policy.convergent_encryption && !policy.derived {
        return Err(wrong("it is convergent and not derived, which no key is"));
    }
    keys::derivable(kind, policy.derived, policy.convergent_encryption)?;
    let kdf = match (policy.derived, policy.kdf) {
        (false, _) | (true, 1) => Kdf::Hkdf,
        (true, 0) if !policy.convergent_encryption => Kdf::Counter,
        _ => return Err(wrong("its keys are derived by a rule that is not served")),
    };
    // A part of a second is none; what is no period is none either.
    let period = Seconds(policy.auto_rotate_period.max(0) / 1_000_000_000);
    Ok(Settings {
        auto_rotate_period: due::period(period)?,
        derived: policy.derived,
        exportable: policy.exportable,
        allow_plaintext_backup: policy.allow_plaintext_backup,
        deletion_allowed: policy.deletion_allowed,
        min_decryption_version: policy.min_decryption_version.max(1),
        min_encryption_version: policy.min_encryption_version,
        latest_version: policy.latest_version,
        kdf,
        convergent: policy.convergent_encryption,
        key_size: policy.key_size,
        min_available_version: policy.min_available_version,
        imported: policy.imported,
        allow_imported_rotation: policy.allow_imported_rotation,
        soft_deleted: policy.soft_deleted,
        backup: policy.backup_info.clone(),
        restore: Some(Copied {
            time: now.rfc3339(),
            version: policy.latest_version,
        }),
        ..Settings::new(kind)
    })
}

/// The second that a version was made in.
fn made(entry: &Entry) -> u64 {
    match u64::try_from(entry.creation_time) {
        Ok(secs) if secs > 0 => secs,
        _ => Time::parse(&entry.time).unwrap_or_default().secs(),
    }
}
