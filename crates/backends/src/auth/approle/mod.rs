//! AppRole: programs log in with the id of a role and a secret id.
//!
//! ```text
//!   role/<name>            the role: what it asks for and what it grants
//!   role-id/<h>            the name of the role that has the id
//!   secret/<uid>/<h>       a secret id of a role
//!   accessor/<h>           which secret id an accessor stands for
//!   expire/<secs>-<uid>-<h>  when a secret id ends, in order
//!   gone/<uid>             a role was removed, its secret ids are to go
//!   hmac-key               32 bytes, made with the first role
//! ```
//!
//! `h` is an HMAC under that key: no id that lets somebody in is stored. `uid` is a role's own; one
//! that is made again under an old name has another, so that old secret ids do not come back.
//!
//! A login that is refused tells nothing of why: it has the same answer, and does the same work,
//! whether the role is there or not.

mod fields;
mod login;
mod members;
mod role;
mod roles;
mod secret;
mod secrets;
mod store;
mod tidy;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use keyfold_core::error::{Error, UnsupportedReason};
use keyfold_core::ports::auth::Grants;
use keyfold_core::ports::engine::{
    Call, Dispatch, Engine, EngineKind, Future_, Meant, MountContext, Route,
};
use keyfold_core::request::Op;
use keyfold_core::tokens::{Token, TokenParams};

use self::role::Role;
use self::store::{ROLES, Store};
use super::{name, page};

/// The kind, for the wiring.
pub const KIND: EngineKind = EngineKind {
    name: "approle",
    open,
    remembers: true,
};

/// Opens a mount.
pub fn open(context: MountContext) -> Result<Arc<dyn Dispatch>, Error> {
    Ok(Arc::new(AppRole {
        store: Arc::new(Store::new(context.view, context.clock)),
        tidying: Arc::new(AtomicBool::new(false)),
    }))
}

/// A mount of the method.
struct AppRole {
    store: Arc<Store>,
    /// A tidying runs.
    tidying: Arc<AtomicBool>,
}

type Row = Route<AppRole>;

const ROUTES: &[Row] = &[
    Row::new(Op::Write, "login", "Logs in.", |e, c| Box::pin(e.login(c))).open(),
    Row::new(Op::List, "role", "The names of the roles.", |e, c| {
        Box::pin(e.roles_list(c))
    }),
    Row::new(Op::List, "role/", "The names of the roles.", |e, c| {
        Box::pin(e.roles_list(c))
    }),
    Row::new(Op::Read, "role/{name}", "Reads a role.", |e, c| {
        Box::pin(e.role_read(c))
    }),
    Row::new(
        Op::Write,
        "role/{name}",
        "Makes or changes a role.",
        |e, c| Box::pin(e.role_write(c)),
    )
    .exists(|e, c| Box::pin(e.role_exists(c))),
    Row::new(
        Op::Delete,
        "role/{name}",
        "Removes a role with its secret ids.",
        |e, c| Box::pin(e.role_delete(c)),
    ),
    Row::new(
        Op::Read,
        "role/{name}/role-id",
        "The id that a login names the role by.",
        |e, c| Box::pin(e.role_id_read(c)),
    ),
    Row::new(
        Op::Write,
        "role/{name}/role-id",
        "Gives the role another id.",
        |e, c| Box::pin(e.role_id_write(c)),
    ),
    Row::new(
        Op::Write,
        "role/{name}/secret-id",
        "Makes a secret id.",
        |e, c| Box::pin(e.secret_id_make(c)),
    ),
    Row::new(
        Op::List,
        "role/{name}/secret-id",
        "The accessors of the role's secret ids.",
        |e, c| Box::pin(e.secret_ids_list(c)),
    ),
    Row::new(
        Op::List,
        "role/{name}/secret-id/",
        "The accessors of the role's secret ids.",
        |e, c| Box::pin(e.secret_ids_list(c)),
    ),
    Row::new(
        Op::Write,
        "role/{name}/custom-secret-id",
        "Takes a secret id of the caller's choice.",
        |e, c| Box::pin(e.secret_id_take(c)),
    ),
    Row::new(
        Op::Write,
        "role/{name}/secret-id/lookup",
        "Reads what is known of a secret id.",
        |e, c| Box::pin(e.secret_id_lookup(c)),
    ),
    Row::new(
        Op::Write,
        "role/{name}/secret-id/destroy",
        "Destroys a secret id.",
        |e, c| Box::pin(e.secret_id_destroy(c)),
    ),
    Row::new(
        Op::Delete,
        "role/{name}/secret-id/destroy",
        "Destroys a secret id.",
        |e, c| Box::pin(e.secret_id_destroy(c)),
    ),
    Row::new(
        Op::Write,
        "role/{name}/secret-id-accessor/lookup",
        "Reads what is known of an accessor's secret id.",
        |e, c| Box::pin(e.accessor_lookup(c)),
    ),
    Row::new(
        Op::Write,
        "role/{name}/secret-id-accessor/destroy",
        "Destroys an accessor's secret id.",
        |e, c| Box::pin(e.accessor_destroy(c)),
    ),
    Row::new(
        Op::Delete,
        "role/{name}/secret-id-accessor/destroy",
        "Destroys an accessor's secret id.",
        |e, c| Box::pin(e.accessor_destroy(c)),
    ),
    Row::new(
        Op::Write,
        "tidy/secret-id",
        "Removes secret ids that have expired.",
        |e, c| Box::pin(e.tidy(c)),
    ),
    Row::new(
        Op::Read,
        "role/{name}/{field}",
        "Reads one member of a role.",
        |e, c| Box::pin(e.field_read(c)),
    ),
    Row::new(
        Op::Write,
        "role/{name}/{field}",
        "Changes one member of a role.",
        |e, c| Box::pin(e.field_write(c)),
    ),
    Row::new(
        Op::Delete,
        "role/{name}/{field}",
        "Sets one member of a role back.",
        |e, c| Box::pin(e.field_reset(c)),
    ),
];

impl Engine for AppRole {
    fn routes() -> &'static [Row] {
        ROUTES
    }

    fn invalidate(&self, key: &str) {
        self.store.invalidate(key);
    }

    fn invalidate_all(&self) {
        self.store.invalidate_all();
    }

    fn meant(&self, path: &str) -> Option<Meant> {
        name::meant("role/", path)
    }

    fn attempt(&self, call: &Call<'_>) -> Option<String> {
        login::attempt(call)
    }

    fn renew<'a>(&'a self, token: &'a Token) -> Future_<'a, Result<TokenParams, Error>> {
        Box::pin(self.renewal(token))
    }

    fn grants<'a>(&'a self, after: &'a str, limit: usize) -> Future_<'a, Result<Grants, Error>> {
        let params = |role: Role| role.token;
        Box::pin(page::grants(
            &self.store.view,
            (ROLES, after),
            limit,
            params,
        ))
    }
}

/// The role that a path names; names are folded. What is no name is no path either.
fn role_name(call: &Call<'_>) -> Result<String, Error> {
    name::fold(call.param("name")).ok_or(Error::Unsupported(UnsupportedReason::Path))
}

/// As the wire says it where a role is missing.
fn no_role(name: &str) -> String {
    format!("role \"{name}\" does not exist")
}
