//! retire: old versions go when nothing needs them any more, and it is said what still does.

use std::time::Duration;

use keyfold_api::{Seconds, weak};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::key::{Settings, policy_key, version_key};
use super::needs::{self, Need};
use super::{Transit, chains, key_name};

/// A use is a recent one for so long, when nobody says otherwise.
const RECENT: Duration = Duration::from_secs(7 * 24 * 3600);

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::int")]
    below: Option<i64>,
    #[serde(deserialize_with = "weak::boolean")]
    force: Option<bool>,
    #[serde(deserialize_with = "weak::boolean")]
    destroy: Option<bool>,
    #[serde(deserialize_with = "weak::duration")]
    recent: Option<Seconds>,
}

#[derive(Serialize)]
struct Retired<'a> {
    name: &'a str,
    below: u32,
    min_decryption_version: u32,
    min_encryption_version: u32,
    min_available_version: u32,
    /// Versions that are gone since.
    destroyed: Vec<u32>,
    /// Where that did not matter.
    needed_by: &'a [Need],
    more_needs: usize,
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let asked = call.decode::<Ask>()?;
    let recent = asked.recent.map_or(Ok(RECENT.as_secs()), |recent| {
        u64::try_from(recent.0).map_err(|_| Error::field("recent", "must not be negative"))
    })?;
    let missing = || Error::bad("key not found");
    let (settings, _) = transit.stored(name).await?.ok_or_else(missing)?;
    let below = version(&settings, asked.below)?;
    let since = call.now.secs().saturating_sub(recent);
    let (needs, more) = needs::below(transit, &settings, below, since).await?;
    if !needs.is_empty() && !asked.force.unwrap_or_default() {
        return refusal(name, below, &needs, more);
    }
    let destroy = asked.destroy.unwrap_or_default();
    let (new, destroyed) = transit
        .view
        .change(name, || async {
            let (old, revision) = transit.stored(name).await?.ok_or_else(missing)?;
            if old.id != settings.id {
                return Err(Error::bad(format!("key {name} was made anew meanwhile")));
            }
            if destroy {
                old.unmarked()?;
            }
            let new = retired(&old, below, destroy);
            let gone = old.min_available_version.max(1)..new.min_available_version.max(1);
            if new != old {
                let mut batch = Batch::new().unchanged(policy_key(name), revision);
                for version in gone.clone() {
                    batch = batch.delete(version_key(&old.id, version));
                }
                let batch = chains::delete(&old, gone.clone(), batch);
                transit.commit(name, new.put(name, batch)?).await?;
                transit.cache.forget_versions(&old.id);
            }
            Ok((new, gone.collect()))
        })
        .await?;
    let mut reply = Reply::data(&Retired {
        name,
        below,
        min_decryption_version: new.min_decryption_version,
        min_encryption_version: new.min_encryption_version,
        min_available_version: new.min_available_version,
        destroyed,
        needed_by: &needs,
        more_needs: more,
    })?;
    let texts = needs.iter().map(|need| need.text().to_owned());
    reply.warnings.extend(texts);
    Ok(reply)
}

/// The settings without the versions below one.
fn retired(old: &Settings, below: u32, destroy: bool) -> Settings {
    let mut new = old.clone();
    new.min_decryption_version = old.min_decryption_version.max(below);
    if old.min_encryption_version > 0 {
        new.min_encryption_version = old.min_encryption_version.max(below);
    }
    if destroy {
        new.min_available_version = old.min_available_version.max(below);
        new.managed = new.managed.split_off(&new.min_available_version);
    }
    new
}

/// The oldest version that is to stay.
fn version(settings: &Settings, asked: Option<i64>) -> Result<u32, Error> {
    let asked =
        asked.ok_or_else(|| Error::field("below", "missing: the oldest version to stay"))?;
    let latest = settings.latest_version;
    let version = u32::try_from(asked).ok();
    let version = version.filter(|version| (1..=latest).contains(version));
    version.ok_or_else(|| {
        let text = format!("must be a version of the key, 1 to {latest}, the newest, which stays");
        Error::field("below", text)
    })
}

/// 400 with what stands against it, for people and for programs.
fn refusal(name: &str, below: u32, needs: &[Need], more: usize) -> Result<Reply, Error> {
    let head = format!(
        "versions of {name} below {below} are needed still; force retires them all the same"
    );
    let mut errors = vec![head];
    errors.extend(needs.iter().map(|need| need.text().to_owned()));
    if more > 0 {
        errors.push(format!("and {more} more"));
    }
    let data = json!({"name": name, "below": below, "needed_by": needs, "more_needs": more});
    let answer = json!({"errors": errors, "data": data});
    Ok(Reply::bare(&answer)?.with_status(400))
}

#[cfg(test)]
mod tests {
    use keyfold_keys::transit::KeyType;

    use super::*;

    #[test]
    fn minimums_only_rise() {
        let old = Settings {
            latest_version: 5,
            min_decryption_version: 3,
            ..Settings::new(KeyType::default())
        };
        let bounds = |settings: &Settings| {
            (
                settings.min_decryption_version,
                settings.min_encryption_version,
                settings.min_available_version,
            )
        };
        assert_eq!(bounds(&retired(&old, 4, false)), (4, 0, 0));
        assert_eq!(bounds(&retired(&old, 4, true)), (4, 0, 4));
        assert_eq!(bounds(&retired(&old, 2, true)), (3, 0, 2));
        let bounded = Settings {
            min_encryption_version: 3,
            ..old
        };
        assert_eq!(bounds(&retired(&bounded, 5, false)), (5, 5, 0));
        assert!(version(&bounded, Some(6)).is_err());
        assert!(version(&bounded, Some(0)).is_err());
        assert_eq!(version(&bounded, Some(5)).unwrap(), 5);
    }
}
