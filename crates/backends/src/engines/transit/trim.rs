//! trim: versions that are needed no more are destroyed.

use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use serde::Deserialize;

use super::key::{Settings, policy_key, version_key};
use super::{Transit, chains, key_name, shown};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::int")]
    min_available_version: Option<i64>,
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let asked = call.decode::<Ask>()?.min_available_version;
    let asked = asked.ok_or_else(|| Error::bad("missing min_available_version"))?;
    let (settings, versions) = transit
        .view
        .change(name, || async {
            let stored = transit.stored(name).await?;
            let (old, revision) = stored.ok_or_else(|| Error::bad("invalid key name"))?;
            old.unmarked()?;
            let first = first(&old, asked)?;
            let new = Settings {
                min_available_version: first,
                managed: old.managed.clone().split_off(&first),
                ..old.clone()
            };
            let versions = shown::versions(transit, &new, &[]).await?;
            if new != old {
                let trimmed = old.min_available_version.max(1)..first;
                let mut batch = Batch::new().unchanged(policy_key(name), revision);
                for version in trimmed.clone() {
                    batch = batch.delete(version_key(&old.id, version));
                }
                let batch = chains::delete(&old, trimmed, batch);
                transit.commit(name, new.put(name, batch)?).await?;
                transit.cache.forget_versions(&old.id);
            }
            Ok((new, versions))
        })
        .await?;
    shown::show(name, &settings, &versions)
}

/// The first version that is to stay: none that decrypts or encrypts goes.
fn first(settings: &Settings, asked: i64) -> Result<u32, Error> {
    let wrong = |why: &str| Error::bad(format!("minimum available version {why}"));
    let (oldest, encrypting) = (
        settings.min_decryption_version,
        settings.min_encryption_version,
    );
    if asked < i64::from(settings.min_available_version) {
        return Err(wrong("cannot be decremented"));
    }
    let Some(first) = u32::try_from(asked).ok().filter(|asked| *asked > 0) else {
        return Err(wrong("should be positive"));
    };
    if encrypting == 0 {
        return Err(wrong(
            "cannot be set when minimum encryption version is not set",
        ));
    }
    if first > encrypting {
        return Err(wrong("cannot be greater than minimum encryption version"));
    }
    if first > oldest {
        return Err(wrong("cannot be greater than minimum decryption version"));
    }
    Ok(first)
}
