//! `sys/snapshot`, and the same where Vault's raft storage has it.

use std::sync::Arc;

use serde::Serialize;

use super::{Row, System};
use crate::error::Error;
use crate::lifecycle::Core;
use crate::ports::engine::Call;
use crate::reply::Reply;
use crate::request::{Body, Op};
use crate::snapshot::Restored;

const MEDIA: &str = "application/octet-stream";
const SAVE: &str = "A snapshot of the store: one moment of it, sealed as it lies there.";
const RESTORE: &str = "Puts a snapshot of this store in the place of all that is stored.";
const FORCE: &str = "The same with a snapshot of any store.";

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new(Op::Read, "snapshot", SAVE, |s, c| Box::pin(s.save(c))),
        Row::new(Op::Read, "storage/raft/snapshot", SAVE, |s, c| {
            Box::pin(s.save(c))
        }),
        Row::new(Op::Write, "snapshot", RESTORE, |s, c| {
            Box::pin(s.restore(c, false))
        }),
        Row::new(Op::Write, "storage/raft/snapshot", RESTORE, |s, c| {
            Box::pin(s.restore(c, false))
        }),
        Row::new(Op::Write, "snapshot-force", FORCE, |s, c| {
            Box::pin(s.restore(c, true))
        }),
        Row::new(Op::Write, "storage/raft/snapshot-force", FORCE, |s, c| {
            Box::pin(s.restore(c, true))
        }),
    ]
}

/// Whether a write to a path restores a snapshot, and whether by force.
pub(crate) fn restores(path: &str) -> Option<bool> {
    match path {
        "sys/snapshot" | "sys/storage/raft/snapshot" => Some(false),
        "sys/snapshot-force" | "sys/storage/raft/snapshot-force" => Some(true),
        _ => None,
    }
}

/// What a restore answers.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    restored: &'a Restored,
    sealed: bool,
}

impl System {
    async fn save(&self, call: &Call<'_>) -> Result<Reply, Error> {
        unwrapped(call)?;
        let saving = self.vault.snapshot().await?;
        let revision = saving.header().revision;
        tracing::info!(revision, "a snapshot is being saved");
        Ok(Reply::stream(MEDIA, saving))
    }

    async fn restore(&self, call: &Call<'_>, force: bool) -> Result<Reply, Error> {
        unwrapped(call)?;
        restore(&self.core, call.body, force).await
    }
}

/// Restores what comes with a request.
pub(crate) async fn restore(core: &Arc<Core>, body: &Body, force: bool) -> Result<Reply, Error> {
    let Some(mut upload) = body.stream() else {
        return Err(Error::bad(
            "a snapshot is needed: as the body, as it was saved",
        ));
    };
    let restored = core.restore(&mut *upload, force).await?;
    let reply = Reply::data(&Answer {
        restored: &restored,
        sealed: true,
    })?;
    Ok(restored.remarks.into_iter().fold(reply, Reply::warn))
}

/// What is larger than memory is kept under no token.
fn unwrapped(call: &Call<'_>) -> Result<(), Error> {
    match call.wrap_ttl {
        None => Ok(()),
        Some(_) => Err(Error::bad("a snapshot can't be wrapped")),
    }
}
