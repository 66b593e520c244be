//! A merge-patch of `data/`: the newest version with some members changed becomes a new one.

use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;

use super::data::{self, Given};
use super::tree::Tree;
use super::{Kv, path};

impl Kv {
    /// A secret that is not there is a 404 without a body, a deleted one says what was there.
    pub(super) async fn data_patch(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let path = path::written(call)?;
        let Given { data, cas } = data::given(call)?;
        // Null would take the whole secret away, which is what nobody means by it.
        let data = data.ok_or_else(|| Error::field("data", "must be a JSON object"))?;
        let patch = Tree::parse(data.get()).ok_or(Error::Bug("a body that is no JSON"))?;
        if patch.is_cut() {
            return Err(Error::field("data", "is nested too deep for a patch"));
        }
        let config = self.config().await?;
        let view = self.view().await?;
        view.change(path, || async {
            let (found, revision) = match self.at(path, 0, self.clock.now()).await {
                Err(Error::NotFound) => return Ok(Reply::none().with_status(404)),
                found => found?,
            };
            data::check(cas, &config, &found.secret)?;
            let Some(json) = found.json(path)? else {
                return Ok(Reply::data(&found.shown())?.with_status(404));
            };
            let patched = keyfold_core::barrier::json(&found.tree(path, json)?.patched(&patch))?;
            let read = Some((found.secret, revision));
            self.add(path, read, &config, patched).await
        })
        .await
    }
}
