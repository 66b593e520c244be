//! One line of the audit log, in the shape that collectors of such logs know.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use keyfold_keys::kdf::MacKey;
use serde::Serialize;
use serde_json::value::RawValue;

use super::devices::Devices;
use super::elide;
use super::format::Format;
use super::headers::AuditedHeader;
use super::redact::Veil;
use crate::clock::Time;
use crate::error::Error;
use crate::mounts::MountRecord;
use crate::reply::Reply;
use crate::request::{Op, Request};
use crate::tokens::Caller;

/// A request, for its two lines: what both have in common is serialised once a format. Both go to
/// the devices that there were when it came in.
pub struct Entry<'m> {
    pub(super) devices: Arc<Devices>,
    /// `"auth":{…},"request":{…}` in the order of [`Devices::formats`].
    common: Vec<Vec<u8>>,
    mount: Option<&'m MountRecord>,
    list: bool,
}

/// Who asks: the token's text and its accessor.
#[derive(Clone, Copy, Default)]
pub(super) struct Who<'a> {
    /// In clear.
    pub text: Option<&'a str>,
    /// The HMAC of it.
    pub hash: Option<&'a str>,
    /// The HMAC of the accessor.
    pub accessor: Option<&'a str>,
}

/// What an entry is made of.
pub struct Parts<'a, 'm> {
    /// The request.
    pub request: &'a Request,
    /// Whose it is.
    pub caller: &'a Caller,
    /// Where it goes, if anywhere.
    pub mount: Option<&'m MountRecord>,
    /// A write that creates.
    pub creates: bool,
    /// It may go on.
    pub allowed: bool,
}

/// How a request ended.
pub enum Outcome<'a> {
    /// Not allowed, or failed.
    Failed(&'a Error),
    /// Done.
    Done(&'a Reply),
}

#[derive(Serialize, Default)]
struct AuthPart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accessor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policies: Option<Cow<'a, [String]>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_policies: Option<&'a [String]>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    identity_policies: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<&'a str>,
    policy_results: PolicyResults,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_issue_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
}

#[derive(Serialize, Default)]
struct PolicyResults {
    allowed: bool,
}

#[derive(Serialize)]
struct Namespace {
    id: &'static str,
}

#[derive(Serialize)]
struct RequestPart<'a> {
    id: &'a str,
    operation: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_point: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_accessor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_token_accessor: Option<&'a str>,
    namespace: Namespace,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_port: Option<u16>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'a str, Vec<Cow<'a, str>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrap_ttl: Option<i64>,
}

#[derive(Serialize)]
struct ResponsePart<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_point: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_accessor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth: Option<ResponseAuth<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrap_info: Option<ResponseWrap<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct ResponseAuth<'a> {
    client_token: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accessor: Option<Cow<'a, str>>,
    policies: &'a [String],
    token_policies: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    identity_policies: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    entity_id: &'a str,
    token_type: &'a str,
}

#[derive(Serialize)]
struct ResponseWrap<'a> {
    ttl: i64,
    token: Cow<'a, str>,
    accessor: Cow<'a, str>,
    creation_time: &'a str,
    creation_path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wrapped_accessor: Option<Cow<'a, str>>,
}

impl<'m> Entry<'m> {
    pub(super) fn new(
        devices: Arc<Devices>,
        mac: &MacKey,
        parts: &Parts<'_, 'm>,
        who: Who<'_>,
    ) -> Self {
        let common = devices
            .formats()
            .map(|format| common(Veil { mac, format }, parts, who))
            .collect();
        Self {
            devices,
            common,
            mount: parts.mount,
            list: parts.request.op == Op::List,
        }
    }

    /// The `request` or the `response` line of each format, with its newline.
    pub(super) fn lines<'e>(
        &'e self,
        mac: &'e MacKey,
        kind: &'static str,
        now: Time,
        outcome: Option<&'e Outcome<'_>>,
    ) -> impl Iterator<Item = Vec<u8>> + use<'e, 'm> {
        let time = now.rfc3339();
        let formats = self.devices.formats().zip(&self.common);
        formats.map(move |(format, common)| {
            let mut line = Vec::with_capacity(format.prefix.len() + common.len() + 1024);
            line.extend_from_slice(format.prefix.as_bytes());
            line.push(b'{');
            member(&mut line, "time", &time);
            member(&mut line, "type", kind);
            line.extend_from_slice(common);
            match outcome {
                Some(Outcome::Done(reply)) => {
                    self.response(Veil { mac, format }, reply, &mut line);
                }
                Some(Outcome::Failed(error)) => member(&mut line, "error", &error.to_string()),
                None => {}
            }
            // The comma behind the last member.
            line.pop();
            line.extend_from_slice(b"}\n");
            line
        })
    }

    fn response(&self, veil: Veil<'_>, reply: &Reply, line: &mut Vec<u8>) {
        let part = ResponsePart {
            mount_point: self.mount.map(|m| m.path.as_str()),
            mount_type: self.mount.map(|m| m.kind.as_str()),
            mount_accessor: self.mount.map(|m| m.accessor.as_str()),
            auth: reply.auth.as_ref().map(|auth| ResponseAuth {
                client_token: veil.text(auth.client_token.expose()),
                accessor: (!auth.accessor.is_empty()).then(|| veil.accessor(&auth.accessor)),
                policies: &auth.policies,
                token_policies: &auth.token_policies,
                identity_policies: &auth.identity_policies,
                entity_id: &auth.entity_id,
                token_type: auth.token_type,
            }),
            wrap_info: reply.wrap.as_ref().map(|wrap| ResponseWrap {
                ttl: wrap.ttl.0,
                token: veil.text(wrap.token.expose()),
                accessor: veil.accessor(&wrap.accessor),
                creation_time: &wrap.creation_time,
                creation_path: &wrap.creation_path,
                wrapped_accessor: wrap.wrapped_accessor.as_ref().map(|a| veil.accessor(a)),
            }),
            warnings: &reply.warnings,
        };
        member(line, "response", &part);
        if let Some(data) = &reply.data {
            let exempt = self
                .mount
                .map_or(&[][..], |m| &m.config.audit_non_hmac_response_keys);
            let elided = (veil.format.elide && self.list).then(|| elide::list(data.bytes()));
            let data = elided
                .flatten()
                .map_or(Cow::Borrowed(data.bytes()), Cow::Owned);
            // Into the object that was just closed.
            line.truncate(line.len().saturating_sub(2));
            if !line.ends_with(b"{") {
                line.push(b',');
            }
            line.extend_from_slice(b"\"data\":");
            match reply.media {
                None => line.extend_from_slice(&veil.own(&data, exempt)),
                // A text for another program, such as a scrape of the metrics.
                Some(_) => line.extend_from_slice(veil.object(&data, exempt).get().as_bytes()),
            }
            line.extend_from_slice(b"},");
        }
    }
}

