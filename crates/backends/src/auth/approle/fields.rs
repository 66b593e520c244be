//! One member of a role: `role/:name/secret-id-ttl` and its like. A caller who may change one
//! member changes no other, whatever the body holds.

use std::collections::BTreeMap;

use keyfold_core::barrier::json;
use keyfold_core::error::{Error, UnsupportedReason};
use keyfold_core::ports::engine::Call;
use keyfold_core::reply::Reply;
use keyfold_core::request::Body;
use serde::Serialize;
use serde_json::value::RawValue;

use super::members::Members;
use super::role::Role;
use super::roles::some;
use super::{AppRole, role_name};

/// A member that has a path of its own.
struct Field {
    /// The last segment of the path.
    path: &'static str,
    /// The member.
    member: &'static str,
    /// What the wire calls it where it is missing.
    called: &'static str,
    /// Its old name, taken too.
    old: Option<&'static str>,
    /// As it is read.
    show: fn(&Role) -> Result<Reply, Error>,
    /// Sets it back.
    reset: fn(&mut Role),
}

static FIELDS: &[Field] = &[
    Field {
        path: "policies",
        member: "token_policies",
        called: "token_policies",
        old: Some("policies"),
        show: |r| {
            let old = r.old_policies.then_some(("policies", &r.token.policies));
            shown(
                [("token_policies", &r.token.policies)]
                    .into_iter()
                    .chain(old),
            )
        },
        reset: |r| {
            r.token.policies.clear();
            r.old_policies = false;
        },
    },
    // The wire never tells a value under this name; what is written goes to the next one.
    Field {
        path: "bound-cidr-list",
        member: "bound_cidr_list",
        called: "bound_cidr_list",
        old: None,
        show: |_| {
            Ok(shown([("bound_cidr_list", ())])?.warn(
                "The \"bound_cidr_list\" field is deprecated and will be removed. Please use \
                 \"secret_id_bound_cidrs\" instead.",
            ))
        },
        reset: |_| {},
    },
    Field {
        path: "secret-id-bound-cidrs",
        member: "secret_id_bound_cidrs",
        called: "secret_id_bound_cidrs",
        old: None,
        show: |r| shown([("secret_id_bound_cidrs", some(&r.secret_id_bound_cidrs))]),
        reset: |r| r.secret_id_bound_cidrs.clear(),
    },
    Field {
        path: "token-bound-cidrs",
        member: "token_bound_cidrs",
        called: "token_bound_cidrs",
        old: None,
        show: |r| shown([("token_bound_cidrs", some(&r.token.bound_cidrs))]),
        reset: |r| r.token.bound_cidrs.clear(),
    },
    Field {
        path: "bind-secret-id",
        member: "bind_secret_id",
        called: "bind_secret_id",
        old: None,
        show: |r| shown([("bind_secret_id", r.bind_secret_id)]),
        reset: |r| r.bind_secret_id = true,
    },
    Field {
        path: "secret-id-num-uses",
        member: "secret_id_num_uses",
        called: "secret_id_num_uses",
        old: None,
        show: |r| shown([("secret_id_num_uses", r.secret_id_num_uses)]),
        reset: |r| r.secret_id_num_uses = 0,
    },
    Field {
        path: "secret-id-ttl",
        member: "secret_id_ttl",
        called: "secret_id_ttl",
        old: None,
        show: |r| shown([("secret_id_ttl", r.secret_id_ttl)]),
        reset: |r| r.secret_id_ttl = 0,
    },
    Field {
        path: "period",
        member: "token_period",
        called: "period",
        old: Some("period"),
        show: |r| {
            let old = r.old_period.then_some(("period", r.token.period));
            shown([("token_period", r.token.period)].into_iter().chain(old))
        },
        reset: |r| {
            r.token.period = 0;
            r.old_period = false;
        },
    },
    Field {
        path: "token-num-uses",
        member: "token_num_uses",
        called: "token_num_uses",
        old: None,
        show: |r| shown([("token_num_uses", r.token.num_uses)]),
        reset: |r| r.token.num_uses = 0,
    },
    Field {
        path: "token-ttl",
        member: "token_ttl",
        called: "token_ttl",
        old: None,
        show: |r| shown([("token_ttl", r.token.ttl)]),
        reset: |r| r.token.ttl = 0,
    },
    Field {
        path: "token-max-ttl",
        member: "token_max_ttl",
        called: "token_max_ttl",
        old: None,
        show: |r| shown([("token_max_ttl", r.token.max_ttl)]),
        reset: |r| r.token.max_ttl = 0,
    },
];

impl AppRole {
    pub(super) async fn field_read(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let show: fn(&Role) -> Result<Reply, Error> = match call.param("field") {
            // Told once, when the role is made.
            "local-secret-ids" => |r: &Role| shown([("local_secret_ids", r.local_secret_ids)]),
            _ => field(call)?.show,
        };
        let stored = self.store.role(&role_name(call)?).await?;
        let (role, _) = stored.ok_or(Error::NotFound)?;
        show(&role)
    }

    pub(super) async fn field_write(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let field = field(call)?;
        let body = only(call, field)?;
        self.role_change(call, |role| {
            Members::only(&body)?.apply(role, false)?;
            Ok(())
        })
        .await
    }

    pub(super) async fn field_reset(&self, call: &Call<'_>) -> Result<Reply, Error> {
        let field = field(call)?;
        let reset = self.role_change(call, |role| {
            (field.reset)(role);
            Ok(())
        });
        match reset.await {
            // Without the role there is nothing to set back.
            Err(Error::Unsupported(_)) => Ok(Reply::none()),
            other => other,
        }
    }
}

/// The member that a path means.
fn field(call: &Call<'_>) -> Result<&'static Field, Error> {
    let path = call.param("field");
    let found = FIELDS.iter().find(|field| field.path == path);
    found.ok_or(Error::Unsupported(match path {
        "role-id" | "secret-id" | "custom-secret-id" | "local-secret-ids" => {
            UnsupportedReason::Operation
        }
        _ => UnsupportedReason::Path,
    }))
}

/// The body with just the member that the path is for; the others are warned of.
fn only(call: &Call<'_>, field: &Field) -> Result<Body, Error> {
    let all = call.body.decode::<BTreeMap<String, Box<RawValue>>>()?.value;
    let (kept, others): (BTreeMap<_, _>, BTreeMap<_, _>) = all
        .into_iter()
        .partition(|(name, _)| name == field.member || Some(&**name) == field.old);
    call.note_unknown(others.into_keys().collect());
    if kept.values().all(|value| value.get() == "null") {
        return Err(Error::bad(format!("missing {}", field.called)));
    }
    Ok(Body::new(json(&kept)?))
}

fn shown<T: Serialize>(
    members: impl IntoIterator<Item = (&'static str, T)>,
) -> Result<Reply, Error> {
    Reply::data(&members.into_iter().collect::<BTreeMap<_, _>>())
}
