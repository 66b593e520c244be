//! soft-delete and soft-delete-restore: a key that is kept, and does nothing until it is wanted back.

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::Batch;
use keyfold_core::reply::Reply;

use super::key::policy_key;
use super::{Transit, key_name, shown};

pub(super) async fn delete(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    turn(
        transit,
        call,
        true,
        "key was already marked as soft deleted",
    )
    .await
}

pub(super) async fn restore(transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
    turn(transit, call, false, "key was already restored").await
}

async fn turn(
    transit: &Transit,
    call: &Call<'_>,
    deleted: bool,
    already: &str,
) -> Result<Reply, Error> {
    let name = key_name(call)?;
    let changed = transit
        .view
        .change(name, || async {
            let Some((mut settings, revision)) = transit.stored(name).await? else {
                return Ok(None);
            };
            let changes = settings.soft_deleted != deleted;
            settings.soft_deleted = deleted;
            let versions = shown::versions(transit, &settings, &[]).await?;
            if changes {
                let batch = Batch::new().unchanged(policy_key(name), revision);
                transit.commit(name, settings.put(name, batch)?).await?;
            }
            Ok(Some((settings, versions, changes)))
        })
        .await?;
    // One that is not there is as good as gone.
    let Some((settings, versions, changed)) = changed else {
        return Ok(Reply::none());
    };
    let reply = shown::show(name, &settings, &versions)?;
    match changed {
        true => Ok(reply),
        false => Ok(reply.warn(already)),
    }
}
