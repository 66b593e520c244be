//! How a store is found: members' addresses, the prefix, who asks.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keyfold_secret::Secret;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use super::link::User;

/// The prefix where none is given.
pub const PREFIX: &str = "keyfold/";
/// Longest prefix.
const LONGEST: usize = 512;

/// How a store is opened.
pub struct Options {
    pub(super) endpoints: Vec<(String, Endpoint)>,
    pub(super) prefix: String,
    pub(super) user: Option<User>,
    /// What the cluster of servers is called: a store of another name is refused.
    pub cluster: Option<String>,
    /// How long a node may answer from memory that has not heard from the store.
    pub freshness: Duration,
    /// The machine this node runs on, for the list of nodes.
    pub host: String,
    /// Where clients reach it, for the same.
    pub address: String,
    /// The version it runs, for the same.
    pub version: String,
}

/// How members are reached over TLS.
#[derive(Default)]
pub struct Tls {
    /// Authorities that sign members' certificates; else those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The certificate that members know this client by, and its key.
    pub cert_file: Option<PathBuf>,
    /// See [`Tls::cert_file`].
    pub key_file: Option<PathBuf>,
    /// The name in members' certificates, where it is not that of their addresses.
    pub server_name: Option<String>,
}

impl Options {
    /// Shortest and longest [`Options::freshness`].
    pub const FRESHNESS: (Duration, Duration) =
        (Duration::from_millis(100), Duration::from_secs(10));

    /// The defaults for a store below `prefix` at the members `endpoints`, `http://host:port` or
    /// `https://host:port` with commas between.
    pub fn new(endpoints: &str, prefix: &str, tls: &Tls) -> Result<Self, String> {
        let is_empty = |text: &&str| !text.is_empty();
        let addresses: Vec<&str> = endpoints
            .split(',')
            .map(str::trim)
            .filter(is_empty)
            .collect();
        if addresses.is_empty() {
            return Err("\"endpoints\" names no member".to_owned());
        }
        let tls = tls.read()?;
        let endpoints = addresses.iter().map(|address| endpoint(address, &tls));
        Ok(Self {
            endpoints: endpoints.collect::<Result<_, _>>()?,
            prefix: checked_prefix(prefix)?,
            user: None,
            cluster: None,
            freshness: Duration::from_secs(1),
            host: String::new(),
            address: String::new(),
            version: String::new(),
        })
    }

    /// The user that etcd knows this server as.
    pub fn with_user(self, name: String, password: Secret<String>) -> Self {
        Self {
            user: Some(User { name, password }),
            ..self
        }
    }

    /// The members, for reports.
    pub(super) fn name(&self) -> String {
        let names: Vec<&str> = self.endpoints.iter().map(|(name, _)| &**name).collect();
        names.join(",")
    }
}

/// What the files have.
struct Read {
    config: ClientTlsConfig,
    is_asked_for: bool,
}

impl Tls {
    fn read(&self) -> Result<Read, String> {
        let mut config = ClientTlsConfig::new();
        let is_asked_for = self.ca_file.is_some()
            || self.cert_file.is_some()
            || self.key_file.is_some()
            || self.server_name.is_some();
        config = match &self.ca_file {
            None => config.with_native_roots(),
            Some(file) => {
                let pem = contents("tls_ca_file", file)?;
                if !pem.windows(BEGIN.len()).any(|some| some == BEGIN) {
                    let file = file.display();
                    return Err(format!("\"tls_ca_file\" {file} has no certificate in PEM"));
                }
                config.ca_certificate(Certificate::from_pem(pem))
            }
        };
        config = match (&self.cert_file, &self.key_file) {
            (None, None) => config,
            (Some(certificate), Some(key)) => {
                let certificate = contents("tls_cert_file", certificate)?;
                config.identity(Identity::from_pem(
                    certificate,
                    contents("tls_key_file", key)?,
                ))
            }
            _ => {
                return Err("\"tls_cert_file\" and \"tls_key_file\" go together".to_owned());
            }
        };
        if let Some(name) = &self.server_name {
            config = config.domain_name(name);
        }
        Ok(Read {
            config,
            is_asked_for,
        })
    }
}

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";

