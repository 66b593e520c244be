//! A transit key begins with a managed key, and is rotated to another one.

use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::managed::Named;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::managed::Use;
use keyfold_core::reply::Reply;
use keyfold_keys::transit::ServiceKey;
use serde::Deserialize;

use super::super::key::Settings;
use super::super::shown::{Version, Versions};
use super::super::shred::Graves;
use super::super::{Transit, shown};
use super::{Kept, TYPE, proof};

/// Which managed key is asked for: by name, by id, or by both.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(in super::super) struct Asked {
    #[serde(deserialize_with = "weak::string")]
    pub managed_key_name: Option<String>,
    #[serde(deserialize_with = "weak::string")]
    pub managed_key_id: Option<String>,
}

impl Asked {
    /// One is named.
    fn any(&self) -> bool {
        !self.name().is_empty() || !self.id().is_empty()
    }

    /// Refuses the members where the key is of another type.
    pub fn none(&self) -> Result<(), Error> {
        match self.any() {
            true => Err(Error::field(
                "managed_key_name",
                format_args!("is for keys of type {TYPE}"),
            )),
            false => Ok(()),
        }
    }

    fn name(&self) -> &str {
        self.managed_key_name.as_deref().unwrap_or_default()
    }

    fn id(&self) -> &str {
        self.managed_key_id.as_deref().unwrap_or_default()
    }

    /// It may be this one.
    fn is(&self, named: &Named) -> bool {
        let fits = |asked: &str, there: &str| asked.is_empty() || asked == there;
        fits(self.name(), &named.name) && fits(self.id(), &named.id)
    }

    /// The managed key. One that the device does not have yet is made where its record allows that.
    async fn found(&self, transit: &Transit, call: &Call<'_>) -> Result<Found, Error> {
        if !self.any() {
            return Err(Error::field(
                "managed_key_name",
                format_args!("or \"managed_key_id\" is needed for a key of type {TYPE}"),
            ));
        }
        let managed = &transit.managed;
        let usable = managed.ask(call.mount, self.name(), self.id()).await?;
        let told = usable.key.describe(usable.may_make).await;
        let key = told.map_err(|error| usable.named.error(error))?;
        let proof = proof::make(&usable).await;
        let proof = proof.map_err(|error| usable.named.error(error))?;
        Ok(Found {
            signs: usable.key.allows(Use::Sign),
            kept: Kept {
                named: usable.named,
                proof,
            },
            key,
        })
    }
}

/// A managed key.
struct Found {
    kept: Kept,
    signs: bool,
    /// What it is, without its secret part.
    key: ServiceKey,
}

/// A key that is there already is left as it is and shown.
pub(in super::super) async fn create(
    transit: &Transit,
    call: &Call<'_>,
    name: &str,
    asked: &Asked,
) -> Result<Reply, Error> {
    if let Some(there) = there(transit, name, asked).await? {
        return Ok(there);
    }
    // Before it is this key's turn: the device may take its time.
    let Found { kept, signs, key } = asked.found(transit, call).await?;
    let wanted = Settings {
        managed_signs: signs,
        ..Settings::new(key.kind())
    };
    let stored = transit
        .view
        .change(name, || async {
            if transit.stored(name).await?.is_some() {
                return Ok(None);
            }
            let (graves, _) = Graves::load(&transit.view, name).await?;
            let mut settings = wanted.clone().behind(graves)?;
            settings.managed = [(settings.latest_version, kept.clone())].into();
            let first = Version::new(&key, &settings, call.now.secs())?;
            transit.put_new(name, &settings, &key, call.now).await?;
            Ok(Some((settings, first)))
        })
        .await?;
    let Some((settings, first)) = stored else {
        return there(transit, name, asked).await?.ok_or(Error::Contended);
    };
    let versions = Versions::from([(settings.latest_version, first)]);
    shown::show(name, &settings, &versions)
}

/// The answer where the name is taken.
async fn there(transit: &Transit, name: &str, asked: &Asked) -> Result<Option<Reply>, Error> {
    let Some((settings, _)) = transit.stored(name).await? else {
        return Ok(None);
    };
    let versions = shown::versions(transit, &settings, &[]).await?;
    let reply = shown::show(name, &settings, &versions)?;
    let mut held = settings.managed.values();
    Ok(Some(match held.any(|kept| asked.is(&kept.named)) {
        true => reply,
        false => reply.warn(format!(
            "key {name} is there already, with other settings; it was not changed"
        )),
    }))
}

/// The next version is another managed key, of the same type.
pub(in super::super) async fn rotate(
    transit: &Transit,
    call: &Call<'_>,
    name: &str,
    asked: &Asked,
) -> Result<Reply, Error> {
    let Found { kept, signs, key } = asked.found(transit, call).await?;
    let (settings, versions) = transit
        .view
        .change(name, || async {
            let stored = transit.stored(name).await?;
            let (mut settings, revision) = stored.ok_or_else(|| Error::bad("key not found"))?;
            settings.usable()?;
            settings.makes()?;
            let field = match asked.name() {
                "" => "managed_key_id",
                _ => "managed_key_name",
            };
            let mut held = settings.managed.iter();
            if let Some((version, _)) = held.find(|(_, held)| held.named.id == kept.named.id) {
                return Err(Error::field(
                    field,
                    format_args!("is that of version {version} already"),
                ));
            }
            if settings.kind != key.kind() {
                return Err(Error::field(
                    field,
                    format_args!(
                        "is a key of {}, and those of {name} are of {}",
                        key.kind().name(),
                        settings.kind.name()
                    ),
                ));
            }
            if settings.managed_signs != signs {
                let what = match settings.managed_signs {
                    true => "does not sign, as those of this key do",
                    false => "signs, and those of this key encrypt",
                };
                return Err(Error::field(field, what));
            }
            let next = settings.latest_version.saturating_add(1);
            settings.managed.insert(next, kept.clone());
            let mut versions = shown::newest(transit, &settings).await?;
            let version = Version::new(&key, &settings, call.now.secs())?;
            let settings = transit
                .add_version(name, settings, revision, &key, call.now)
                .await?;
            versions.insert(next, version);
            Ok((settings, versions))
        })
        .await?;
    shown::show_newest(name, &settings, versions)
}
