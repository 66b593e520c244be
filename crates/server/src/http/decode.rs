//! The head of a request: what is asked of which path, by whom.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use keyfold_api::duration::{self, Seconds};
use keyfold_core::audit::{AuditedHeader, HeaderSettings};
use keyfold_core::{Error, Op};
use keyfold_secret::Secret;

use super::failure::Failure;
use super::{path, query};

const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
/// Echoed in every answer.
pub const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");
const WRAP_FORMAT: HeaderName = HeaderName::from_static("x-vault-wrap-format");
const MERGE_PATCH: &str = "application/merge-patch+json";
const FORM: &str = "application/x-www-form-urlencoded";

/// A decoded head.
#[derive(Debug)]
pub struct Head {
    /// What is asked.
    pub op: Op,
    /// Of what, below `/v1/`.
    pub path: String,
    /// Where the members of the request stand.
    pub members: Members,
    /// How long the answer is to be kept instead of going out.
    pub wrap_ttl: Option<Seconds>,
}

/// Where the members of a request stand.
#[derive(Debug, PartialEq, Eq)]
pub enum Members {
    /// In the query, which is this.
    Query(Vec<(String, String)>),
    /// In the body, as JSON whatever its type says.
    Json,
    /// In the body, as a form; as JSON where it begins like JSON.
    Form,
}

impl Members {
    /// A parameter of the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        let Self::Query(pairs) = self else {
            return None;
        };
        let mut pairs = pairs.iter();
        pairs
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Decodes all but the body and the token.
pub fn head(parts: &Parts) -> Result<Head, Failure> {
    let path = path::below_v1(parts.uri.path())?;
    namespace(&parts.headers)?;
    let wrap_ttl = wrapping(&parts.headers)?;
    let query = match parts.uri.query() {
        Some(text) => query::pairs(text)
            .ok_or_else(|| Failure::bad("the query is not valid percent-encoded UTF-8"))?,
        None => Vec::new(),
    };
    let op = operation(&parts.method, &path, &query)?;
    if op == Op::Patch {
        merge_patch(&parts.headers)?;
    }
    if matches!(op, Op::Write | Op::Patch) && path.ends_with('/') {
        return Err(Failure::bad("cannot write to a path ending in '/'"));
    }
    let members = match op {
        Op::Read | Op::List | Op::Scan | Op::Delete | Op::Help => {
            Members::Query(without_verbs(query))
        }
        Op::Write | Op::Patch if media_type(&parts.headers) == FORM => Members::Form,
        Op::Write | Op::Patch => Members::Json,
    };
    Ok(Head {
        op,
        path,
        members,
        wrap_ttl,
    })
}

/// The client's token: `X-Vault-Token`, else the first `Authorization` that begins with `Bearer `.
pub fn token(headers: &HeaderMap) -> Option<Secret<String>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
    let own = headers
        .get(TOKEN)
        .map(|value| value.as_bytes())
        .filter(|token| !token.is_empty());
    let token = own.or_else(|| {
        let values = headers.get_all(header::AUTHORIZATION).iter();
        values
            .filter_map(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .next()
    })?;
    Some(text(token))
        .filter(|token| !token.is_empty())
        .map(Secret::new)
}

/// The headers that the audit log wants.
pub fn audited(headers: &HeaderMap, wanted: &HeaderSettings) -> Vec<AuditedHeader> {
    let found = wanted.iter().filter_map(|(name, setting)| {
        let values = headers.get_all(name).iter();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let values: Vec<String> = values.map(text).collect();
        (!values.is_empty()).then(|| AuditedHeader {
            name: name.clone(),
            hmac: setting.hmac,
            values,
        })
    });
    found.collect()
}

fn operation(method: &Method, path: &str, query: &[(String, String)]) -> Result<Op, Failure> {
    let value = |name: &str| {
        query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    };
    if method.as_str() == "HELP" || !value("help").is_empty() {
        return Ok(Op::Help);
    }
    match method.as_str() {
        "GET" => {
            let verb = |name: &str| match value(name) {
                "" => Ok(false),
                text => query::flag(text).ok_or(Failure::silent(StatusCode::BAD_REQUEST)),
            };
            match (verb("list")?, verb("scan")?) {
                (false, false) => Ok(Op::Read),
                (true, false) => Ok(Op::List),
                (false, true) => Ok(Op::Scan),
                (true, true) => Err(Failure::silent(StatusCode::BAD_REQUEST)),
            }
        }
        "HEAD" if path == "sys/health" => Ok(Op::Read),
        "LIST" => Ok(Op::List),
        "SCAN" => Ok(Op::Scan),
        "PUT" | "POST" => Ok(Op::Write),
        "PATCH" => Ok(Op::Patch),
        "DELETE" => Ok(Op::Delete),
        "OPTIONS" => Err(Failure::bad(
            "cannot handle internal-only request operation",
        )),
        _ => Err(Failure::silent(StatusCode::METHOD_NOT_ALLOWED)),
    }
}

