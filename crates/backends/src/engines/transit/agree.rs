//! derive-key: a key that an ECDSA key of the mount and somebody else's agree on.

use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::{Family, ServiceKey, from_pem};
use serde::Deserialize;

use super::census::{Kind, Uses};
use super::decrypt::NO_PRIVATE_HALF;
use super::key::Settings;
use super::shred::Graves;
use super::{Transit, key_name, kind};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::string")]
    base_key_name: Option<String>,
    #[serde(deserialize_with = "weak::int")]
    base_key_version: Option<i64>,
    #[serde(deserialize_with = "weak::string")]
    peer_public_key: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    derived_key_type: Option<String>,
    #[serde(deserialize_with = "weak::boolean")]
    exportable: Option<bool>,
    #[serde(deserialize_with = "weak::boolean")]
    allow_plaintext_backup: Option<bool>,
}

/// Makes a key, or a new version of one that was made so.
pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let asked = call.decode::<Ask>()?;
    let peer = asked.peer_public_key.filter(|pem| !pem.is_empty());
    let peer = peer.ok_or_else(|| Error::bad("peer public key not provided"))?;
    let kind = kind::named(asked.derived_key_type.as_deref())?;
    if !kind.is_symmetric() {
        return Err(Error::bad(format!("unknown key type {}", kind.name())));
    }
    let base = match asked.base_key_name.as_deref().unwrap_or_default() {
        "" => None,
        base => transit.cache.key(base).await?,
    };
    let base = base.ok_or_else(|| Error::bad("specified base key not found"))?;
    let settings = &base.settings;
    settings.usable()?;
    if !matches!(settings.kind.family(), Family::Ecdsa(_)) {
        return Err(Error::bad(format!(
            "base key type {} does not support key agreement",
            settings.kind.name()
        )));
    }
    let version = settings.signing_version(asked.base_key_version.unwrap_or_default())?;
    let own = transit.cache.version(&base, version).await?;
    if own.is_public_only() {
        return Err(Error::bad(NO_PRIVATE_HALF));
    }
    let blocks = from_pem("PUBLIC KEY", &peer);
    let peer = blocks.as_deref().and_then(|blocks| blocks.first());
    let peer = peer.and_then(|der| ServiceKey::from_spki(settings.kind, der).ok());
    let peer = peer.ok_or_else(|| {
        Error::field(
            "peer_public_key",
            "no public key of the base key's curve in PEM",
        )
    })?;
    let key = own.agree(&peer, kind)?;
    let wanted = Settings {
        exportable: asked.exportable.unwrap_or_default(),
        allow_plaintext_backup: asked.allow_plaintext_backup.unwrap_or_default(),
        imported: true,
        ..Settings::new(kind)
    };
    transit
        .view
        .change(name, || async {
            let Some((there, revision)) = transit.stored(name).await? else {
                let (graves, _) = Graves::load(&transit.view, name).await?;
                let wanted = wanted.clone().behind(graves)?;
                return transit.put_new(name, &wanted, &key, call.now).await;
            };
            there.usable()?;
            if !there.imported || there.kind != kind {
                return Err(Error::bad(format!(
                    "key {name} is there already, and was not derived so, or has another type"
                )));
            }
            transit
                .add_version(name, there, revision, &key, call.now)
                .await?;
            Ok(())
        })
        .await?;
    let user = transit.census.user(call);
    own.tally.add(&Uses::one(Kind::DeriveKey, 0), user);
    Ok(Reply::none())
}
