//! Keys that encrypt makes: what they are, and the switch that forbids them.

use std::sync::Arc;

use keyfold_api::weak;
use keyfold_core::barrier::json;
use keyfold_core::clock::Time;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;
use serde::{Deserialize, Serialize};

use super::Transit;
use super::cache::{LoadedKey, LoadedVersion};
use super::ciphers::Ciphers;
use super::key::Settings;
use super::kind;
use super::request::Request;
use super::shred::Graves;

const SWITCH: &str = "config/keys";

/// The record at [`SWITCH`], and how it is shown.
#[derive(Serialize, Deserialize, Default)]
struct Switch {
    disable_upsert: bool,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::boolean")]
    disable_upsert: Option<bool>,
}

/// A key that is not stored yet.
pub(super) struct NewKey(LoadedKey);

impl NewKey {
    /// The key that an encrypt call asks for: derived where it came with a context.
    pub async fn of(
        transit: &Transit,
        name: &str,
        request: &Request<'_>,
        has_context: bool,
    ) -> Result<Self, Error> {
        let switch = transit.view.read::<Switch>(SWITCH).await?;
        if switch.is_some_and(|(switch, _)| switch.disable_upsert) {
            return Err(transit.missing(name, "encryption key not found").await);
        }
        // Who encrypts may not know that the key was destroyed, and would get another one.
        let (graves, _) = Graves::load(&transit.view, name).await?;
        if let Some(grave) = graves.newest() {
            let text = grave.text(&format!("key \"{name}\""));
            return Err(Error::bad(format!(
                "{text}; a new key of the name is made at keys/{name}"
            )));
        }
        let convergent = request
            .convergent
            .boolean("convergent_encryption")?
            .unwrap_or_default();
        if convergent && !has_context {
            return Err(Error::bad(
                "convergent encryption requires derivation to be enabled, so context is required",
            ));
        }
        let asked = request.kind.text("type")?;
        let kind = kind::named(asked.as_deref())?;
        // Keys that have more uses than this call's are made by their own.
        if !kind.is_symmetric() {
            return Err(Error::bad(format!("unknown key type {}", kind.name())));
        }
        let settings = Settings {
            derived: has_context,
            convergent,
            ..Settings::new(kind)
        };
        let (key, of) = (settings.generate()?, (name, &settings));
        let latest = LoadedVersion::new(key, of, settings.latest_version, &transit.census);
        Ok(Self(LoadedKey {
            name: name.into(),
            latest: Arc::new(latest),
            settings,
        }))
    }

    /// Its ciphers.
    pub fn ciphers(&self, transit: &Transit, call: &Call<'_>) -> Ciphers<'_> {
        Ciphers::latest(&self.0, transit.census.user(call))
    }

    /// Stores it; `false` when another call has made a key of that name meanwhile.
    pub async fn commit(&self, transit: &Transit, name: &str, now: Time) -> Result<bool, Error> {
        match transit
            .put_new(name, &self.0.settings, &self.0.latest, now)
            .await
        {
            Ok(()) => Ok(true),
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

pub(super) async fn read(transit: &Transit, _: &Call<'_>) -> Result<Reply, Error> {
    let switch = transit.view.read::<Switch>(SWITCH).await?;
    Reply::data(&switch.map(|(switch, _)| switch).unwrap_or_default())
}

pub(super) async fn write(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let asked = call.decode::<Ask>()?;
    let switch = transit
        .view
        .change(SWITCH, || async {
            let (mut switch, batch) = match transit.view.read::<Switch>(SWITCH).await? {
                Some((switch, revision)) => (switch, Batch::new().unchanged(SWITCH, revision)),
                None => (Switch::default(), Batch::new().absent(SWITCH)),
            };
            switch.disable_upsert = asked.disable_upsert.unwrap_or(switch.disable_upsert);
            transit
                .view
                .commit(batch.put(SWITCH, json(&switch)?))
                .await?;
            Ok(switch)
        })
        .await?;
    Reply::data(&switch)
}
