//! byok-export: a key for the holder of another, wrapped as import takes it.

use std::collections::BTreeMap;

use keyfold_api::{base64, weak};
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::{Family, ServiceKey, wrap};
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};

use super::decrypt::NO_PRIVATE_HALF;
use super::{Transit, export, import, is_name};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::string")]
    hash: Option<String>,
}

#[derive(Serialize)]
struct Exported<'a> {
    keys: BTreeMap<String, String>,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let asked = call.decode::<Ask>()?;
    let hash = import::hash(&asked.hash.unwrap_or_default())?;
    let (to, from) = (call.param("destination"), call.param("source"));
    if !is_name(to) || !is_name(from) {
        return Err(Error::bad("no name for a key"));
    }
    let holder = transit.cache.key(to).await?;
    let holder = holder.ok_or_else(|| Error::bad("no such destination key to export to"))?;
    let key = transit.cache.key(from).await?;
    let key = key.ok_or_else(|| Error::bad("no such source key for export"))?;
    holder.settings.usable()?;
    key.settings.usable()?;
    key.settings.unmarked()?;
    if !key.settings.exportable {
        return Err(Error::bad("key is not exportable"));
    }
    if !matches!(holder.settings.kind.family(), Family::Rsa(_)) {
        return Err(Error::bad(format!(
            "the destination key is of type {}; keys are wrapped for RSA keys only",
            holder.settings.kind.name()
        )));
    }
    let settings = &key.settings;
    let (first, last) = match call.param("version") {
        "" => (settings.oldest(), settings.latest_version),
        one => {
            let one = export::version(settings, one)?;
            (one, one)
        }
    };
    let mut keys = BTreeMap::new();
    for version in first..=last {
        let target = target(&*transit.cache.version(&key, version).await?)?;
        let blob = wrap(&holder.latest, hash, target.expose())?;
        keys.insert(version.to_string(), base64::encode(&blob));
    }
    Reply::data(&Exported {
        keys,
        name: from,
        kind: settings.kind.name(),
    })
}

/// What is wrapped: the key itself, or PKCS#8.
fn target(key: &ServiceKey) -> Result<Secret<Vec<u8>>, Error> {
    if key.is_public_only() {
        return Err(Error::bad(NO_PRIVATE_HALF));
    }
    Ok(key
        .pkcs8()
        .unwrap_or_else(|| Secret::new(key.expose().to_vec())))
}
