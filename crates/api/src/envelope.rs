//! The response envelope of the wire: eight members, always all of them.

use std::collections::BTreeMap;

use keyfold_secret::Secret;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::duration::Seconds;

/// A response before it is bytes. `Default` is the envelope with nothing in it.
#[derive(Default)]
pub struct Envelope<'a> {
    /// Id of the request; empty when the response is wrapped.
    pub request_id: &'a str,
    /// Id of the lease on `data`, or empty.
    pub lease_id: &'a str,
    /// Whether that lease can be renewed.
    pub renewable: bool,
    /// How long the lease, or for KV version 1 the secret, is good.
    pub lease_duration: Seconds,
    /// What the engine answers: a JSON object as bytes, written as they are.
    pub data: Option<&'a [u8]>,
    /// Where the response is kept instead, when it is wrapped.
    pub wrap_info: Option<&'a WrapInfo>,
    /// Texts for the user; `null` when there are none.
    pub warnings: &'a [String],
    /// The token of a login or a token creation.
    pub auth: Option<&'a Auth>,
}

/// A token that was handed out, as the wire shows it.
pub struct Auth {
    /// The token.
    pub client_token: Secret<String>,
    /// Its accessor.
    pub accessor: String,
    /// All its policies.
    pub policies: Vec<String>,
    /// Those of the token itself; left out when empty.
    pub token_policies: Vec<String>,
    /// Those of its entity; left out when empty.
    pub identity_policies: Vec<String>,
    /// What the auth method says about it; `null` when `None`.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Time to live.
    pub lease_duration: Seconds,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// Its entity, or empty.
    pub entity_id: String,
    /// `service` or `batch`.
    pub token_type: &'static str,
    /// Whether it outlives the token that made it.
    pub orphan: bool,
    /// Uses left; 0 means any number.
    pub num_uses: i64,
}

/// Where a wrapped response is kept.
pub struct WrapInfo {
    /// The wrapping token.
    pub token: Secret<String>,
    /// Its accessor.
    pub accessor: String,
    /// How long it is good.
    pub ttl: Seconds,
    /// RFC 3339, see [`crate::time`].
    pub creation_time: String,
    /// Path of the request whose response is inside.
    pub creation_path: String,
    /// Accessor of the token inside, when one is.
    pub wrapped_accessor: Option<String>,
}

impl Envelope<'_> {
    /// The response as bytes. `injected` copies the members of `data` to the top level first, as
    /// old clients expect it of some system paths.
    pub fn write(&self, injected: bool) -> Vec<u8> {
        let data = self.data.unwrap_or_default().trim_ascii();
        // Once, so that no half-written response is left behind in memory by a reallocation.
        let told = self.auth.is_some() || self.wrap_info.is_some() || !self.warnings.is_empty();
        let copies = if injected { 2 } else { 1 };
        let rest = self.lease_id.len() + if told { 1024 } else { 256 };
        let mut out = Vec::with_capacity(copies * data.len() + rest);
        out.push(b'{');
        if injected && let Some(members) = members(data) {
            out.extend_from_slice(members);
            out.push(b',');
        }
        member(&mut out, "request_id", self.request_id);
        member(&mut out, "lease_id", self.lease_id);
        member(&mut out, "renewable", &self.renewable);
        member(&mut out, "lease_duration", &self.lease_duration.0);
        out.extend_from_slice(b"\"data\":");
        out.extend_from_slice(if data.is_empty() { b"null" } else { data });
        out.push(b',');
        member(&mut out, "wrap_info", &self.wrap_info);
        let warnings = (!self.warnings.is_empty()).then_some(self.warnings);
        member(&mut out, "warnings", &warnings);
        member(&mut out, "auth", &self.auth);
        out.pop();
        out.extend_from_slice(b"}\n");
        out
    }
}

/// What stands between the braces of a JSON object, when anything does.
fn members(object: &[u8]) -> Option<&[u8]> {
    let inner = object.strip_prefix(b"{")?.strip_suffix(b"}")?.trim_ascii();
    (!inner.is_empty()).then_some(inner)
}

/// `"name":value,`
fn member<T: Serialize + ?Sized>(out: &mut Vec<u8>, name: &str, value: &T) {
    out.push(b'"');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    // Strings, numbers and maps of strings always serialise, and memory takes every write.
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.extend_from_slice(b"null");
    }
    out.push(b',');
}

