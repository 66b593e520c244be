//! Lists of names, a page of them where a call asks for one.

use keyfold_api::weak;
use keyfold_core::barrier::View;
use keyfold_core::error::Error;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::{self, Reply};
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wish {
    #[serde(deserialize_with = "weak::string")]
    after: Option<String>,
    #[serde(deserialize_with = "weak::int")]
    limit: Option<i64>,
}

/// Answers with the names in a folder, in order.
pub async fn list(view: &View, folder: &str, call: &Call<'_>) -> Result<Reply, Error> {
    let wish: Wish = call.decode()?;
    // Zero and less: no bound.
    let asked = usize::try_from(wish.limit.unwrap_or(0)).unwrap_or(0);
    let limit = match (asked, call.caller.page_limit) {
        (0, bound) => bound.unwrap_or(0),
        (asked, Some(bound)) => asked.min(bound),
        (asked, None) => asked,
    };
    let after = wish.after.unwrap_or_default();
    reply::keys(view.list(folder, &after, limit).await?.names)
}
