//! The record of a user, and the calls that change it.

use keyfold_api::weak;
use keyfold_core::barrier::{View, json};
use keyfold_core::error::{Error, UnsupportedReason};
use keyfold_core::ports::engine::Call;
use keyfold_core::ports::storage::{Batch, Revision};
use keyfold_core::reply::Reply;
use keyfold_core::tokens::TokenParams;
use keyfold_secret::Secret;
use serde::{Deserialize, Serialize};

use super::costs;
use super::password::{Hash, Password};
use crate::auth::former::{FormerView, GrantMembers, Shown};
use crate::auth::name;

pub(super) const FOLDER: &str = "user/";

/// What is stored of a user at `user/<name>`.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct User {
    password: Hash,
    /// What a login grants.
    #[serde(flatten)]
    pub(super) params: TokenParams,
    #[serde(default)]
    shown: Shown,
}

/// A user as it was read.
pub(super) type Read = (User, Revision);

/// A user's name, folded: `Ann` and `ann` are one.
pub(super) struct Name(String);

#[derive(Deserialize, Default)]
#[serde(default)]
struct PasswordMembers {
    #[serde(deserialize_with = "weak::secret_string")]
    password: Option<Secret<String>>,
    #[serde(deserialize_with = "weak::string")]
    password_hash: Option<String>,
}

#[derive(Serialize)]
struct UserView<'a> {
    #[serde(flatten)]
    former: FormerView<'a>,
    #[serde(flatten)]
    token: &'a TokenParams,
}

impl Name {
    /// The user that a path names. What can't be a name is no path of this method.
    pub(super) fn of(call: &Call<'_>) -> Result<Self, Error> {
        Self::parse(call.param("username")).ok_or(Error::Unsupported(UnsupportedReason::Path))
    }

    /// Of a text that can be a name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        name::fold(text).map(Self)
    }

    /// The folded text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The folded text, to be kept.
    pub(super) fn into_string(self) -> String {
        self.0
    }

    fn key(&self) -> String {
        format!("{FOLDER}{}", self.0)
    }
}

impl PasswordMembers {
    fn given(&self) -> bool {
        let filled = |text: &str| !text.is_empty();
        self.password.as_ref().is_some_and(|p| filled(p.expose()))
            || self.password_hash.as_deref().is_some_and(filled)
    }

    /// The hash that is to be stored.
    async fn hash(self) -> Result<Hash, Error> {
        let password = self.password.filter(|p| !p.expose().is_empty());
        let hash = self.password_hash.filter(|text| !text.is_empty());
        match (password, hash) {
            (Some(_), Some(_)) => Err(Error::bad(
                "only one of password or password_hash may be provided",
            )),
            (Some(text), None) => Password::new(text)?.hash().await,
            (None, Some(text)) => Hash::bcrypt(text),
            (None, None) => Err(no_password()),
        }
    }
}

impl User {
    fn new(password: Hash) -> Self {
        Self {
            password,
            params: TokenParams::default(),
            shown: Shown::new(),
        }
    }

    fn take_grant(&mut self, members: GrantMembers) -> Result<(), Error> {
        self.params = members.apply(&self.params, &mut self.shown)?;
        Ok(())
    }

    /// Writes the record, if what was read still is the one that is there.
    async fn store(&self, view: &View, name: &Name, read: Option<&Read>) -> Result<(), Error> {
        let key = name.key();
        let mut batch = Batch::new().put(key.clone(), json(self)?);
        let left = read.and_then(|(old, _)| old.place(name));
        let place = self.place(name);
        batch
            .deletes
            .extend(left.filter(|left| place.as_ref() != Some(left)));
        if let Some(place) = place {
            batch = batch.put(place, Vec::new());
        }
        let batch = match read {
            Some((_, revision)) => batch.unchanged(key, *revision),
            None => batch.absent(key),
        };
        view.commit(batch).await.map(|_| ())
    }

    /// Where it stands among those with a bcrypt hash.
    fn place(&self, name: &Name) -> Option<String> {
        let cost = self.password.cost()?;
        Some(costs::place(cost, name.as_str()))
    }

    /// The hash of the password, to check one against.
    pub(super) fn hash(&self) -> Hash {
        self.password.clone()
    }

