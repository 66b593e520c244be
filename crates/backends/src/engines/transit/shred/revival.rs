//! What is gone stays gone: destroyed keys are told to whoever puts a snapshot in the store's place,
//! and told again to the store that comes of it.

use keyfold_core::error::Error;
use keyfold_core::ports::engine::{DestroyedKey, DestroyedKeys};
use keyfold_core::ports::storage::Batch;

use super::super::Transit;
use super::super::key::{VERSIONS, policy_key};
use super::graves::FOLDER;
use super::{Grave, Graves, Mark};

/// Names that are read at once.
const PAGE: usize = 1_000;

/// All keys of the mount that were destroyed.
pub(in super::super) async fn all(transit: &Transit) -> Result<DestroyedKeys, Error> {
    let view = &transit.view;
    let (mut all, mut after) = (DestroyedKeys::default(), String::new());
    loop {
        let page = view.list(FOLDER, &after, PAGE).await?;
        for name in &page.names {
            match Graves::load(view, name).await {
                Ok((graves, _)) => all
                    .keys
                    .extend(graves.iter().map(|grave| told(name, grave))),
                // A damaged one keeps nobody from restoring a sound store.
                Err(Error::Corrupt(record)) => all.damaged.push(record),
                Err(error) => return Err(error),
            }
        }
        match page.names.into_iter().next_back() {
            Some(last) if page.more => after = last,
            _ => return Ok(all),
        }
    }
}

/// Marks the one that came back, if it did, and notes in any case that it is gone.
pub(in super::super) async fn revive(transit: &Transit, key: &DestroyedKey) -> Result<(), Error> {
    let name = &*key.name;
    let grave = Grave {
        id: key.id.clone(),
        first: key.first,
        last: key.last,
        time: key.time.clone(),
        receipt: key.receipt.clone(),
    };
    transit
        .view
        .change(name, || async {
            let (graves, there) = Graves::load(&transit.view, name).await?;
            let stored = transit.stored(name).await?;
            let revived = stored
                .filter(|(settings, _)| settings.id == grave.id)
                .filter(|(settings, _)| settings.buried().is_ok());
            let known = graves.iter().any(|known| known.id == grave.id);
            if known && revived.is_none() {
                return Ok(());
            }
            let mut batch = Graves::demand(name, there, Batch::new());
            if !known {
                batch = graves.with(grave.clone()).put(name, batch)?;
            }
            if let Some((mut settings, revision)) = revived {
                settings.shred = Some(Mark::Revived(grave.clone()));
                batch = batch.unchanged(policy_key(name), revision);
                batch = settings.put(name, batch)?;
                tracing::error!(
                    key = name,
                    receipt = grave.receipt,
                    "a destroyed key came back with a snapshot: it is refused"
                );
            }
            transit.commit(name, batch).await
        })
        .await
}

fn told(name: &str, grave: &Grave) -> DestroyedKey {
    DestroyedKey {
        name: name.to_owned(),
        id: grave.id.clone(),
        first: grave.first,
        last: grave.last,
        time: grave.time.clone(),
        receipt: grave.receipt.clone(),
        folder: format!("{VERSIONS}{}/", grave.id),
    }
}
