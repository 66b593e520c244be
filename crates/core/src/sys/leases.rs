//! `sys/leases/`: tokens with an end, by the paths that made them.

use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use serde::{Deserialize, Serialize};

use super::{Row, System};
use crate::clock::Time;
use crate::error::Error;
use crate::policy::{JsonParams, Operation};
use crate::ports::engine::Call;
use crate::reply::{self, Reply};
use crate::request::Op;
use crate::tokens::Token;

/// The rows of this topic. The second of two paths is what old clients call it.
pub(super) fn rows() -> Vec<Row> {
    let renew = |pattern| {
        Row::new(Op::Write, pattern, "Prolongs a lease.", |s, c| {
            Box::pin(s.lease_renew(c))
        })
    };
    let revoke = |pattern| {
        Row::new(Op::Write, pattern, "Ends a lease.", |s, c| {
            Box::pin(s.lease_revoke(c))
        })
    };
    let below = |pattern| {
        Row::new(
            Op::Write,
            pattern,
            "Ends the leases below a path.",
            |s, c| Box::pin(s.leases_revoke_below(c)),
        )
        .sudo()
    };
    let list = |pattern| {
        Row::new(
            Op::List,
            pattern,
            "Lists the leases below a path.",
            |s, c| Box::pin(s.leases_list(c)),
        )
        .sudo()
    };
    vec![
        Row::new(Op::Write, "leases/lookup", "Describes a lease.", |s, c| {
            Box::pin(s.lease_lookup(c))
        }),
        list("leases/lookup"),
        list("leases/lookup/{prefix...}"),
        renew("leases/renew"),
        renew("leases/renew/{id...}"),
        renew("renew"),
        renew("renew/{id...}"),
        revoke("leases/revoke"),
        revoke("leases/revoke/{id...}"),
        revoke("revoke"),
        revoke("revoke/{id...}"),
        below("leases/revoke-prefix/{prefix...}"),
        below("leases/revoke-force/{prefix...}"),
        below("revoke-prefix/{prefix...}"),
        below("revoke-force/{prefix...}"),
        Row::new(
            Op::Write,
            "leases/tidy",
            "Clears what points at no lease.",
            |s, _| Box::pin(s.leases_tidy()),
        )
        .sudo(),
        Row::new(
            Op::Read,
            "leases/count",
            "Counts leases that can't be revoked.",
            |s, c| Box::pin(s.leases_count(c)),
        ),
        Row::new(
            Op::Read,
            "leases",
            "Lists leases that can't be revoked.",
            |s, c| Box::pin(s.leases_irrevocable(c)),
        ),
    ]
}

#[derive(Deserialize)]
struct Named {
    #[serde(default, deserialize_with = "weak::string")]
    lease_id: Option<String>,
    /// The old name of the path's parameter.
    #[serde(default, deserialize_with = "weak::string")]
    url_lease_id: Option<String>,
    #[serde(default, deserialize_with = "weak::duration")]
    #[expect(dead_code, reason = "read so that a wrong one is refused")]
    increment: Option<Seconds>,
    #[serde(default, deserialize_with = "weak::boolean")]
    #[expect(dead_code, reason = "one lease always ends before the answer")]
    sync: Option<bool>,
}

#[derive(Deserialize)]
struct Below {
    #[serde(default, deserialize_with = "weak::boolean")]
    sync: Option<bool>,
}

#[derive(Deserialize)]
struct Which {
    #[serde(default, rename = "type", deserialize_with = "weak::string")]
    kind: Option<String>,
}

#[derive(Serialize)]
struct Lease<'a> {
    expire_time: Option<String>,
    id: &'a str,
    issue_time: String,
    last_renewal: Option<String>,
    path: &'a str,
    renewable: bool,
    ttl: u64,
}