/// What chose the operation is no member of the request.
fn without_verbs(mut query: Vec<(String, String)>) -> Vec<(String, String)> {
    query.retain(|(name, _)| !matches!(name.as_str(), "list" | "scan" | "help"));
    query
}

/// There is one namespace; to act in it for one who named another would be wrong.
fn namespace(headers: &HeaderMap) -> Result<(), Failure> {
    let Some(value) = headers.get(NAMESPACE) else {
        return Ok(());
    };
    match value.to_str().map(|name| name.trim().trim_matches('/')) {
        Ok("" | "root") => Ok(()),
        _ => Err(Failure::text(StatusCode::NOT_FOUND, "namespace not found")),
    }
}

/// How long the answer is to be kept, if it is to be wrapped.
fn wrapping(headers: &HeaderMap) -> Result<Option<Seconds>, Failure> {
    let Some(value) = headers.get(WRAP_TTL) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let refused = |why: String| {
        Err(Failure::bad(format!(
            "error parsing X-Vault-Wrap-TTL header: {why}"
        )))
    };
    let ttl = match duration::parse(text.trim()) {
        Err(error) => return refused(error.quoting(text.trim())),
        Ok(ttl) if ttl.is_negative() => {
            return refused("requested wrap ttl cannot be negative".into());
        }
        Ok(ttl) => Some(ttl).filter(|ttl| *ttl != Seconds::ZERO),
    };
    let format = headers.get(WRAP_FORMAT).map(|f| f.as_bytes().trim_ascii());
    // An opaque token where a signed one was asked for would be taken for a broken one.
    if ttl.is_some() && format.is_some_and(|f| f.eq_ignore_ascii_case(b"jwt")) {
        return Err(Failure::bad(
            "X-Vault-Wrap-Format: jwt is not offered, wrapping tokens are opaque",
        ));
    }
    Ok(ttl)
}

fn merge_patch(headers: &HeaderMap) -> Result<(), Failure> {
    match media_type(headers) {
        MERGE_PATCH => Ok(()),
        other => Err(Failure::of(Error::MediaType(other.to_owned()), "")),
    }
}

