//! The settings of a key that can be changed: the windows of versions that decrypt and encrypt,
//! and what may be done with the key.

use keyfold_api::{Seconds, weak};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use serde::Deserialize;

use super::key::{Settings, policy_key};
use super::{Transit, due, key_name, periods, shown, times};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tune {
    #[serde(deserialize_with = "weak::int")]
    min_decryption_version: Option<i64>,
    #[serde(deserialize_with = "weak::int")]
    min_encryption_version: Option<i64>,
    #[serde(deserialize_with = "weak::boolean")]
    deletion_allowed: Option<bool>,
    #[serde(deserialize_with = "weak::boolean")]
    offline_slots_allowed: Option<bool>,
    #[serde(deserialize_with = "weak::boolean")]
    exportable: Option<bool>,
    #[serde(deserialize_with = "weak::boolean")]
    allow_plaintext_backup: Option<bool>,
    #[serde(deserialize_with = "weak::duration")]
    auto_rotate_period: Option<Seconds>,
    #[serde(deserialize_with = "weak::duration")]
    originator_usage_period: Option<Seconds>,
    #[serde(deserialize_with = "weak::duration")]
    recipient_usage_period: Option<Seconds>,
}

pub(super) async fn write(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let asked = call.decode::<Tune>()?;
    let (settings, versions, warnings) = transit
        .view
        .change(name, || async {
            let stored = transit.stored(name).await?;
            let (old, revision) = stored.ok_or_else(|| {
                Error::bad(format!("no existing key named {name} could be found"))
            })?;
            let mut warnings = Vec::new();
            let mut new = apply(&old, &asked, &mut warnings)?;
            if new.auto_rotate_period != old.auto_rotate_period {
                let made = times::made(&transit.view, &new, new.latest_version).await?;
                new = new.scheduled(made.secs());
            }
            let versions = shown::versions(transit, &new, &[]).await?;
            if new != old {
                let batch = Batch::new().unchanged(policy_key(name), revision);
                transit.commit(name, new.put(name, batch)?).await?;
            }
            Ok((new, versions, warnings))
        })
        .await?;
    let mut reply = shown::show(name, &settings, &versions)?;
    reply.warnings.extend(warnings);
    let remarks = periods::remarks(&transit.view, &settings, call.now).await;
    // The change is made: that these are not known now is no reason to say otherwise.
    reply.warnings.extend(remarks.unwrap_or_default());
    Ok(reply)
}

/// The settings as asked for; all of it or nothing.
fn apply(old: &Settings, asked: &Tune, warnings: &mut Vec<String>) -> Result<Settings, Error> {
    let mut new = old.clone();
    let period = asked.auto_rotate_period.is_some_and(|period| period.0 != 0);
    for (name, wanted) in [
        ("exportable", asked.exportable.unwrap_or_default()),
        (
            "allow_plaintext_backup",
            asked.allow_plaintext_backup.unwrap_or_default(),
        ),
        ("auto_rotate_period", period),
    ] {
        if wanted {
            old.here(name)?;
        }
    }
    if let Some(period) = asked.auto_rotate_period {
        new.auto_rotate_period = due::period(period)?;
    }
    let (originator, recipient) = (asked.originator_usage_period, asked.recipient_usage_period);
    new.periods = old.periods.with(originator, recipient)?;
    if let Some(mut version) = asked.min_decryption_version {
        if version == 0 {
            version = 1;
            warnings.push("key versions start at 1; the minimum was set to 1".to_owned());
        }
        new.min_decryption_version = known_version(old, version, "decryption")?;
        if new.min_decryption_version < old.min_available_version {
            return Err(Error::bad(
                "min decryption version should not be less then min available version",
            ));
        }
    }
    if let Some(version) = asked.min_encryption_version {
        new.min_encryption_version = known_version(old, version, "encryption")?;
        if new.min_encryption_version < old.min_available_version {
            return Err(Error::bad(
                "min encryption version should not be less then min available version",
            ));
        }
    }
    let (encryption, decryption) = (new.min_encryption_version, new.min_decryption_version);
    if encryption > 0 && encryption < decryption {
        return Err(Error::bad(format!(
            "cannot set min encryption/decryption values; min encryption version of {encryption} \
             must be greater than or equal to min decryption version of {decryption}"
        )));
    }
    new.deletion_allowed = asked.deletion_allowed.unwrap_or(old.deletion_allowed);
    if let Some(allowed) = asked.offline_slots_allowed {
        new.offline_slots_forbidden = !allowed;
    }
    for (name, asked, flag) in [
        ("exportable", asked.exportable, &mut new.exportable),
        (
            "allow_plaintext_backup",
            asked.allow_plaintext_backup,
            &mut new.allow_plaintext_backup,
        ),
    ] {
        if *flag && asked == Some(false) {
            warnings.push(format!("{name} can't be taken back and stays true"));
        }
        *flag |= asked.unwrap_or_default();
    }
    Ok(new)
}

fn known_version(settings: &Settings, version: i64, which: &str) -> Result<u32, Error> {
    if version < 0 {
        return Err(Error::bad(format!(
            "min {which} version cannot be negative"
        )));
    }
    let latest = settings.latest_version;
    u32::try_from(version)
        .ok()
        .filter(|version| *version <= latest)
        .ok_or_else(|| {
            Error::bad(format!(
                "cannot set min {which} version of {version}, latest key version is {latest}"
            ))
        })
}
