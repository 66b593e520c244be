//! Lists of names, a page of them where a call asks for one.

use keyfold_api::weak;
use keyfold_core::barrier::View;
use keyfold_core::error::Error;
use keyfold_core::ports::auth::Grants;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::{self, Reply};
use keyfold_core::tokens::TokenParams;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Which page of a list is wished for.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Wish {
    /// The name before the page; none: the page is the first.
    #[serde(deserialize_with = "weak::string")]
    pub after: Option<String>,
    #[serde(deserialize_with = "weak::int")]
    limit: Option<i64>,
}

impl Wish {
    /// Names that the page may hold, within what the caller's policy lets a list have; zero: no
    /// bound.
    pub fn limit(&self, call: &Call<'_>) -> usize {
        // Zero and less: no bound.
        let asked = usize::try_from(self.limit.unwrap_or(0)).unwrap_or(0);
        match (asked, call.caller.page_limit) {
            (0, bound) => bound.unwrap_or(0),
            (asked, Some(bound)) => asked.min(bound),
            (asked, None) => asked,
        }
    }
}

/// What the roles or users in a folder grant, a page of them; `params` takes it from a record.
pub async fn grants<R: DeserializeOwned>(
    view: &View,
    (folder, after): (&str, &str),
    limit: usize,
    params: impl Fn(R) -> TokenParams,
) -> Result<Grants, Error> {
    let page = view.list(folder, after, limit).await?;
    let mut grants = Vec::with_capacity(page.names.len());
    for name in &page.names {
        // One that was removed since the listing is no error.
        if let Some((record, _)) = view.read::<R>(&format!("{folder}{name}")).await? {
            grants.push((name.clone(), params(record)));
        }
    }
    let next = page.names.into_iter().next_back().filter(|_| page.more);
    Ok(Grants { grants, next })
}

/// Answers with the names in a folder, in order.
pub async fn list(view: &View, folder: &str, call: &Call<'_>) -> Result<Reply, Error> {
    let wish: Wish = call.decode()?;
    let limit = wish.limit(call);
    let after = wish.after.unwrap_or_default();
    reply::keys(view.list(folder, &after, limit).await?.names)
}
