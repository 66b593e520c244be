//! Tokens as the wire shows them.

use keyfold_api::duration::Seconds;
use keyfold_api::envelope::Auth;
use keyfold_secret::Secret;
use serde::Serialize;

use super::pairs::Pairs;
use super::params::show_cidrs;
use super::record::Token;
use crate::clock::Time;
use crate::error::Error;
use crate::reply::Reply;

#[derive(Serialize)]
struct Lookup<'a> {
    accessor: &'a str,
    creation_time: u64,
    creation_ttl: u64,
    display_name: &'a str,
    entity_id: &'a str,
    expire_time: Option<String>,
    explicit_max_ttl: u64,
    /// There are no namespaces here whose policies could count.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_namespace_policies: Option<Nothing>,
    id: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    identity_policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    issue_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_renewal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_renewal_time: Option<u64>,
    meta: &'a Option<Pairs>,
    num_uses: u64,
    orphan: bool,
    path: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    period: u64,
    policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    renewable: Option<bool>,
    ttl: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    bound_cidrs: Vec<String>,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// `{}`
#[derive(Serialize)]
struct Nothing {}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// `lookup`, `lookup-self`, `lookup-accessor`; the id is empty where only the accessor was given.
/// `identity` are the policies of its entity.
pub(super) fn lookup(
    token: &Token,
    identity: &[String],
    id: &str,
    now: Time,
) -> Result<Reply, Error> {
    // The first root token was issued by nobody; the wire leaves these members out for it.
    let issued = &*token.path != "auth/token/root";
    Reply::data(&Lookup {
        accessor: &token.accessor,
        creation_time: token.created.secs(),
        creation_ttl: token.creation_ttl,
        display_name: &token.display_name,
        entity_id: token.entity.as_deref().unwrap_or_default(),
        expire_time: token.expires.map(Time::rfc3339),
        explicit_max_ttl: token.explicit_max_ttl,
        external_namespace_policies: (!identity.is_empty()).then_some(Nothing {}),
        id,
        identity_policies: identity,
        issue_time: issued.then(|| token.created.rfc3339()),
        last_renewal: token.renewed.map(Time::rfc3339),
        last_renewal_time: token.renewed.map(Time::secs),
        meta: &token.meta,
        num_uses: token.num_uses,
        orphan: token.parent.is_none(),
        path: &token.path,
        period: token.period,
        policies: &token.policies,
        renewable: issued.then_some(token.renewable),
        ttl: token.ttl(now),
        role: token.role.as_deref(),
        bound_cidrs: show_cidrs(&token.bound_cidrs),
        kind: token.kind.as_str(),
    })
}

/// The `auth` member for a token that was made or renewed.
pub(super) fn auth(token: &Token, text: Option<Secret<String>>, ttl: u64) -> Auth {
    Auth {
        client_token: text.unwrap_or_else(|| Secret::new(String::new())),
        accessor: token.accessor.to_string(),
        policies: token.policies.to_vec(),
        token_policies: token.policies.to_vec(),
        identity_policies: Vec::new(),
        metadata: token.meta.as_ref().map(Pairs::to_map),
        lease_duration: Seconds(i64::try_from(ttl).unwrap_or(i64::MAX)),
        renewable: token.renewable,
        entity_id: token.entity.as_deref().unwrap_or_default().to_owned(),
        token_type: token.kind.as_str(),
        orphan: token.parent.is_none(),
        num_uses: i64::try_from(token.num_uses).unwrap_or(i64::MAX),
    }
}