impl System {
    async fn lease_lookup(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let id = lease_id(call)?;
        let token = self.vault.tokens.leased(&id).await?;
        self.permit_lease(call, token.as_deref()).await?;
        let token = token.ok_or_else(|| Error::bad("invalid lease"))?;
        Reply::data(&Lease {
            expire_time: token.expires.map(Time::rfc3339),
            id: &id,
            issue_time: token.created.rfc3339(),
            last_renewal: token.renewed.map(Time::rfc3339),
            path: &token.path,
            renewable: token.renewable,
            ttl: token.ttl(call.now),
        })
    }

    /// Tokens are the only leases there are, and have their own way to be renewed.
    async fn lease_renew(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let id = lease_id(call)?;
        let token = self.vault.tokens.leased(&id).await?;
        self.permit_lease(call, token.as_deref()).await?;
        Err(Error::bad(match token {
            Some(_) => "tokens cannot be renewed through this endpoint",
            None => "lease not found",
        }))
    }

    async fn lease_revoke(&self, call: &Call<'_>) -> Result<Reply, Error> {
        self.vault.tokens.revoke_lease(&lease_id(call)?).await?;
        Ok(Reply::none())
    }

    async fn leases_list(&self, call: &Call<'_>) -> Result<Reply, Error> {
        reply::keys(self.vault.tokens.leases(call.param("prefix")).await?)
    }

    async fn leases_revoke_below(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let sync = call.decode::<Below>()?.sync.unwrap_or(false);
        let prefix = call.param("prefix");
        if prefix.trim_matches('/').is_empty() {
            return Err(Error::field("prefix", "names no path"));
        }
        self.vault.tokens.revoke_below(prefix, sync).await?;
        Ok(Reply::none())
    }

    async fn leases_tidy(&self) -> Result<Reply, Error> {
        Ok(self.vault.tokens.ask_tidy())
    }

    /// Nothing outside has to agree to the end of a token: none is irrevocable.
    async fn leases_count(&self, call: &Call<'_>) -> Result<Reply, Error> {
        irrevocable(call)?;
        Reply::data(&serde_json::json!({"counts": {}, "lease_count": 0}))
    }

    async fn leases_irrevocable(&self, call: &Call<'_>) -> Result<Reply, Error> {
        irrevocable(call)?;
        Reply::data(&serde_json::json!({"lease_count": 0, "leases": []}))
    }

    /// The policy `default` lets a token look at its leases, but a path can't say whose a lease is.
    /// So what `default` alone allows is allowed for one's own: of the token itself, or of one that
    /// it made. Whether the lease is there is told to nobody else.
    async fn permit_lease(&self, call: &Call<'_>, lease: Option<&Token>) -> Result<(), Error> {
        let caller = call.caller.token()?;
        let own = lease.is_some_and(|lease| {
            lease.hash == caller.hash || lease.parent.as_ref() == Some(&caller.hash)
        });
        if own || caller.is_root() {
            return Ok(());
        }
        let mut others = (**caller).clone();
        let rest = caller.policies.iter().filter(|name| *name != "default");
        others.policies = rest.cloned().collect();
        let acl = self.vault.acl(&others).await?;
        let params = JsonParams(call.body.bytes());
        acl.check(call.full_path, Operation::Update, &params)
            .map(|_| ())
            .map_err(|_| Error::Denied)
    }
}

/// The lease that the path or the body names.
fn lease_id(call: &Call<'_>) -> Result<String, Error> {
    let named = call.decode::<Named>()?;
    let in_path = Some(call.param("id").to_owned());
    [in_path, named.lease_id, named.url_lease_id]
        .into_iter()
        .flatten()
        .find(|id| !id.is_empty())
        .ok_or_else(|| Error::bad("lease_id must be specified"))
}

fn irrevocable(call: &Call<'_>) -> Result<(), Error> {
    match call.decode::<Which>()?.kind.as_deref() {
        Some("irrevocable") => Ok(()),
        _ => Err(Error::NotFound),
    }
}