fn common(veil: Veil<'_>, parts: &Parts<'_, '_>, who: Who<'_>) -> Vec<u8> {
    let token = if veil.format.raw { who.text } else { who.hash };
    let clear = veil.format.raw || veil.format.clear_accessor;
    let accessor = match &parts.caller.token {
        Some(token) if clear => Some(&*token.accessor).filter(|a| !a.is_empty()),
        _ => who.accessor,
    };
    let exempt = parts
        .mount
        .map_or(&[][..], |m| &m.config.audit_non_hmac_request_keys);
    let body = parts.request.body.bytes();
    let data = (!body.is_empty()).then(|| veil.object(body, exempt));
    let mut common = Vec::with_capacity(1024);
    member(&mut common, "auth", &auth(parts, token, accessor));
    let mut part = request(parts, token, accessor, data.as_deref());
    part.headers = headers(veil.mac, parts.request);
    member(&mut common, "request", &part);
    common
}

/// A header that is wanted as an HMAC is one in raw lines too.
fn headers<'a>(mac: &MacKey, request: &'a Request) -> BTreeMap<&'a str, Vec<Cow<'a, str>>> {
    let hashed = Format::default();
    let veil = Veil {
        mac,
        format: &hashed,
    };
    let of = |header: &'a AuditedHeader| {
        let shown = header.values.iter().map(|value| match header.hmac {
            true => veil.text(value),
            false => Cow::Borrowed(value.as_str()),
        });
        (header.name.as_str(), shown.collect())
    };
    request.headers.iter().map(of).collect()
}

/// `"name":value,`
fn member<T: Serialize + ?Sized>(out: &mut Vec<u8>, name: &str, value: &T) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    let before = out.len();
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.truncate(before);
        out.extend_from_slice(b"null");
    }
    out.push(b',');
}

fn auth<'a>(
    parts: &'a Parts<'_, '_>,
    client_token: Option<&'a str>,
    accessor: Option<&'a str>,
) -> AuthPart<'a> {
    let policy_results = PolicyResults {
        allowed: parts.allowed,
    };
    let Some(token) = &parts.caller.token else {
        return AuthPart {
            policy_results,
            ..AuthPart::default()
        };
    };
    let identity = parts.caller.identity.as_deref();
    AuthPart {
        client_token,
        accessor,
        display_name: Some(&token.display_name),
        policies: Some(match identity {
            Some(standing) => standing.with(&token.policies).into(),
            None => (&*token.policies).into(),
        }),
        token_policies: Some(&token.policies),
        identity_policies: identity.map_or(&[], |standing| &standing.policies),
        entity_id: token.entity.as_deref(),
        policy_results,
        token_issue_time: Some(token.created.rfc3339()),
        token_type: Some(token.kind.as_str()),
    }
}

fn request<'a>(
    parts: &'a Parts<'_, '_>,
    client_token: Option<&'a str>,
    client_token_accessor: Option<&'a str>,
    data: Option<&'a RawValue>,
) -> RequestPart<'a> {
    let remote = parts.request.remote;
    RequestPart {
        id: &parts.request.id,
        operation: operation(parts.request.op, parts.creates),
        mount_point: parts.mount.map(|m| m.path.as_str()),
        mount_type: parts.mount.map(|m| m.kind.as_str()),
        mount_accessor: parts.mount.map(|m| m.accessor.as_str()),
        client_token,
        client_token_accessor,
        namespace: Namespace { id: "root" },
        path: &parts.request.path,
        data,
        remote_address: remote.map(|a| a.ip().to_string()),
        remote_port: remote.map(|a| a.port()),
        headers: BTreeMap::new(),
        wrap_ttl: parts.request.wrap_ttl.map(|ttl| ttl.0),
    }
}

fn operation(op: Op, creates: bool) -> &'static str {
    match op {
        Op::Read => "read",
        Op::List => "list",
        Op::Scan => "scan",
        Op::Write if creates => "create",
        Op::Write => "update",
        Op::Patch => "patch",
        Op::Delete => "delete",
        Op::Help => "help",
    }
}
