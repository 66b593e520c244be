//! `auth/token/`: the table, and what its handlers have in common.

mod create;
mod lookup;
mod policies;
mod renew;
mod revoke;
mod roles;

use std::sync::Arc;

use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use keyfold_secret::Secret;
use serde::Deserialize;

use super::record::Token;
use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::ports::engine::{Call, Engine, Route};
use crate::request::Op;

/// The token auth method, over an open vault.
pub struct TokenAuth(pub Arc<Unsealed>);

impl Engine for TokenAuth {
    fn routes() -> &'static [Route<Self>] {
        type Row = Route<TokenAuth>;
        static ROUTES: &[Row] = &[
            Row::new(Op::Write, "create", "Makes a token.", |t, c| {
                Box::pin(t.create(c, false))
            }),
            Row::new(
                Op::Write,
                "create/{role}",
                "Makes a token by the rules of a role.",
                |t, c| Box::pin(t.create(c, false)),
            ),
            Row::new(
                Op::Write,
                "create-orphan",
                "Makes a token without a parent.",
                |t, c| Box::pin(t.create(c, true)),
            ),
            Row::new(
                Op::Read,
                "lookup-self",
                "Describes the caller's token.",
                |t, c| Box::pin(t.lookup_self(c)),
            ),
            Row::new(
                Op::Write,
                "lookup-self",
                "Describes the caller's token.",
                |t, c| Box::pin(t.lookup_self(c)),
            ),
            Row::new(Op::Read, "lookup", "Describes a token.", |t, c| {
                Box::pin(t.lookup(c))
            }),
            Row::new(Op::Write, "lookup", "Describes a token.", |t, c| {
                Box::pin(t.lookup(c))
            }),
            Row::new(
                Op::Write,
                "lookup-accessor",
                "Describes an accessor's token.",
                |t, c| Box::pin(t.lookup_accessor(c)),
            ),
            Row::new(
                Op::Write,
                "renew-self",
                "Prolongs the caller's token.",
                |t, c| Box::pin(t.renew_self(c)),
            ),
            Row::new(Op::Write, "renew", "Prolongs a token.", |t, c| {
                Box::pin(t.renew(c))
            }),
            Row::new(
                Op::Write,
                "renew-accessor",
                "Prolongs an accessor's token.",
                |t, c| Box::pin(t.renew_accessor(c)),
            ),
            Row::new(
                Op::Write,
                "revoke-self",
                "Revokes the caller's token.",
                |t, c| Box::pin(t.revoke_self(c)),
            ),
            Row::new(
                Op::Write,
                "revoke",
                "Revokes a token and its tree.",
                |t, c| Box::pin(t.revoke(c)),
            ),
            Row::new(
                Op::Write,
                "revoke-accessor",
                "Revokes an accessor's token.",
                |t, c| Box::pin(t.revoke_accessor(c)),
            ),
            Row::new(
                Op::Write,
                "revoke-orphan",
                "Revokes a token, not its tree.",
                |t, c| Box::pin(t.revoke_orphan(c)),
            )
            .sudo(),
            Row::new(Op::List, "accessors", "Lists all accessors.", |t, c| {
                Box::pin(t.accessors(c))
            })
            .sudo(),
            Row::new(Op::List, "accessors/", "Lists all accessors.", |t, c| {
                Box::pin(t.accessors(c))
            })
            .sudo(),
            Row::new(
                Op::Write,
                "tidy",
                "Clears what points at no token.",
                |t, _| Box::pin(t.tidy()),
            )
            .sudo(),
            Row::new(Op::List, "roles", "Lists the roles.", |t, c| {
                Box::pin(t.roles(c))
            }),
            Row::new(Op::List, "roles/", "Lists the roles.", |t, c| {
                Box::pin(t.roles(c))
            }),
            Row::new(Op::Read, "roles/{role}", "Reads a role.", |t, c| {
                Box::pin(t.role_read(c))
            }),
            Row::new(Op::Write, "roles/{role}", "Writes a role.", |t, c| {
                Box::pin(t.role_write(c))
            })
            .exists(|t, c| Box::pin(t.role_exists(c))),
            Row::new(Op::Delete, "roles/{role}", "Removes a role.", |t, c| {
                Box::pin(t.role_delete(c))
            }),
        ];
        ROUTES
    }
}

#[derive(Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "weak::secret_string")]
    token: Option<Secret<String>>,
    #[serde(default, deserialize_with = "weak::duration")]
    increment: Option<Seconds>,
}

#[derive(Deserialize)]
struct ByAccessor {
    #[serde(default, deserialize_with = "weak::string")]
    accessor: Option<String>,
    #[serde(default, deserialize_with = "weak::duration")]
    increment: Option<Seconds>,
}

fn secs(of: Option<Seconds>) -> u64 {
    of.and_then(|s| u64::try_from(s.0).ok()).unwrap_or(0)
}

impl TokenAuth {
    async fn of_accessor(&self, call: &Call<'_>) -> Result<(Arc<Token>, u64), Error> {
        let asked = call.decode::<ByAccessor>()?;
        let accessor = missing_accessor(asked.accessor)?;
        let token = self.0.tokens.by_accessor(&accessor).await?;
        let token =
            token.ok_or_else(|| Error::bad(keyfold_api::error::multi("invalid accessor")))?;
        Ok((token, secs(asked.increment)))
    }
}

fn missing_token(text: Option<Secret<String>>) -> Result<Secret<String>, Error> {
    text.filter(|t| !t.expose().is_empty())
        .ok_or_else(|| Error::bad("missing token ID"))
}

fn missing_accessor(accessor: Option<String>) -> Result<String, Error> {
    accessor
        .filter(|a| !a.is_empty())
        .ok_or_else(|| Error::bad(keyfold_api::error::multi("missing accessor")))
}
