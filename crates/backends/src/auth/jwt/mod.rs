//! JWT: whoever brings a token that a trusted issuer has signed.
//!
//! ```text
//!   login ─► token (three parts) ─► keys (static, or fetched) ─► claims (times, bounds) ─► role grants
//! ```
//!
//! Records of the mount's view:
//!
//! | key | holds |
//! |---|---|
//! | `config` | where the keys come from, see [`config`] |
//! | `role/<name>` | whom to let in, and what they get, see [`role`] |
//!
//! The browser's flow of OIDC is not offered: its settings are taken and shown, its paths refuse.

mod bound;
mod claims;
mod config;
mod jwks;
mod keys;
mod login;
mod role;
mod signature;
mod template;
#[cfg(test)]
mod tests;
mod token;

use std::sync::Arc;

use keyfold_core::barrier::View;
use keyfold_core::error::Error;
use keyfold_core::ports::auth::Grants;
use keyfold_core::ports::engine::{
    Call, Dispatch, Engine, EngineKind, Future_, Meant, MountContext, Route,
};
use keyfold_core::reply::Reply;
use keyfold_core::request::Op;
use keyfold_core::tokens::{Token, TokenParams};

use self::keys::Keys;
use crate::auth::{name, page};

/// `jwt`, as `sys/auth` calls it.
pub const KIND: EngineKind = EngineKind {
    name: "jwt",
    open,
    remembers: true,
};

/// The same method by its other name.
pub const OIDC: EngineKind = EngineKind {
    name: "oidc",
    open,
    remembers: true,
};

/// A mount of the method.
struct Jwt {
    view: View,
    keys: Keys,
}

fn open(cx: MountContext) -> Result<Arc<dyn Dispatch>, Error> {
    Ok(Arc::new(Jwt {
        keys: Keys::new(cx.view.clone(), cx.fetch, cx.clock),
        view: cx.view,
    }))
}

const ROUTES: &[Route<Jwt>] = &[
    Route::new(Op::Read, "config", "Where the keys come from.", |m, _| {
        Box::pin(config::read(m))
    }),
    Route::new(
        Op::Write,
        "config",
        "Says where the keys come from.",
        |m: &Jwt, c| Box::pin(config::write(m, c)),
    ),
    Route::new(Op::List, "role", "The names of the roles.", |m, c| {
        Box::pin(role::list(&m.view, c))
    }),
    Route::new(Op::List, "role/", "The names of the roles.", |m, c| {
        Box::pin(role::list(&m.view, c))
    }),
    Route::new(Op::Read, "role/{name}", "Reads a role.", |m, c| {
        Box::pin(role::read(&m.view, c))
    }),
    Route::new(
        Op::Write,
        "role/{name}",
        "Makes a role, or changes one.",
        |m: &Jwt, c| Box::pin(role::write(&m.view, c)),
    )
    .exists(|m, c| Box::pin(role::exists(&m.view, c))),
    Route::new(Op::Delete, "role/{name}", "Removes a role.", |m, c| {
        Box::pin(role::delete(&m.view, c))
    }),
    Route::new(Op::Write, "login", "A token for a JWT.", |m: &Jwt, c| {
        Box::pin(login::login(m, c))
    })
    .open(),
    Route::new(Op::Write, "oidc/auth_url", "Not offered.", |_, c| {
        Box::pin(async { no_browser(c) })
    })
    .open(),
    Route::new(Op::Read, "oidc/callback", "Not offered.", |_, c| {
        Box::pin(async { no_browser(c) })
    })
    .open(),
    Route::new(Op::Write, "oidc/callback", "Not offered.", |_, c| {
        Box::pin(async { no_browser(c) })
    })
    .open(),
    Route::new(Op::Write, "oidc/poll", "Not offered.", |_, c| {
        Box::pin(async { no_browser(c) })
    })
    .open(),
];

fn no_browser(call: &Call<'_>) -> Result<Reply, Error> {
    call.note_unknown(Vec::new());
    Err(Error::bad(
        "the browser flow of OIDC is not offered by this version of the server; log in with a JWT",
    ))
}

impl Engine for Jwt {
    fn routes() -> &'static [Route<Self>] {
        ROUTES
    }

    fn invalidate(&self, key: &str) {
        if key == config::KEY {
            self.keys.forget();
        }
    }

    fn invalidate_all(&self) {
        self.keys.forget();
    }

    fn meant(&self, path: &str) -> Option<Meant> {
        name::meant("role/", path)
    }

    fn renew<'a>(&'a self, token: &'a Token) -> Future_<'a, Result<TokenParams, Error>> {
        Box::pin(login::renew(&self.view, token))
    }

    fn grants<'a>(&'a self, after: &'a str, limit: usize) -> Future_<'a, Result<Grants, Error>> {
        let params = |of: role::Role| of.params;
        Box::pin(page::grants(
            &self.view,
            (role::FOLDER, after),
            limit,
            params,
        ))
    }
}
