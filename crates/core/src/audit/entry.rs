//! One line of the audit log, in the shape that collectors of such logs know.

use std::sync::Arc;

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

/// What the lines of a request show hashed: made once for both.
pub struct Hashed {
    pub(super) token: Option<Arc<str>>,
    pub(super) accessor: Option<Arc<str>>,
    pub(super) data: Option<Box<RawValue>>,
}

/// A request, for its two lines.
pub struct Entry<'a> {
    /// The request.
    pub request: &'a Request,
    /// Whose it is.
    pub caller: &'a Caller,
    /// Where it goes, if anywhere.
    pub mount: Option<&'a MountRecord>,
    /// A write that creates.
    pub creates: bool,
    /// When.
    pub now: Time,
    /// It may go on.
    pub allowed: bool,
    /// What of it is hashed; absent where there is no device.
    pub hashed: Option<&'a Hashed>,
}

/// How a request ended.
pub enum Outcome<'a> {
    /// Not allowed, or failed.
    Failed(&'a Error),
    /// Done.
    Done(&'a Reply),
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(rename = "type")]
    kind: &'static str,
    auth: AuthPart<'a>,
    request: RequestPart<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<ResponsePart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct ResponseAuth<'a> {
    client_token: String,
    accessor: String,
    policies: &'a [String],
    token_policies: &'a [String],
    token_type: &'a str,
}

impl Entry<'_> {
    /// The `request` or the `response` line, with its newline.
    pub(super) fn line(
        &self,
        mac: &MacKey,
        kind: &'static str,
        outcome: Option<&Outcome<'_>>,
    ) -> Vec<u8> {
        let line = Line {
            time: self.now.rfc3339(),
            kind,
            auth: self.auth(),
            request: self.request(),
            response: match outcome {
                Some(Outcome::Done(reply)) => Some(self.response(mac, reply)),
                _ => None,
            },
            error: match outcome {
                Some(Outcome::Failed(error)) => Some(error.to_string()),
                _ => None,
            },
        };
        let mut bytes = serde_json::to_vec(&line).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    fn auth(&self) -> AuthPart<'_> {
        let policy_results = PolicyResults {
            allowed: self.allowed,
        };
        let Some(token) = &self.caller.token else {
            return AuthPart {
                policy_results,
                ..AuthPart::default()
            };
        };
        AuthPart {
            client_token: self.hashed.and_then(|h| h.token.as_deref()),
            accessor: self.hashed.and_then(|h| h.accessor.as_deref()),
            display_name: Some(&token.display_name),
            policies: Some(&token.policies),
            token_policies: Some(&token.policies),
            policy_results,
            token_issue_time: Some(token.created.rfc3339()),
            token_type: Some("service"),
        }
    }

    fn request(&self) -> RequestPart<'_> {
        RequestPart {
            id: &self.request.id,
            operation: operation(self.request.op, self.creates),
            mount_point: self.mount.map(|m| m.path.as_str()),
            mount_type: self.mount.map(|m| m.kind.as_str()),
            mount_accessor: self.mount.map(|m| m.accessor.as_str()),
            client_token: self.hashed.and_then(|h| h.token.as_deref()),
            client_token_accessor: self.hashed.and_then(|h| h.accessor.as_deref()),
            namespace: Namespace { id: "root" },
            path: &self.request.path,
            data: self.hashed.and_then(|h| h.data.as_deref()),
            remote_address: self.request.remote.map(|a| a.ip().to_string()),
            remote_port: self.request.remote.map(|a| a.port()),
        }
    }

    fn response<'a>(&'a self, mac: &MacKey, reply: &'a Reply) -> ResponsePart<'a> {
        let exempt = self
            .mount
            .map_or(&[][..], |m| &m.config.audit_non_hmac_response_keys);
        ResponsePart {
            mount_point: self.mount.map(|m| m.path.as_str()),
            mount_type: self.mount.map(|m| m.kind.as_str()),
            mount_accessor: self.mount.map(|m| m.accessor.as_str()),
            auth: reply.auth.as_ref().map(|auth| ResponseAuth {
                client_token: hash(mac, auth.client_token.expose()),
                accessor: hash(mac, &auth.accessor),
                policies: &auth.policies,
                token_policies: &auth.token_policies,
                token_type: auth.token_type,
            }),
            data: reply
                .data
                .as_ref()
                .map(|data| redact::object(mac, data.bytes(), exempt)),
            warnings: &reply.warnings,
        }
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
