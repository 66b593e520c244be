//! backup and restore: a whole key in clear, for keys that allow it; also from and to existing
//! servers.

mod form;
mod restore;

use keyfold_api::base64;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::{Family, Kdf};
use keyfold_secret::Secret;
use serde::Serialize;

use self::form::{Archive, Backup, Entry, Hybrid, Policy};
pub(super) use self::restore::run as restore;
use super::key::{Copied, Settings, policy_key, version_key};
use super::kind::PQC;
use super::{Transit, chains, key_name, times};

#[derive(Serialize)]
struct Shown<'b> {
    backup: &'b str,
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let text = transit
        .view
        .change(name, || async {
            let stored = transit.stored(name).await?;
            let (mut settings, revision) = stored
                .ok_or_else(|| Error::NotFoundBecause(format!("key \"{name}\" not found")))?;
            settings.usable()?;
            allowed(&settings)?;
            settings.backup = Some(Copied {
                time: call.now.rfc3339(),
                version: settings.latest_version,
            });
            let text = write(transit, name, &settings).await?;
            let batch = Batch::new().unchanged(policy_key(name), revision);
            transit.commit(name, settings.put(name, batch)?).await?;
            Ok(text)
        })
        .await?;
    Reply::data(&Shown {
        backup: text.expose(),
    })
}

fn allowed(settings: &Settings) -> Result<(), Error> {
    settings.here("backup")?;
    settings.unmarked()?;
    if !settings.exportable {
        return Err(Error::bad("exporting is disallowed on the policy"));
    }
    if !settings.allow_plaintext_backup {
        return Err(Error::bad("plaintext backup is disallowed on the policy"));
    }
    Ok(())
}

/// The text of a backup: all versions that are stored, in memory at once, as its form demands.
async fn write(
    transit: &Transit,
    name: &str,
    settings: &Settings,
) -> Result<Secret<String>, Error> {
    let mut keys = Vec::new();
    if settings.min_available_version == 0 {
        keys.push(Entry::empty());
    }
    let all = Settings {
        min_decryption_version: settings.min_available_version.max(1),
        ..settings.clone()
    };
    for (version, secs) in times::usable(&transit.view, &all, 1).await? {
        keys.push(entry(transit, settings, version, secs).await?);
    }
    let decrypting = all
        .min_decryption_version
        .max(settings.min_decryption_version);
    let mut current = std::collections::BTreeMap::new();
    let shown = Settings {
        min_decryption_version: decrypting,
        ..settings.clone()
    };
    for (version, secs) in times::usable(&transit.view, &shown, 1).await? {
        let entry = entry(transit, settings, version, secs).await?;
        current.insert(version.to_string(), entry);
    }
    let kind = settings.kind;
    let backup = Backup {
        policy: Policy {
            name: name.to_owned(),
            key_size: if kind.family() == Family::Hmac {
                settings.key_size
            } else {
                0
            },
            keys: current,
            derived: settings.derived,
            kdf: i64::from(settings.derived && settings.kdf == Kdf::Hkdf),
            convergent_encryption: settings.convergent,
            exportable: settings.exportable,
            min_decryption_version: settings.min_decryption_version,
            min_encryption_version: settings.min_encryption_version,
            latest_version: settings.latest_version,
            archive_version: settings.latest_version,
            archive_min_version: settings.min_available_version,
            min_available_version: settings.min_available_version,
            deletion_allowed: settings.deletion_allowed,
            convergent_version: if settings.convergent { -1 } else { 0 },
            kind: form::number(kind),
            backup_info: settings.backup.clone(),
            restore_info: settings.restore.clone(),
            allow_plaintext_backup: settings.allow_plaintext_backup,
            version_template: String::new(),
            storage_prefix: String::new(),
            auto_rotate_period: nanoseconds(settings.auto_rotate_period),
            imported: settings.imported,
            allow_imported_rotation: settings.allow_imported_rotation,
            soft_deleted: settings.soft_deleted,
            parameter_set: kind.parameter_set().map(|set| set.name().to_owned()),
            hybrid_config: kind.curve_half().map(|curve| Hybrid {
                pqc_key_type: PQC.to_owned(),
                ec_key_type: curve.name().to_owned(),
            }),
            managed_key_name: None,
        },
        archived_keys: Archive { keys },
    };
    let mut json = serde_json::to_vec(&backup).map_err(|_| Error::Bug("a backup is no JSON"))?;
    json.push(b'\n');
    Ok(Secret::new(base64::encode(Secret::new(json).expose())))
}

/// A period as it stands in a backup.
fn nanoseconds(secs: u64) -> i64 {
    i64::try_from(secs.saturating_mul(1_000_000_000)).unwrap_or(i64::MAX)
}

async fn entry(
    transit: &Transit,
    settings: &Settings,
    version: u32,
    secs: u64,
) -> Result<Entry, Error> {
    let at = version_key(&settings.id, version);
    let record = transit.view.get(&at).await?;
    let key = record.and_then(|record| settings.read_version(record.value.expose()));
    let key = key.ok_or_else(|| Error::corrupt(at))?;
    let mut entry = Entry::of(&key, secs, settings.convergent)?;
    if settings.certified {
        let chain = chains::load(&transit.view, settings, version).await?;
        let chain: Vec<String> = chain.iter().map(|der| base64::encode(der)).collect();
        entry.certificate_chain = (!chain.is_empty()).then_some(chain);
    }
    Ok(entry)
}