fn contents(name: &str, file: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(file).map_err(|error| format!("\"{name}\" {}: {error}", file.display()))
}

/// A member's address, as reports have it, and the way there.
fn endpoint(address: &str, tls: &Read) -> Result<(String, Endpoint), String> {
    if address.contains('@') {
        return Err("\"endpoints\" is no place for a password: there is \"password\"".to_owned());
    }
    let wrong = |why: &str| format!("\"endpoints\": {address}: {why}");
    let is_encrypted = address.starts_with("https://");
    if !is_encrypted && !address.starts_with("http://") {
        return Err(wrong("it has to begin with https:// or http://"));
    }
    let endpoint = Endpoint::from_shared(address.to_owned());
    let endpoint = endpoint.map_err(|_| wrong("it is no address"))?;
    let uri = endpoint.uri();
    if uri.port().is_none() || uri.path() != "/" || uri.query().is_some() {
        return Err(wrong("it is made of a host and a port"));
    }
    if !is_encrypted {
        return match tls.is_asked_for {
            true => Err(wrong("settings of TLS are for https://")),
            false => Ok((address.to_owned(), endpoint)),
        };
    }
    let endpoint = endpoint.tls_config(tls.config.clone());
    let endpoint = endpoint.map_err(|error| wrong(&text_of(&error)))?;
    Ok((address.to_owned(), endpoint))
}

fn text_of(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", text_of(cause)),
        None => error.to_string(),
    }
}

fn checked_prefix(prefix: &str) -> Result<String, String> {
    let name = prefix.strip_suffix('/').unwrap_or(prefix);
    let name = name.strip_prefix('/').unwrap_or(name);
    let is_plain = !name.chars().any(char::is_control) && !name.split('/').any(str::is_empty);
    match is_plain && prefix.len() <= LONGEST {
        true => Ok(prefix.to_owned()),
        false => Err(format!(
            "\"prefix\" has to be names with / between, of {LONGEST} bytes at the most"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_prefixes_that_say_nothing_are_refused() {
        let tls = Tls {
            server_name: Some("etcd".to_owned()),
            ..Tls::default()
        };
        let lacking = Tls {
            ca_file: Some("/nonexistent/ca.pem".into()),
            ..Tls::default()
        };
        let half = Tls {
            cert_file: Some("/nonexistent/c.pem".into()),
            ..Tls::default()
        };
        let none = Tls::default();
        for (endpoints, prefix, tls, word) in [
            ("", PREFIX, &none, "names no member"),
            (" , ", PREFIX, &none, "names no member"),
            ("localhost:2379", PREFIX, &none, "begin with https://"),
            ("http://localhost", PREFIX, &none, "a host and a port"),
            ("http://h:2379/v3", PREFIX, &none, "a host and a port"),
            ("http://h h:1", PREFIX, &none, "no address"),
            (
                "http://a:1,http://bob:hunter2@b:1",
                PREFIX,
                &none,
                "password",
            ),
            ("http://h:2379", "", &none, "\"prefix\""),
            ("http://h:2379", "/", &none, "\"prefix\""),
            ("http://h:2379", "a//b", &none, "\"prefix\""),
            ("http://h:2379", "a\nb", &none, "\"prefix\""),
            ("http://h:2379", PREFIX, &tls, "for https://"),
            ("https://h:2379", PREFIX, &lacking, "\"tls_ca_file\""),
            ("https://h:2379", PREFIX, &half, "go together"),
        ] {
            let refused = Options::new(endpoints, prefix, tls).err();
            let refused = refused.unwrap_or_else(|| panic!("{endpoints} {prefix}"));
            assert!(refused.contains(word), "{endpoints} {prefix:?}: {refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
        for prefix in ["keyfold", "/vault/", "a/b/"] {
            assert!(Options::new("http://h:1, http://i:2", prefix, &none).is_ok());
        }
    }
}
