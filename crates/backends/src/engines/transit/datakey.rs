//! datakey: a new DEK for the caller's own use, wrapped under the key, and in clear as well where
//! the path asks for that.

use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::managed::Job;
use keyfold_core::reply::Reply;
use keyfold_keys::rng;
use keyfold_keys::transit::Ciphertext;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};

use super::census::Kind;
use super::ciphers::Ciphers;
use super::decrypt::Plaintext;
use super::encrypt::{able, seal};
use super::key::Settings;
use super::{Transit, key_name, managed};

/// What is asked of a DEK.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Common {
    #[serde(deserialize_with = "weak::int")]
    bits: Option<i64>,
    #[serde(deserialize_with = "weak::bytes")]
    context: Option<Vec<u8>>,
    #[serde(deserialize_with = "weak::bytes")]
    associated_data: Option<Vec<u8>>,
    #[serde(deserialize_with = "weak::int")]
    key_version: Option<i64>,
}

/// The same, checked against the key.
pub(super) struct Wanted {
    length: usize,
    context: Vec<u8>,
    aad: Vec<u8>,
    pub version: u32,
}

/// A DEK.
#[derive(Serialize)]
pub(super) struct DataKey {
    ciphertext: String,
    key_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Plaintext>,
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let in_clear = in_clear(call)?;
    let common = call.decode::<Common>()?;
    let key = transit.key(name).await?;
    let wanted = common.check(&key.settings)?;
    let idle = transit.idle(wanted.has_context(), key.settings.derived)?;
    if key.settings.is_managed() {
        let made = managed::datakeys(transit, call, &key, &wanted, 1, in_clear).await?;
        let only = made.first().ok_or(Error::Bug("no DEK was made"))?;
        return Ok(idle.told(Reply::data(only)?));
    }
    let versions = std::iter::once(wanted.version);
    let mut ciphers = Ciphers::load(transit, call, &key, versions).await?;
    let reply = Reply::data(&wanted.make(&mut ciphers, in_clear)?)?;
    Ok(idle.told(reply))
}

/// Whether the path asks for the DEK in clear too.
pub(super) fn in_clear(call: &Call<'_>) -> Result<bool, Error> {
    match call.param("kind") {
        "plaintext" => Ok(true),
        "wrapped" => Ok(false),
        _ => Err(Error::bad("Invalid path, must be 'plaintext' or 'wrapped'")),
    }
}

impl Common {
    /// Checks it.
    pub fn check(self, settings: &Settings) -> Result<Wanted, Error> {
        let length = match self.bits.unwrap_or(256) {
            128 => 16,
            256 => 32,
            512 => 64,
            _ => return Err(Error::bad("invalid bit length")),
        };
        able(settings)?;
        let aad = self.associated_data.unwrap_or_default();
        if !aad.is_empty() && !settings.kind.binds() {
            return Err(Error::bad(format!(
                "'associated_data' provided for non-AEAD cipher suite {}",
                settings.kind.name()
            )));
        }
        Ok(Wanted {
            length,
            context: self.context.unwrap_or_default(),
            aad,
            version: settings.encryption_version(self.key_version.unwrap_or_default())?,
        })
    }
}

impl Wanted {
    /// A context was given.
    pub fn has_context(&self) -> bool {
        !self.context.is_empty()
    }

    /// Makes one.
    pub fn make(&self, ciphers: &mut Ciphers<'_>, in_clear: bool) -> Result<DataKey, Error> {
        let dek = self.dek();
        let sealed = seal(
            ciphers,
            self.version,
            &self.context,
            &self.aad,
            dek.expose(),
        )?;
        ciphers.note(self.version, Kind::DataKey, self.length);
        Ok(self.told(dek, &sealed, in_clear))
    }

    /// A DEK that nothing wraps yet.
    pub fn dek(&self) -> Secret<Vec<u8>> {
        let mut dek = Secret::new(vec![0; self.length]);
        rng::fill(dek.expose_mut());
        dek
    }

    /// What a device has to do to wrap it.
    pub fn wrapping(&self, dek: &Secret<Vec<u8>>) -> Job {
        Job::Encrypt {
            plaintext: Secret::new(dek.expose().clone()),
            aad: self.aad.clone(),
        }
    }

    /// A DEK with its wrap.
    pub fn told(&self, dek: Secret<Vec<u8>>, sealed: &[u8], in_clear: bool) -> DataKey {
        DataKey {
            ciphertext: Ciphertext::format(self.version, sealed),
            key_version: self.version,
            plaintext: in_clear.then_some(Plaintext(dek)),
        }
    }
}
