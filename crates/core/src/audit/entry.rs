//! One line of the audit log, in the shape that collectors of such logs know.

use keyfold_keys::kdf::MacKey;
use serde::Serialize;
use serde_json::value::RawValue;

use super::redact::{self, hash};
use crate::clock::Time;
use crate::error::Error;
use crate::mounts::MountRecord;
use crate::reply::Reply;
use crate::request::{Op, Request};
use crate::tokens::Caller;

/// A request, for its two lines: what both have in common is serialised once.
pub struct Entry<'m> {
    /// `"auth":{…},"request":{…}`
    common: Vec<u8>,
    mount: Option<&'m MountRecord>,
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
    policies: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_policies: Option<&'a [String]>,
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
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct ResponseAuth<'a> {
    client_token: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    accessor: Option<String>,
    policies: &'a [String],
    token_policies: &'a [String],
    token_type: &'a str,
}

impl<'m> Entry<'m> {
    /// `token` and `accessor` are the caller's, hashed.
    pub(super) fn new(
        mac: &MacKey,
        parts: &Parts<'_, 'm>,
        token: Option<&str>,
        accessor: Option<&str>,
    ) -> Self {
        let exempt = parts
            .mount
            .map_or(&[][..], |m| &m.config.audit_non_hmac_request_keys);
        let body = parts.request.body.bytes();
        let data = (!body.is_empty()).then(|| redact::object(mac, body, exempt));
        let mut common = Vec::with_capacity(1024);
        member(&mut common, "auth", &auth(parts, token, accessor));
        let data = data.as_deref();
        member(
            &mut common,
            "request",
            &request(parts, token, accessor, data),
        );
        Self {
            common,
            mount: parts.mount,
        }
    }

    /// The `request` or the `response` line, with its newline.
    pub(super) fn line(
        &self,
        mac: &MacKey,
        kind: &'static str,
        now: Time,
        outcome: Option<&Outcome<'_>>,
    ) -> Vec<u8> {
        let mut line = Vec::with_capacity(self.common.len() + 1024);
        line.push(b'{');
        member(&mut line, "time", &now.rfc3339());
        member(&mut line, "type", kind);
        line.extend_from_slice(&self.common);
        match outcome {
            Some(Outcome::Done(reply)) => self.response(mac, reply, &mut line),
            Some(Outcome::Failed(error)) => member(&mut line, "error", &error.to_string()),
            None => {}
        }
        // The comma behind the last member.
        line.pop();
        line.extend_from_slice(b"}\n");
        line
    }

    fn response(&self, mac: &MacKey, reply: &Reply, line: &mut Vec<u8>) {
        let part = ResponsePart {
            mount_point: self.mount.map(|m| m.path.as_str()),
            mount_type: self.mount.map(|m| m.kind.as_str()),
            mount_accessor: self.mount.map(|m| m.accessor.as_str()),
            auth: reply.auth.as_ref().map(|auth| ResponseAuth {
                client_token: hash(mac, auth.client_token.expose()),
                accessor: (!auth.accessor.is_empty()).then(|| hash(mac, &auth.accessor)),
                policies: &auth.policies,
                token_policies: &auth.token_policies,
                token_type: auth.token_type,
            }),
            warnings: &reply.warnings,
        };
        member(line, "response", &part);
        if let Some(data) = &reply.data {
            let exempt = self
                .mount
                .map_or(&[][..], |m| &m.config.audit_non_hmac_response_keys);
            // Into the object that was just closed.
            line.truncate(line.len().saturating_sub(2));
            if !line.ends_with(b"{") {
                line.push(b',');
            }
            line.extend_from_slice(b"\"data\":");
            line.extend_from_slice(&redact::own(mac, data.bytes(), exempt));
            line.extend_from_slice(b"},");
        }
    }
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
    AuthPart {
        client_token,
        accessor,
        display_name: Some(&token.display_name),
        policies: Some(&token.policies),
        token_policies: Some(&token.policies),
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
    }
}

fn operation(op: Op, creates: bool) -> &'static str {
    match op {
        Op::Read => "read",
        Op::List => "list",
        Op::Write if creates => "create",
        Op::Write => "update",
        Op::Patch => "patch",
        Op::Delete => "delete",
        Op::Help => "help",
    }
}