/// `Content-Type` without its parameters; empty where there is none.
fn media_type(headers: &HeaderMap) -> &str {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    value
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::http::failure::FailureBody;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn decoded(method: &str, uri: &str) -> (Op, String) {
        let head = head(&parts(method, uri, &[])).unwrap();
        (head.op, head.path)
    }

    fn refused(method: &str, uri: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let failure = head(&parts(method, uri, headers)).unwrap_err();
        let text = match failure.body {
            FailureBody::Text(text) => text.into_owned(),
            _ => String::new(),
        };
        (failure.status.as_u16(), text)
    }

    #[test]
    fn methods() {
        let a = |op| (op, "kv/a".to_owned());
        assert_eq!(decoded("GET", "/v1/kv/a"), a(Op::Read));
        assert_eq!(decoded("GET", "/v1/kv/a?list=true"), a(Op::List));
        assert_eq!(decoded("GET", "/v1/kv/a?list=1"), a(Op::List));
        assert_eq!(decoded("GET", "/v1/kv/a?list=false"), a(Op::Read));
        assert_eq!(decoded("GET", "/v1/kv/a?list="), a(Op::Read));
        assert_eq!(decoded("LIST", "/v1/kv/a"), a(Op::List));
        assert_eq!(decoded("SCAN", "/v1/kv/a"), a(Op::Scan));
        assert_eq!(decoded("GET", "/v1/kv/a?scan=true"), a(Op::Scan));
        assert_eq!(decoded("PUT", "/v1/kv/a"), a(Op::Write));
        assert_eq!(decoded("POST", "/v1/kv/a"), a(Op::Write));
        assert_eq!(decoded("DELETE", "/v1/kv/a"), a(Op::Delete));
        assert_eq!(decoded("HELP", "/v1/kv/a"), a(Op::Help));
        assert_eq!(decoded("GET", "/v1/kv/a?help=1"), a(Op::Help));
        assert_eq!(decoded("HEAD", "/v1/sys/health").0, Op::Read);
        for (method, uri, status) in [
            ("FOO", "/v1/kv/a", 405),
            ("HEAD", "/v1/kv/a", 405),
            ("CONNECT", "/v1/kv/a", 405),
            ("GET", "/v1/kv/a?list=maybe", 400),
            ("GET", "/v1/kv/a?list=true&scan=true", 400),
            ("GET", "/v1/kv/a?x=%ff", 400),
            ("OPTIONS", "/v1/kv/a", 400),
            ("GET", "/ui", 404),
        ] {
            assert_eq!(refused(method, uri, &[]).0, status, "{method} {uri}");
        }
    }

    #[test]
    fn members_stand_in_the_query_or_the_body() {
        let members = |method, uri, headers: &[(&str, &str)]| {
            head(&parts(method, uri, headers)).unwrap().members
        };
        let one = Members::Query(vec![("version".into(), "2".into())]);
        assert_eq!(members("GET", "/v1/a?version=2", &[]), one);
        assert_eq!(members("GET", "/v1/a?list=true&version=2", &[]), one);
        assert_eq!(members("DELETE", "/v1/a?version=2", &[]), one);
        assert_eq!(members("PUT", "/v1/a?version=2", &[]), Members::Json);
        let text = [("content-type", "text/plain")];
        assert_eq!(members("PUT", "/v1/a", &text), Members::Json);
        let form = [(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        )];
        assert_eq!(members("PUT", "/v1/a", &form), Members::Form);
    }

    #[test]
    fn writes_do_not_end_in_a_slash() {
        let refusal = (400, "cannot write to a path ending in '/'".to_owned());
        assert_eq!(refused("POST", "/v1/kv/?list=true", &[]), refusal);
        assert_eq!(refused("PUT", "/v1/kv/a//", &[]), refusal);
        assert_eq!(decoded("GET", "/v1/kv/").1, "kv/");
        assert_eq!(decoded("DELETE", "/v1/kv/").1, "kv/");
    }

    #[test]
    fn a_patch_is_a_merge_patch() {
        let (status, text) = refused("PATCH", "/v1/a", &[("content-type", "application/json")]);
        assert_eq!(status, 415);
        assert!(text.ends_with("provided application/json"), "{text}");
        assert_eq!(refused("PATCH", "/v1/a", &[]).0, 415);
        let good = [(
            "content-type",
            "application/merge-patch+json; charset=utf-8",
        )];
        assert_eq!(head(&parts("PATCH", "/v1/a", &good)).unwrap().op, Op::Patch);
    }

    #[test]
    fn namespaces() {
        for name in ["", "/", "root", "root/", "/root"] {
            assert!(
                head(&parts("GET", "/v1/a", &[("x-vault-namespace", name)])).is_ok(),
                "{name}"
            );
        }
        for name in ["nope", "ns1/", "../", "ROOT", "root/a"] {
            let refusal = refused("GET", "/v1/a", &[("x-vault-namespace", name)]);
            assert_eq!(refusal, (404, "namespace not found".to_owned()), "{name}");
        }
    }

    #[test]
    fn wrapping_is_asked_for_by_a_header() {
        let ttl = |text| [("x-vault-wrap-ttl", text)];
        let asked = |text| head(&parts("GET", "/v1/a", &ttl(text))).unwrap().wrap_ttl;
        for text in ["", "0", "0s"] {
            assert_eq!(asked(text), None, "{text}");
        }
        assert_eq!(asked("60"), Some(Seconds(60)));
        assert_eq!(asked("2m"), Some(Seconds(120)));
        for (text, answer) in [
            (
                "-5",
                "error parsing X-Vault-Wrap-TTL header: requested wrap ttl cannot be negative",
            ),
            (
                "soon",
                "error parsing X-Vault-Wrap-TTL header: time: invalid duration \"soon\"",
            ),
        ] {
            let (status, found) = refused("GET", "/v1/a", &ttl(text));
            assert_eq!(status, 400);
            assert!(found.starts_with(answer), "{found}");
        }
        let jwt = ("x-vault-wrap-format", "jwt");
        let (status, found) = refused("GET", "/v1/a", &[("x-vault-wrap-ttl", "60"), jwt]);
        assert_eq!(status, 400);
        assert!(found.starts_with("X-Vault-Wrap-Format: jwt"), "{found}");
        assert!(head(&parts("GET", "/v1/a", &[jwt])).is_ok());
    }

    #[test]
    fn forms_of_the_token_header() {
        let found = |headers: &[(&str, &str)]| {
            token(&parts("GET", "/v1/a", headers).headers).map(|token| token.expose().clone())
        };
        let t = Some("t".to_owned());
        assert_eq!(found(&[("x-vault-token", "t")]), t);
        assert_eq!(found(&[("x-vault-token", " t ")]), t);
        assert_eq!(found(&[("authorization", "Bearer t")]), t);
        assert_eq!(found(&[("authorization", "Bearer  t ")]), t);
        assert_eq!(
            found(&[("authorization", "Basic x"), ("authorization", "Bearer t")]),
            t
        );
        assert_eq!(
            found(&[("authorization", "Bearer u"), ("x-vault-token", "t")]),
            t
        );
        assert_eq!(found(&[("x-vault-token", "t"), ("x-vault-token", "u")]), t);
        assert_eq!(found(&[("authorization", "bearer t")]), None);
        assert_eq!(found(&[("authorization", "Basic t")]), None);
        assert_eq!(found(&[("x-vault-token", "")]), None);
        assert_eq!(found(&[]), None);
    }
}