// By hand: a secret has no `Serialize`, this is one of the few places that may write one.
impl Serialize for Auth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Auth", 13)?;
        out.serialize_field("client_token", self.client_token.expose())?;
        out.serialize_field("accessor", &self.accessor)?;
        out.serialize_field("policies", &self.policies)?;
        if !self.token_policies.is_empty() {
            out.serialize_field("token_policies", &self.token_policies)?;
        }
        if !self.identity_policies.is_empty() {
            out.serialize_field("identity_policies", &self.identity_policies)?;
        }
        out.serialize_field("metadata", &self.metadata)?;
        out.serialize_field("lease_duration", &self.lease_duration.0)?;
        out.serialize_field("renewable", &self.renewable)?;
        out.serialize_field("entity_id", &self.entity_id)?;
        out.serialize_field("token_type", self.token_type)?;
        out.serialize_field("orphan", &self.orphan)?;
        out.serialize_field("mfa_requirement", &None::<()>)?;
        out.serialize_field("num_uses", &self.num_uses)?;
        out.end()
    }
}

impl Serialize for WrapInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("WrapInfo", 6)?;
        out.serialize_field("token", self.token.expose())?;
        out.serialize_field("accessor", &self.accessor)?;
        out.serialize_field("ttl", &self.ttl.0)?;
        out.serialize_field("creation_time", &self.creation_time)?;
        out.serialize_field("creation_path", &self.creation_path)?;
        if let Some(accessor) = &self.wrapped_accessor {
            out.serialize_field("wrapped_accessor", accessor)?;
        }
        out.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(envelope: &Envelope<'_>, injected: bool) -> String {
        String::from_utf8(envelope.write(injected)).unwrap()
    }

    #[test]
    fn all_members_are_always_there() {
        assert_eq!(
            text(&Envelope::default(), true),
            "{\"request_id\":\"\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":0,\
             \"data\":null,\"wrap_info\":null,\"warnings\":null,\"auth\":null}\n"
        );
    }

    #[test]
    fn data_is_injected_before_the_envelope() {
        let warnings = ["w".to_owned()];
        let envelope = Envelope {
            request_id: "r",
            data: Some(br#" {"keys":["a","}"]} "#),
            warnings: &warnings,
            ..Envelope::default()
        };
        let plain = text(&envelope, false);
        assert!(plain.starts_with(r#"{"request_id":"r","#));
        assert!(plain.contains(r#""data":{"keys":["a","}"]},"wrap_info":null,"warnings":["w"]"#));
        assert!(text(&envelope, true).starts_with(r#"{"keys":["a","}"],"request_id":"r","#));
        let empty = Envelope {
            data: Some(b"{}"),
            ..Envelope::default()
        };
        assert!(text(&empty, true).starts_with(r#"{"request_id":"","#));
    }

    /// The answer of the recorded `auth/token/create`, member for member.
    #[test]
    fn a_token_is_shown_as_the_peer_shows_it() {
        let auth = Auth {
            client_token: Secret::new("s.6OAqv03sC8ykBE77p0jPPjGX".to_owned()),
            accessor: "hJgQzFtwNt7WCnShQToGpXL7".to_owned(),
            policies: vec!["default".to_owned(), "reader".to_owned()],
            token_policies: vec!["default".to_owned(), "reader".to_owned()],
            identity_policies: Vec::new(),
            metadata: None,
            lease_duration: Seconds(2_764_800),
            renewable: true,
            entity_id: String::new(),
            token_type: "service",
            orphan: false,
            num_uses: 0,
        };
        let envelope = Envelope {
            auth: Some(&auth),
            ..Envelope::default()
        };
        let expected = r#""auth":{"client_token":"s.6OAqv03sC8ykBE77p0jPPjGX","accessor":"hJgQzFtwNt7WCnShQToGpXL7","policies":["default","reader"],"token_policies":["default","reader"],"metadata":null,"lease_duration":2764800,"renewable":true,"entity_id":"","token_type":"service","orphan":false,"mfa_requirement":null,"num_uses":0}}"#;
        assert!(text(&envelope, false).contains(expected));
    }

    #[test]
    fn a_wrapped_response_tells_only_where_it_is() {
        let wrap = WrapInfo {
            token: Secret::new("s.w".to_owned()),
            accessor: "a".to_owned(),
            ttl: Seconds(30),
            creation_time: "2030-01-01T00:00:01.6Z".to_owned(),
            creation_path: "kv1/wrapped".to_owned(),
            wrapped_accessor: None,
        };
        let envelope = Envelope {
            wrap_info: Some(&wrap),
            ..Envelope::default()
        };
        assert!(text(&envelope, false).contains(
            r#""wrap_info":{"token":"s.w","accessor":"a","ttl":30,"creation_time":"2030-01-01T00:00:01.6Z","creation_path":"kv1/wrapped"},"warnings""#
        ));
    }
}
