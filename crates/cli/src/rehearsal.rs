//! Requests that are printed, not sent: `-output-curl-string`, `-output-policy`.

use std::fmt::Write as _;

use keyfold_client::{Address, ClientConfig, Method, Request};
use keyfold_server::{Op, demands_sudo};

use crate::error::CliError;

/// How to print a request.
#[derive(Clone, Copy)]
pub(crate) enum Rehearsal {
    /// As a command line of curl.
    Curl,
    /// As the policy that it needs.
    Policy,
}

impl Rehearsal {
    /// What the flags ask for.
    pub(crate) fn wanted(curl: bool, policy: bool) -> Option<Self> {
        match (curl, policy) {
            (true, _) => Some(Self::Curl),
            (_, true) => Some(Self::Policy),
            _ => None,
        }
    }

    /// The text, with its line break.
    pub(crate) fn of(self, request: &Request, config: &ClientConfig) -> Result<String, CliError> {
        match self {
            Self::Curl => curl(request, config),
            Self::Policy => Ok(policy(request)),
        }
    }
}

fn curl(request: &Request, config: &ClientConfig) -> Result<String, CliError> {
    let mut address = Address::parse(&config.address)?;
    let mut text = "curl".to_owned();
    if let Some(name) = config
        .tls_server_name
        .as_deref()
        .filter(|_| address.is_tls())
    {
        let host = match address.host() {
            number if number.contains(':') => format!("[{number}]"),
            host => host.to_owned(),
        };
        let _ = write!(
            text,
            " --connect-to {}",
            quoted(&format!("{name}::{host}:"))
        );
        address = address.named(name)?;
    }
    let method = match request.method() {
        Method::Get | Method::List | Method::Scan => "",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Patch => "PATCH",
        Method::Delete => "DELETE",
    };
    if !method.is_empty() {
        let _ = write!(text, " -X {method}");
    }
    let mut header = |line: String| {
        let _ = write!(text, " -H {}", quoted(&line));
    };
    header("X-Vault-Request: true".to_owned());
    if let Some(namespace) = &config.namespace {
        header(format!("X-Vault-Namespace: {namespace}"));
    }
    if let Some(ttl) = &config.wrap_ttl {
        header(format!("X-Vault-Wrap-TTL: {ttl}"));
    }
    for (name, value) in &config.headers {
        header(format!("{name}: {value}"));
    }
    if request.method() == Method::Patch {
        header("Content-Type: application/merge-patch+json".to_owned());
    }
    if config.token.is_some() {
        // The shell asks for it when the line is run: a token belongs in no history.
        text.push_str(" -H \"X-Vault-Token: $(keyfold print token)\"");
    }
    if let Some(body) = request.body() {
        let _ = write!(text, " -d {}", quoted(&String::from_utf8_lossy(body)));
    }
    if let Some(socket) = address.socket() {
        let _ = write!(text, " --unix-socket {}", quoted(&socket.to_string_lossy()));
    }
    let url = address.url(request)?;
    Ok(format!("{text} {}\n", quoted(url.as_str())))
}

fn policy(request: &Request) -> String {
    let (op, capabilities) = match request.method() {
        Method::Get => (Op::Read, r#""read""#),
        Method::List => (Op::List, r#""list""#),
        Method::Scan => (Op::Scan, r#""scan""#),
        Method::Post | Method::Put => (Op::Write, r#""create", "update""#),
        Method::Patch => (Op::Patch, r#""patch""#),
        Method::Delete => (Op::Delete, r#""delete""#),
    };
    let path = request.path().trim_start_matches('/');
    let sudo = match demands_sudo(op, path) {
        true => r#", "sudo""#,
        false => "",
    };
    // What lists a folder is asked with its slash.
    let slash = match request.method() {
        Method::List | Method::Scan if !path.ends_with('/') => "/",
        _ => "",
    };
    format!("path \"{path}{slash}\" {{\n  capabilities = [{capabilities}{sudo}]\n}}\n")
}

/// As a shell takes it literally.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyfold_secret::Secret;
    use serde_json::json;

    #[test]
    fn curl_never_shows_the_token() {
        let config = ClientConfig {
            address: "http://h:1/".to_owned(),
            token: Some(Secret::new("hvs.secret".to_owned())),
            ..ClientConfig::default()
        };
        let request = Request::write("kv/it's", &json!({"a": "b"})).unwrap();
        let text = Rehearsal::Curl.of(&request, &config).unwrap();
        assert!(!text.contains("hvs.secret"), "{text}");
        assert!(text.starts_with("curl -X PUT -H "), "{text}");
        assert!(text.ends_with("'http://h:1/v1/kv/it'\\''s'\n"), "{text}");
        assert!(text.contains(r#"-d '{"a":"b"}'"#), "{text}");
    }

    #[test]
    fn curl_is_told_the_address_that_would_be_asked() {
        let config = ClientConfig {
            address: "http://h:1".to_owned(),
            ..ClientConfig::default()
        };
        let request = Request::list("kv/a b#c").with_query("x", "1&2");
        let text = Rehearsal::Curl.of(&request, &config).unwrap();
        let url = "'http://h:1/v1/kv/a%20b%23c?list=true&x=1%262'\n";
        assert!(text.ends_with(url), "{text}");
    }

    #[test]
    fn curl_asks_for_the_name_of_the_certificate() {
        let config = ClientConfig {
            address: "https://127.0.0.1:1".to_owned(),
            tls_server_name: Some("keys.example".to_owned()),
            ..ClientConfig::default()
        };
        let text = Rehearsal::Curl.of(&Request::read("a"), &config).unwrap();
        assert!(
            text.contains(" --connect-to 'keys.example::127.0.0.1:' "),
            "{text}"
        );
        assert!(text.ends_with(" 'https://keys.example:1/v1/a'\n"), "{text}");
    }

    #[test]
    fn a_policy_names_the_capabilities_of_the_method() {
        let request = Request::list("kv/metadata/a");
        let text = Rehearsal::Policy.of(&request, &ClientConfig::default());
        let text = text.unwrap();
        assert_eq!(
            text,
            "path \"kv/metadata/a/\" {\n  capabilities = [\"list\"]\n}\n"
        );
        let request = Request::read("sys/audit");
        let text = Rehearsal::Policy.of(&request, &ClientConfig::default());
        assert_eq!(
            text.unwrap(),
            "path \"sys/audit\" {\n  capabilities = [\"read\", \"sudo\"]\n}\n"
        );
    }
}
