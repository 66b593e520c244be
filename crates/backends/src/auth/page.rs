//! What the roles or users of a method grant, a page of them.

use keyfold_core::barrier::View;
use keyfold_core::error::Error;
use keyfold_core::ports::auth::Grants;
use keyfold_core::tokens::TokenParams;
use serde::de::DeserializeOwned;

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
