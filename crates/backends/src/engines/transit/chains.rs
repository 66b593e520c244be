//! The certificates of a version's public key, its own first: `chains/<id>/<version>`, a JSON list
//! of base64.

use keyfold_api::base64;
use keyfold_core::barrier::{View, json};
use keyfold_core::error::Error;
use keyfold_core::ports::storage::Batch;
use keyfold_keys::transit::to_pem;

use super::key::Settings;

/// Below it one folder for each key id.
pub(super) const FOLDER: &str = "chains/";

/// Adds a chain of certificates in DER to a batch.
pub(super) fn put(
    settings: &Settings,
    version: u32,
    chain: &[Vec<u8>],
    batch: Batch,
) -> Result<Batch, Error> {
    let chain: Vec<String> = chain.iter().map(|der| base64::encode(der)).collect();
    Ok(batch.put(place(settings, version), json(&chain)?))
}

/// The chain of a version; empty where it has none.
pub(super) async fn load(
    view: &View,
    settings: &Settings,
    version: u32,
) -> Result<Vec<Vec<u8>>, Error> {
    let at = place(settings, version);
    let Some((chain, _)) = view.read::<Vec<String>>(&at).await? else {
        return Ok(Vec::new());
    };
    chain
        .iter()
        .map(|der| base64::decode(der).map_err(|_| Error::corrupt(at.clone())))
        .collect()
}

/// The same as PEM.
pub(super) async fn pem(view: &View, settings: &Settings, version: u32) -> Result<String, Error> {
    let chain = load(view, settings, version).await?;
    Ok(chain.iter().map(|der| to_pem("CERTIFICATE", der)).collect())
}

/// Adds the removal of the chains of some versions to a batch.
pub(super) fn delete(
    settings: &Settings,
    versions: impl Iterator<Item = u32>,
    batch: Batch,
) -> Batch {
    match settings.certified {
        true => versions.fold(batch, |batch, version| {
            batch.delete(place(settings, version))
        }),
        false => batch,
    }
}

fn place(settings: &Settings, version: u32) -> String {
    format!("{FOLDER}{}/{version}", settings.id)
}