    /// The user of a name.
    pub(super) async fn find(view: &View, name: &Name) -> Result<Option<Read>, Error> {
        view.read(&name.key()).await
    }
}

fn no_password() -> Error {
    Error::bad("must provide either password or password_hash")
}

/// Whether a write of a user changes one that is there.
pub(super) async fn exists(view: &View, call: &Call<'_>) -> Result<bool, Error> {
    match Name::parse(call.param("username")) {
        Some(name) => Ok(User::find(view, &name).await?.is_some()),
        None => Ok(false),
    }
}

/// `LIST users`.
pub(super) async fn list(view: &View, call: &Call<'_>) -> Result<Reply, Error> {
    call.list(view, FOLDER).await
}

/// `GET users/{username}`.
pub(super) async fn read(view: &View, call: &Call<'_>) -> Result<Reply, Error> {
    let name = Name::of(call)?;
    let (user, _) = User::find(view, &name).await?.ok_or(Error::NotFound)?;
    Reply::data(&UserView {
        former: FormerView::new(&user.params, &user.shown),
        token: &user.params,
    })
}

/// `PUT users/{username}`: makes a user, or changes what is given.
pub(super) async fn write(view: &View, call: &Call<'_>) -> Result<Reply, Error> {
    let name = Name::of(call)?;
    let (password, _) = GrantMembers::decode::<PasswordMembers>(call)?;
    // Before the turn is taken: a hash takes its time.
    let hash = match password.given() {
        true => Some(password.hash().await?),
        false => None,
    };
    let change = || async {
        let read = User::find(view, &name).await?;
        let mut user = match &read {
            Some((user, _)) => user.clone(),
            None => User::new(hash.clone().ok_or_else(no_password)?),
        };
        if let Some(hash) = &hash {
            user.password.clone_from(hash);
        }
        user.take_grant(GrantMembers::decode::<PasswordMembers>(call)?.1)?;
        user.store(view, &name, read.as_ref()).await?;
        Ok(user)
    };
    let user = view.change(&name.key(), change).await?;
    Ok(Reply::none().granting(&user.params))
}

/// `PUT users/{username}/password`.
pub(super) async fn change_password(view: &View, call: &Call<'_>) -> Result<Reply, Error> {
    let hash = call.decode::<PasswordMembers>()?.hash().await?;
    update(view, call, |user| {
        user.password.clone_from(&hash);
        Ok(())
    })
    .await
}

/// `PUT users/{username}/policies`.
pub(super) async fn change_policies(view: &View, call: &Call<'_>) -> Result<Reply, Error> {
    update(view, call, |user| {
        user.take_grant(GrantMembers::policies(call)?)
    })
    .await
}

/// Changes a user who is there.
async fn update(
    view: &View,
    call: &Call<'_>,
    change: impl Fn(&mut User) -> Result<(), Error>,
) -> Result<Reply, Error> {
    let name = Name::of(call)?;
    let attempt = || async {
        let missing = || Error::bad("username does not exist");
        let read = User::find(view, &name).await?.ok_or_else(missing)?;
        let mut user = read.0.clone();
        change(&mut user)?;
        user.store(view, &name, Some(&read)).await
    };
    view.change(&name.key(), attempt).await?;
    Ok(Reply::none())
}

/// `DELETE users/{username}`. One who is not there is no error.
pub(super) async fn delete(view: &View, call: &Call<'_>) -> Result<Reply, Error> {
    let name = Name::of(call)?;
    let key = name.key();
    let attempt = || async {
        let Some((user, revision)) = User::find(view, &name).await? else {
            return Ok(());
        };
        let mut batch = Batch::new().unchanged(&key, revision).delete(&key);
        batch.deletes.extend(user.place(&name));
        view.commit(batch).await.map(|_| ())
    };
    view.change(&key, attempt).await?;
    Ok(Reply::none())
}

/// Puts a hash of our own in the place of the bcrypt hash that a login was checked against.
pub(super) async fn renew_hash(
    view: &View,
    name: &Name,
    read: &Read,
    hash: Hash,
) -> Result<(), Error> {
    let mut user = read.0.clone();
    user.password = hash;
    match user.store(view, name, Some(read)).await {
        // Changed since: the new password stands.
        Err(error) if error.is_conflict() => Ok(()),
        done => done,
    }
}
