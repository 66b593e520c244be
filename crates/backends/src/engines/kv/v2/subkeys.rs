//! `subkeys/`: the names in a version, without their values.

use keyfold_api::weak;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use serde::{Deserialize, Serialize};

use super::data::{self, Shown};
use super::tree::Tree;
use super::{Kv, path};

#[derive(Deserialize)]
struct Read {
    #[serde(default, deserialize_with = "weak::int")]
    version: Option<i64>,
    /// Levels of names; zero: all.
    #[serde(default, deserialize_with = "weak::int")]
    depth: Option<i64>,
}

#[derive(Serialize)]
struct Subkeys<'a> {
    metadata: Shown<'a>,
    subkeys: Option<Tree<'a>>,
}

impl Kv {
    pub(super) async fn subkeys_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = path::secret(call)?;
        let asked = call.decode::<Read>()?;
        let version = data::number(asked.version)?;
        let depth = match usize::try_from(asked.depth.unwrap_or(0)) {
            Ok(0) => usize::MAX,
            Ok(depth) => depth,
            Err(_) => return Err(Error::field("depth", "cannot be negative")),
        };
        let found = self.version(path, version, call.now).await?;
        let subkeys = match found.json(path)? {
            Some(json) => Some(found.tree(path, json)?.names(depth)),
            None => None,
        };
        let status = if subkeys.is_some() { 200 } else { 404 };
        let metadata = found.shown();
        let reply = Reply::data(&Subkeys { metadata, subkeys })?;
        Ok(reply.with_status(status))
    }
}
