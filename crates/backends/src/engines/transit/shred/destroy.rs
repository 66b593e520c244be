//! destroy: the key is gone with this commit, and there is a receipt.

use keyfold_core::barrier::json;
use keyfold_core::error::Error;
use keyfold_core::id;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::{Batch, Revision};
use keyfold_core::reply::Reply;
use keyfold_keys::statement::{SHRED_RECEIPT, Statement};

use super::super::key::{Settings, delete_all, policy_key};
use super::super::{Transit, key_name};
use super::mark::Step;
use super::receipt::{Receipt, Uses};
use super::{Actor, Grave, Graves, Mark, receipts, signer};

pub(in super::super) async fn run(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let step = Step::new(call.now, Actor::of(transit, call)?);
    let (settings, _) = there(transit, name).await?;
    ripe(&settings, call)?;
    // Before it is the key's turn: both have turns of their own, and who waits for one in another's
    // may wait for ever.
    let uses = Uses::of(transit, &settings).await?;
    let signer = signer::key(transit).await?;
    let (gone, statement, remains) = transit
        .view
        .change(name, || async {
            let (now, revision) = there(transit, name).await?;
            if now.id != settings.id {
                return Err(Error::bad(format!("key {name} was made anew meanwhile")));
            }
            let (settings, mark) = (&now, ripe(&now, call)?);
            let id = id::uuid();
            let key = (name, settings, mark);
            let receipt = Receipt::of(transit, call, &id, key, (&uses, &step)).await?;
            let statement = Statement::sign(&signer, SHRED_RECEIPT, json(&receipt)?)?;
            let (graves, graves_at) = Graves::load(&transit.view, name).await?;
            let graves = graves.with(Grave {
                id: settings.id.clone(),
                first: settings.min_available_version.max(1),
                last: settings.latest_version,
                time: step.time.clone(),
                receipt: id.clone(),
            });
            let batch = Batch::new()
                .unchanged(policy_key(name), revision)
                .delete(policy_key(name))
                .put(receipts::place(&id), json(&statement)?);
            let batch = graves.put(name, Graves::demand(name, graves_at, batch))?;
            let batch = delete_all(&transit.view, &settings.id, batch).await?;
            transit.commit(name, batch).await?;
            Ok((settings.id.clone(), statement, receipt.remains().to_vec()))
        })
        .await?;
    transit.cache.forget_versions(&gone);
    let reply = receipts::show(&statement)?;
    Ok(remains.into_iter().fold(reply, Reply::warn))
}

async fn there(transit: &Transit, name: &str) -> Result<(Settings, Revision), Error> {
    match transit.stored(name).await? {
        Some(stored) => Ok(stored),
        None => Err(transit.missing(name, "key not found").await),
    }
}

/// The mark of a key that may go now.
fn ripe<'s>(settings: &'s Settings, call: &Call<'_>) -> Result<&'s Mark, Error> {
    let mark = settings.shred.as_ref().ok_or_else(|| {
        Error::bad("nobody has asked for the destruction of the key: shred begins it")
    })?;
    mark.ripe(call.now)?;
    Ok(mark)
}
