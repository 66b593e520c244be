//! Userpass: people with a name and a password.
//!
//! ```text
//!   user/<name>            the hash of the password, what a login grants
//!   bcrypt/<cost>/<name>   whose hash is of bcrypt: what a refusal has to cost
//! ```
//!
//! Names are folded to lower case when they come in, in paths as in the store.

mod costs;
mod login;
mod password;
#[cfg(test)]
mod tests;
mod user;
mod work;

use std::sync::Arc;

use keyfold_core::barrier::View;
use keyfold_core::error::Error;
use keyfold_core::ports::auth::Grants;
use keyfold_core::ports::engine::{
    Call, Dispatch, Engine, EngineKind, Future_, Meant, MountContext, Route,
};
use keyfold_core::request::Op;
use keyfold_core::tokens::{Token, TokenParams};

use crate::auth::{name, page};

/// `userpass`, as `sys/auth` calls it.
pub const KIND: EngineKind = EngineKind {
    name: "userpass",
    open,
    remembers: false,
};

/// A mount of the method.
struct Userpass {
    view: View,
}

fn open(cx: MountContext) -> Result<Arc<dyn Dispatch>, Error> {
    Ok(Arc::new(Userpass { view: cx.view }))
}

const ROUTES: &[Route<Userpass>] = &[
    Route::new(Op::List, "users", "The names of the users.", |m, c| {
        Box::pin(user::list(&m.view, c))
    }),
    Route::new(Op::List, "users/", "The names of the users.", |m, c| {
        Box::pin(user::list(&m.view, c))
    }),
    Route::new(
        Op::Read,
        "users/{username}",
        "What a user's logins grant.",
        |m, c| Box::pin(user::read(&m.view, c)),
    ),
    Route::new(
        Op::Write,
        "users/{username}",
        "Makes a user, or changes one.",
        |m: &Userpass, c| Box::pin(user::write(&m.view, c)),
    )
    .exists(|m, c| Box::pin(user::exists(&m.view, c))),
    Route::new(Op::Delete, "users/{username}", "Removes a user.", |m, c| {
        Box::pin(user::delete(&m.view, c))
    }),
    Route::new(
        Op::Write,
        "users/{username}/password",
        "A new password.",
        |m, c| Box::pin(user::change_password(&m.view, c)),
    ),
    Route::new(
        Op::Write,
        "users/{username}/policies",
        "Other policies.",
        |m, c| Box::pin(user::change_policies(&m.view, c)),
    ),
    Route::new(
        Op::Write,
        "login/{username}",
        "A token for a password.",
        |m: &Userpass, c| Box::pin(login::login(&m.view, c)),
    )
    .open(),
];

impl Engine for Userpass {
    fn routes() -> &'static [Route<Self>] {
        ROUTES
    }

    fn meant(&self, path: &str) -> Option<Meant> {
        name::meant("users/", path)
    }

    fn attempt(&self, call: &Call<'_>) -> Option<String> {
        let name = call.path.strip_prefix("login/")?;
        user::Name::parse(name).map(user::Name::into_string)
    }

    fn renew<'a>(&'a self, token: &'a Token) -> Future_<'a, Result<TokenParams, Error>> {
        Box::pin(login::renew(&self.view, token))
    }

    fn grants<'a>(&'a self, after: &'a str, limit: usize) -> Future_<'a, Result<Grants, Error>> {
        let params = |of: user::User| of.params;
        Box::pin(page::grants(
            &self.view,
            (user::FOLDER, after),
            limit,
            params,
        ))
    }
}
