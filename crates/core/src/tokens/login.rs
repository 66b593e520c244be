//! From a login to a token: in one place for all auth methods.

use std::sync::Arc;

use ipnet::IpNet;

use super::create::NewToken;
use super::life::{Limits, Wish};
use super::params::TokenParams;
use super::record::{Kind, Token};
use super::reply;
use crate::clock::Time;
use crate::error::Error;
use crate::identity::{Known, Says};
use crate::lifecycle::Unsealed;
use crate::mounts::MountRecord;
use crate::policies;
use crate::ports::auth::Login;
use crate::reply::Reply;
use crate::request::Request;

/// Makes the token of a login; the answer of the method gets it as its `auth`.
pub(crate) async fn grant(
    vault: &Arc<Unsealed>,
    mount: &MountRecord,
    request: &Request,
    mut answer: Reply,
) -> Result<Reply, Error> {
    let Some(login) = answer.login.take() else {
        return Ok(answer);
    };
    let mut login = *login;
    let params = &login.params;
    let remote = request.remote.map(|remote| remote.ip().to_canonical());
    if !params.admits(remote) {
        return Err(Error::DeniedBecause("permission denied".to_owned()));
    }
    let limits = limits(vault, mount, params);
    let granted = limits.grant(wish(params), 0);
    answer.warnings.extend(granted.warning);
    let policies = policies::granted(&params.policies, !params.no_default_policy);
    if policies.iter().any(|name| name == "root") {
        return Err(Error::bad("auth methods cannot create root tokens"));
    }
    policies::check_assignable(&policies)?;
    let kind = params.kind.on(mount.config.token_type);
    let mut new = NewToken {
        policies,
        path: request.path.clone(),
        display_name: display_name(mount, &login),
        meta: Some(std::mem::take(&mut login.metadata)).filter(|meta| !meta.is_empty()),
        num_uses: params.num_uses,
        ttl: granted.ttl,
        explicit_max_ttl: params.explicit_max_ttl,
        period: params.period,
        renewable: kind == Kind::Service,
        kind,
        bound_cidrs: bound(params, remote),
        mount: Some(mount.accessor.clone()),
        internal: std::mem::take(&mut login.internal),
        ..NewToken::default()
    };
    // Nobody in particular has no entity.
    if !login.alias.is_empty() {
        vault.tokens.check(&new).await?;
        new.entity = Some(entity(vault, mount, &login).await?);
    }
    let (token, text) = vault.tokens.create(new).await?;
    answer.auth = Some(Box::new(reply::auth(&token, Some(text), granted.ttl)));
    Ok(answer)
}

/// Who logs in; made at the first login.
async fn entity(vault: &Unsealed, mount: &MountRecord, login: &Login) -> Result<String, Error> {
    let says = Says {
        metadata: &login.alias_metadata,
        groups: &login.groups,
    };
    let known = Known {
        mount: &mount.accessor,
        name: &login.alias,
        says: Some(says),
    };
    Ok(vault.identity.login(&known).await?.entity.id.clone())
}

/// The time to live that a renewal of a login's token gives, by what its method says now.
pub(super) fn renewal(
    vault: &Unsealed,
    mount: &MountRecord,
    params: &TokenParams,
    token: &Token,
    increment: u64,
    now: Time,
) -> super::Granted {
    let limits = limits(vault, mount, params);
    let wish = Wish {
        ttl: if increment > 0 { increment } else { params.ttl },
        ..wish(params)
    };
    limits.grant(wish, now.since(token.created).as_secs())
}

fn wish(params: &TokenParams) -> Wish {
    Wish {
        ttl: params.ttl,
        period: params.period,
        explicit_max_ttl: params.explicit_max_ttl,
    }
}

/// The mount's bounds, narrowed by those of the role.
fn limits(vault: &Unsealed, mount: &MountRecord, params: &TokenParams) -> Limits {
    let of_mount = vault.mounts.limits(&mount.path, &vault.settings);
    let max_ttl = match params.max_ttl {
        0 => of_mount.max_ttl,
        own => own.min(of_mount.max_ttl),
    };
    Limits {
        default_ttl: of_mount.default_ttl.min(max_ttl),
        max_ttl,
    }
}

fn bound(params: &TokenParams, remote: Option<std::net::IpAddr>) -> Vec<IpNet> {
    match remote {
        Some(ip) if params.strictly_bind_ip => vec![IpNet::from(ip)],
        _ => params.bound_cidrs.clone(),
    }
}

/// `people-ann`: the mount's path and who it is.
fn display_name(mount: &MountRecord, login: &Login) -> String {
    let path = mount.path.strip_prefix("auth/").unwrap_or(&mount.path);
    let path = path.trim_end_matches('/').replace('/', "-");
    match login.display_name.as_str() {
        "" => path,
        name => format!("{path}-{name}"),
    }
}
