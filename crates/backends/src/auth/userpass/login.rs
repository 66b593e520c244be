//! Logging in with a name and a password.

use std::collections::BTreeMap;

use keyfold_api::weak;
use keyfold_core::barrier::View;
use keyfold_core::error::Error;
use keyfold_core::policies;
use keyfold_core::ports::auth::Login;
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_core::tokens::{Token, TokenParams};
use keyfold_secret::Secret;
use serde::Deserialize;

use super::costs;
use super::password::{Checked, Password};
use super::user::{self, Name, User};

/// What a login's token remembers, and shows.
const USERNAME: &str = "username";

#[derive(Deserialize, Default)]
#[serde(default)]
struct LoginMembers {
    #[serde(deserialize_with = "weak::secret_string")]
    password: Option<Secret<String>>,
}

/// `PUT login/{username}`. A wrong password and an unknown name get the same answer after the same
/// work.
pub(super) async fn login(view: &View, call: &Call<'_>) -> Result<Reply, Error> {
    // In the words of the wire for paths that need no token.
    let no_name = || Error::NotFoundBecause("unsupported path".to_owned());
    let name = Name::parse(call.param("username")).ok_or_else(no_name)?;
    let given = call.decode::<LoginMembers>()?.password;
    let given = given.filter(|text| !text.expose().is_empty());
    let password = Password::new(given.ok_or_else(|| Error::bad("missing password"))?)?;
    let found = User::find(view, &name).await?;
    let hash = found.as_ref().map(|(user, _)| user.hash());
    let dearest = costs::dearest(view).await?;
    let checked = password.matches(hash, dearest).await?;
    let (Some(found), Checked::Right | Checked::RightByBcrypt(_)) = (found, &checked) else {
        return Err(Error::Unproven("invalid username or password"));
    };
    if let Checked::RightByBcrypt(password) = checked {
        let hash = password.hash().await?;
        user::renew_hash(view, &name, &found, hash).await?;
    }
    let username = BTreeMap::from([(USERNAME.to_owned(), name.as_str().to_owned())]);
    Ok(Reply::login(Login {
        alias: name.as_str().to_owned(),
        alias_metadata: BTreeMap::new(),
        groups: Vec::new(),
        display_name: name.as_str().to_owned(),
        metadata: username.clone(),
        internal: username,
        params: found.0.params,
    }))
}

/// What a token of a login may have by now: nothing more when the user is gone, or has other
/// policies.
pub(super) async fn renew(view: &View, token: &Token) -> Result<TokenParams, Error> {
    let name = token.internal.get(USERNAME).and_then(Name::parse);
    let name = name.ok_or(Error::Bug("a token of userpass without a name"))?;
    let gone = || Error::bad("the user who logged in does not exist any more, not renewing");
    let (user, _) = User::find(view, &name).await?.ok_or_else(gone)?;
    let params = user.params;
    if policies::granted(&params.policies, !params.no_default_policy) != *token.policies {
        return Err(Error::bad("policies have changed, not renewing"));
    }
    Ok(params)
}
