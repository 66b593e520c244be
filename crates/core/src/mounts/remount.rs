//! Moving a mount: one commit, and done by the time the call is answered.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change::{check_path, is_reserved};
use super::table::{Mount, Target};
use super::{AUTH, FOLDER, MountRecord, Mounts, Table};
use crate::barrier::json;
use crate::error::Error;
use crate::id;
use crate::ports::storage::Batch;
use crate::tokens;

/// The last moves, for who asks how one went.
const MOVES: &str = "moves";
/// Of them, as many are kept.
const KEPT: usize = 64;

/// A move that was made.
#[derive(Clone, Serialize, Deserialize)]
pub struct Move {
    /// A UUID.
    pub id: String,
    /// The path it left, with its slash.
    pub from: String,
    /// The path it went to.
    pub to: String,
}

impl Mounts {
    /// Moves a mount, with all it has stored; paths end in a slash. What logged in at the old path
    /// of an auth method is dead afterwards.
    pub async fn remount(&self, from: &str, to: &str) -> Result<Move, Error> {
        let turn = self.turn().await?;
        let table = self.table.load_full();
        let mount = check(&table, from, to)?;
        self.check_store(to).await?;
        let mut record = MountRecord {
            path: to.to_owned(),
            ..mount.record.clone()
        };
        let made = Move {
            id: id::uuid(),
            from: from.to_owned(),
            to: to.to_owned(),
        };
        let mut moves = self.moves().await?;
        moves.push(made.clone());
        let old = moves.len().saturating_sub(KEPT);
        let moves = moves.split_off(old);
        let mut batch = Batch::new().put(MOVES, json(&moves)?);
        if record.is_auth() {
            record.logins_since = Some(self.clock.now());
            batch = tokens::disowning(batch)?;
        }
        let key = format!("{FOLDER}{}", record.uuid);
        let batch = turn.demanded(batch.put(key, json(&record)?));
        let storage = &**self.barrier.storage();
        let revision = storage.commit(self.view.sealed(batch)?).await?;
        let target = mount.target.clone();
        let moved = table.without(from).with(Mount { record, target });
        self.table.store(Arc::new(moved));
        turn.heard(storage, revision).await?;
        Ok(made)
    }

    /// A move that was made not long ago.
    pub async fn find_move(&self, id: &str) -> Result<Option<Move>, Error> {
        Ok(self.moves().await?.into_iter().find(|m| m.id == id))
    }

    async fn moves(&self) -> Result<Vec<Move>, Error> {
        let stored = self.view.read::<Vec<Move>>(MOVES).await?;
        Ok(stored.map(|(moves, _)| moves).unwrap_or_default())
    }
}

/// The mount at `from`, if it may go to `to`.
fn check<'a>(table: &'a Table, from: &str, to: &str) -> Result<&'a Arc<Mount>, Error> {
    if is_reserved(from) {
        return Err(Error::bad(format!("cannot remount \"{from}\"")));
    }
    let auth = from.starts_with(AUTH);
    if auth && !to.starts_with(AUTH) {
        return Err(Error::bad(format!(
            "cannot remount auth mount to non-auth mount \"{to}\""
        )));
    }
    if is_reserved(to) || (!auth && to.starts_with(AUTH)) {
        return Err(Error::bad(format!("cannot remount to destination {to}")));
    }
    let missing = || Error::bad(format!("no matching mount at \"{from}\""));
    let mount = table.at(from).ok_or_else(missing)?;
    if !matches!(mount.target, Target::Engine { .. }) {
        return Err(Error::bad(format!("cannot remount \"{from}\"")));
    }
    if let Some(taken) = table.conflict(to) {
        return Err(Error::bad(format!(
            "path already in use at \"{}\"",
            taken.record.path
        )));
    }
    check_path(to)?;
    Ok(mount)
}
