//! datakey: a new DEK for the caller's own use, wrapped under the key, and in clear as well where
//! the path asks for that.

use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_keys::rng;
use keyfold_keys::transit::Ciphertext;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};

use super::batch::IDLE_CONTEXT;
use super::ciphers::Ciphers;
use super::decrypt::Plaintext;
use super::encrypt::{able, seal};
use super::{Transit, key_name};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Ask {
    #[serde(deserialize_with = "weak::int")]
    bits: Option<i64>,
    #[serde(deserialize_with = "weak::bytes")]
    context: Option<Vec<u8>>,
    #[serde(deserialize_with = "weak::bytes")]
    associated_data: Option<Vec<u8>>,
    #[serde(deserialize_with = "weak::int")]
    key_version: Option<i64>,
}

#[derive(Serialize)]
struct DataKey {
    ciphertext: String,
    key_version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<Plaintext>,
}

pub(super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let in_clear = match call.param("kind") {
        "plaintext" => true,
        "wrapped" => false,
        _ => return Err(Error::bad("Invalid path, must be 'plaintext' or 'wrapped'")),
    };
    let ask = call.decode::<Ask>()?;
    let Ask {
        bits,
        context,
        associated_data,
        key_version,
    } = ask;
    let length = match bits.unwrap_or(256) {
        128 => 16,
        256 => 32,
        512 => 64,
        _ => return Err(Error::bad("invalid bit length")),
    };
    let context = context.unwrap_or_default();
    let aad = associated_data.unwrap_or_default();
    let key = transit.key(name).await?;
    able(&key.settings)?;
    if !aad.is_empty() && !key.settings.kind.binds() {
        return Err(Error::bad(format!(
            "'associated_data' provided for non-AEAD cipher suite {}",
            key.settings.kind.name()
        )));
    }
    let key_version = key
        .settings
        .encryption_version(key_version.unwrap_or_default())?;
    let mut ciphers = Ciphers::load(&transit.cache, &key, std::iter::once(key_version)).await?;

    let mut dek = Secret::new(vec![0; length]);
    rng::fill(dek.expose_mut());
    let sealed = seal(&mut ciphers, key_version, &context, &aad, dek.expose())?;
    let ciphertext = Ciphertext::format(key_version, &sealed);
    let plaintext = in_clear.then_some(Plaintext(dek));
    let mut reply = Reply::data(&DataKey {
        ciphertext,
        key_version,
        plaintext,
    })?;
    if !context.is_empty() && !key.settings.derived {
        reply.warnings.push(IDLE_CONTEXT.to_owned());
    }
    Ok(reply)
}
