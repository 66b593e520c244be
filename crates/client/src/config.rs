//! [`ClientConfig`]: where the server is, who asks, and how patiently.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use keyfold_secret::Secret;

use crate::{RateLimit, Setup, TokenFile};

/// Where a server listens unless told otherwise, as existing clients have it.
const ADDRESS: &str = "https://127.0.0.1:8200";

/// Whose variables are read; the first that is set and not empty counts.
const PREFIXES: [&str; 3] = ["KEYFOLD", "BAO", "VAULT"];

/// All a client has to know. It holds the token, so it has no `Debug`.
pub struct ClientConfig {
    /// `https://…`, `http://…` or `unix://…`.
    pub address: String,
    /// The variable or flag that named the address, for hints; `None` for the default.
    pub address_from: Option<String>,
    /// Sent with every request, where there is one.
    pub token: Option<Secret<String>>,
    /// The variable or file that gave the token, for hints, where that is known.
    pub token_from: Option<String>,
    /// Sent with every request, where it is not empty.
    pub namespace: Option<String>,
    /// Asks the server to wrap each answer for so long: a duration.
    pub wrap_ttl: Option<String>,
    /// More headers of every request.
    pub headers: Vec<(String, String)>,
    /// PEM text with the authorities to trust; it goes before files.
    pub ca_cert_bytes: Option<Vec<u8>>,
    /// PEM file with the authorities to trust in place of the system's.
    pub ca_cert: Option<PathBuf>,
    /// Folder of such files.
    pub ca_path: Option<PathBuf>,
    /// PEM file with this client's certificate.
    pub client_cert: Option<PathBuf>,
    /// PEM file with the key of that certificate.
    pub client_key: Option<PathBuf>,
    /// The name that the server's certificate is for, where the address has another.
    pub tls_server_name: Option<String>,
    /// Takes any certificate. Whoever sits in between reads everything.
    pub skip_verify: bool,
    /// A proxy to go by, `http://…` or `https://…`. On plain HTTP it sees the token.
    pub proxy: Option<String>,
    /// The variable that named it.
    pub proxy_from: Option<String>,
    /// One redirect, to the active node, is followed.
    pub redirects: bool,
    /// A bound on requests.
    pub rate_limit: Option<RateLimit>,
    /// For a whole request, from the connection to the last byte.
    pub timeout: Duration,
    /// Tries after the first, for answers that say "later".
    pub max_retries: u32,
    /// Pause before the first repeat.
    pub retry_pause: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            address: ADDRESS.to_owned(),
            address_from: None,
            token: None,
            token_from: None,
            namespace: None,
            wrap_ttl: None,
            headers: Vec::new(),
            ca_cert_bytes: None,
            ca_cert: None,
            ca_path: None,
            client_cert: None,
            client_key: None,
            tls_server_name: None,
            skip_verify: false,
            proxy: None,
            proxy_from: None,
            redirects: true,
            rate_limit: None,
            timeout: Duration::from_secs(60),
            max_retries: 2,
            retry_pause: Duration::from_millis(500),
        }
    }
}

impl ClientConfig {
    /// As the environment says: `KEYFOLD_X`, else `BAO_X`, else `VAULT_X`, for `ADDR`, `TOKEN`,
    /// `NAMESPACE`, `WRAP_TTL`, `CACERT`, `CAPATH`, `CLIENT_CERT`, `CLIENT_KEY`, `TLS_SERVER_NAME`,
    /// `SKIP_VERIFY`, `CLIENT_TIMEOUT`, `MAX_RETRIES`, `CACERT_BYTES`, `AGENT_ADDR` (which goes before
    /// `ADDR`), `PROXY_ADDR`, `DISABLE_REDIRECTS`, `RATE_LIMIT`, `MFA` and `SRV_LOOKUP`, which is
    /// refused. Without a token there, that of the file `TOKEN_PATH`, else of `~/.vault-token`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the variable or the file.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::from_lookup(|name| std::env::var_os(name))
    }

    /// [`ClientConfig::from_env`] with the environment given as a function.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let env = Environment { lookup };
        let mut config = Self::default();
        let address = match env.text("AGENT_ADDR")? {
            None => env.text("ADDR")?,
            agent => agent,
        };
        if let Some((name, address)) = address {
            config.address = address;
            config.address_from = Some(name);
        }
        let token = match env.text("TOKEN")? {
            Some((name, token)) => Some((name, Secret::new(token.trim().to_owned()))),
            None => env.kept_token()?,
        };
        (config.token_from, config.token) = token.unzip();
        config.namespace = env.text("NAMESPACE")?.map(|(_, value)| value);
        config.wrap_ttl = env.text("WRAP_TTL")?.map(|(_, value)| value);
        config.ca_cert = env.path("CACERT");
        config.ca_path = env.path("CAPATH");
        config.client_cert = env.path("CLIENT_CERT");
        config.client_key = env.path("CLIENT_KEY");
        config.tls_server_name = env.text("TLS_SERVER_NAME")?.map(|(_, value)| value);
        config.ca_cert_bytes = env.text("CACERT_BYTES")?.map(|(_, text)| text.into_bytes());
        (config.proxy_from, config.proxy) = env.text("PROXY_ADDR")?.unzip();
        config.skip_verify = env.switch("SKIP_VERIFY")?;
        config.redirects = !env.switch("DISABLE_REDIRECTS")?;
        if env.switch("SRV_LOOKUP")?
            && let Some((name, _)) = env.variable("SRV_LOOKUP")
        {
            return Err(ConfigError::Variable {
                name,
                wanted: "false: addresses are not looked up in SRV records",
            });
        }
        if let Some((name, text)) = env.text("RATE_LIMIT")? {
            let limit = RateLimit::parse(&text).ok_or(ConfigError::Variable {
                name,
                wanted: "RATE or RATE:BURST, requests in a second and at once",
            })?;
            config.rate_limit = Some(limit);
        }
        if let Some((_, credentials)) = env.text("MFA")? {
            config.headers.push(("X-Vault-MFA".to_owned(), credentials));
        }
        if let Some((name, text)) = env.text("CLIENT_TIMEOUT")? {
            config.timeout = keyfold_api::duration::parse(text.trim())
                .ok()
                .and_then(keyfold_api::Seconds::to_duration)
                .filter(|timeout| !timeout.is_zero())
                .ok_or(ConfigError::Variable {
                    name,
                    wanted: "a duration of at least a second, such as 60s",
                })?;
        }
        if let Some((name, text)) = env.text("MAX_RETRIES")? {
            config.max_retries = text.trim().parse().map_err(|_| ConfigError::Variable {
                name,
                wanted: "a number",
            })?;
        }
        Ok(config)
    }

    /// Whether the address is that of an agent, which goes before the server's.
    pub fn by_agent(&self) -> bool {
        let from = self.address_from.as_deref();
        from.is_some_and(|name| name.ends_with("_AGENT_ADDR"))
    }

    /// What hints need to know of it.
    pub fn setup(&self) -> Setup {
        Setup {
            address: self.address.clone(),
            address_from: self.address_from.clone(),
            proxy_from: self.proxy.as_ref().and(self.proxy_from.clone()),
            token: self.token.is_some(),
            token_from: self.token_from.clone(),
            client_certificate: self.client_cert.is_some(),
        }
    }

    /// The file that keeps a token between two commands: that of the variable `TOKEN_PATH`, else the
    /// usual one below `$HOME`.
    pub fn token_file() -> Option<TokenFile> {
        let lookup = |name: &str| std::env::var_os(name);
        Environment { lookup }.token_file()
    }
}

/// A configuration that can't be used: the caller's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The server's address.
    #[error("the server's address is refused: {reason}")]
    Address {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An environment variable. What it holds is not told.
    #[error("{name} must be {wanted}")]
    Variable {
        /// Its full name.
        name: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// A file or folder that can't be read.
    #[error("can't read {}: {source}", path.display())]
    File {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that is not what it should be.
    #[error("{} holds no {wanted} in PEM form", path.display())]
    Pem {
        /// Where it is.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// The name that the certificate should bear.
    #[error("the TLS server name has to be the name of a host, without a port")]
    ServerName,
    /// One of the two is there without the other.
    #[error("a client certificate needs its key and a key its certificate: give both")]
    HalfIdentity,
    /// The token or the namespace.
    #[error("the {what} has characters that can't be sent")]
    Header {
        /// Which of them.
        what: &'static str,
    },
    /// The proxy to go by.
    #[error("the proxy's address is refused: it has to be http://HOST:PORT or https://HOST:PORT")]
    Proxy,
    /// A text that is not what it should be.
    #[error("VAULT_CACERT_BYTES holds no certificate in PEM form")]
    PemText,
    /// TLS could not be set up.
    #[error("can't set TLS up: {reason}")]
    Tls {
        /// The library's reason.
        reason: String,
    },
}

struct Environment<F> {
    lookup: F,
}

impl<F: Fn(&str) -> Option<OsString>> Environment<F> {
    fn variable(&self, name: &str) -> Option<(String, OsString)> {
        PREFIXES.iter().find_map(|prefix| {
            let name = format!("{prefix}_{name}");
            let value = (self.lookup)(&name).filter(|value| !value.is_empty())?;
            Some((name, value))
        })
    }

    fn text(&self, name: &str) -> Result<Option<(String, String)>, ConfigError> {
        let Some((name, value)) = self.variable(name) else {
            return Ok(None);
        };
        match value.into_string() {
            Ok(text) => Ok(Some((name, text))),
            Err(_) => Err(ConfigError::Variable {
                name,
                wanted: "UTF-8 text",
            }),
        }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.variable(name).map(|(_, value)| PathBuf::from(value))
    }

    fn switch(&self, name: &str) -> Result<bool, ConfigError> {
        let Some((name, text)) = self.text(name)? else {
            return Ok(false);
        };
        switch(&text).ok_or(ConfigError::Variable {
            name,
            wanted: "true or false",
        })
    }

    fn token_file(&self) -> Option<TokenFile> {
        if let Some(path) = self.path("TOKEN_PATH") {
            return Some(TokenFile::at(path));
        }
        let home = (self.lookup)("HOME").filter(|home| !home.is_empty())?;
        Some(TokenFile::in_home(PathBuf::from(home).as_path()))
    }

    /// The token that is kept in a file, and where that is.
    fn kept_token(&self) -> Result<Option<(String, Secret<String>)>, ConfigError> {
        let Some(file) = self.token_file() else {
            return Ok(None);
        };
        let kept = file.read().map_err(|source| ConfigError::File {
            path: file.path().to_owned(),
            source,
        })?;
        Ok(kept.map(|token| (file.path().display().to_string(), token)))
    }
}

/// The spellings that existing clients take.
fn switch(text: &str) -> Option<bool> {
    match text.trim() {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Some(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<ClientConfig, ConfigError> {
        ClientConfig::from_lookup(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name)?;
            Some(OsString::from(found.1))
        })
    }

    #[test]
    fn our_variables_win_over_those_of_others() {
        let all = [
            ("VAULT_ADDR", "http://vault"),
            ("BAO_ADDR", "http://bao"),
            ("KEYFOLD_ADDR", "http://keyfold"),
            ("BAO_TOKEN", " hvs.b "),
            ("VAULT_TOKEN", "hvs.v"),
            ("KEYFOLD_NAMESPACE", ""),
            ("VAULT_NAMESPACE", "team"),
        ];
        let config = from(&all).unwrap();
        assert_eq!(config.address, "http://keyfold");
        assert_eq!(config.address_from.as_deref(), Some("KEYFOLD_ADDR"));
        assert_eq!(config.token_from.as_deref(), Some("BAO_TOKEN"));
        assert!(config.token.unwrap().ct_eq(b"hvs.b"));
        assert_eq!(config.namespace.as_deref(), Some("team"), "empty is unset");
        assert_eq!(from(&all[..2]).unwrap().address, "http://bao");
        let unset = from(&[]).unwrap();
        assert_eq!(
            (unset.address.as_str(), unset.address_from),
            (ADDRESS, None)
        );
    }

    #[test]
    fn typed_variables() {
        let config = from(&[
            ("VAULT_SKIP_VERIFY", "1"),
            ("VAULT_CLIENT_TIMEOUT", "5"),
            ("BAO_MAX_RETRIES", "0"),
            ("VAULT_CACERT", "/ca.pem"),
            ("VAULT_TLS_SERVER_NAME", "keys.example"),
        ])
        .unwrap();
        assert_eq!(config.tls_server_name.as_deref(), Some("keys.example"));
        assert!(config.skip_verify);
        assert_eq!(config.timeout, Duration::from_secs(5));
        assert_eq!(config.max_retries, 0);
        assert_eq!(config.ca_cert, Some(PathBuf::from("/ca.pem")));
        let config = from(&[
            ("BAO_DISABLE_REDIRECTS", "true"),
            ("VAULT_RATE_LIMIT", "5:2"),
            ("VAULT_CACERT_BYTES", "-----BEGIN"),
            ("BAO_PROXY_ADDR", "http://proxy:1"),
            ("VAULT_SRV_LOOKUP", "false"),
            ("VAULT_ADDR", "http://server"),
            ("VAULT_AGENT_ADDR", "http://agent"),
            ("VAULT_MFA", "method:code"),
        ]);
        let config = config.unwrap();
        assert!(!config.redirects && config.proxy.is_some());
        let setup = config.setup();
        assert_eq!(setup.proxy_from.as_deref(), Some("BAO_PROXY_ADDR"));
        assert!(config.by_agent());
        assert_eq!(config.rate_limit.unwrap().burst, 2);
        assert_eq!(config.ca_cert_bytes.as_deref(), Some(&b"-----BEGIN"[..]));
        assert_eq!(config.address, "http://agent");
        assert_eq!(config.address_from.as_deref(), Some("VAULT_AGENT_ADDR"));
        assert_eq!(config.headers[0].0, "X-Vault-MFA");
        for (name, value) in [
            ("VAULT_DISABLE_REDIRECTS", "maybe"),
            ("VAULT_RATE_LIMIT", "slowly"),
            ("BAO_SRV_LOOKUP", "true"),
            ("VAULT_SKIP_VERIFY", "maybe"),
            ("VAULT_CLIENT_TIMEOUT", "-1"),
            ("VAULT_CLIENT_TIMEOUT", "soon"),
            ("KEYFOLD_MAX_RETRIES", "many"),
        ] {
            let Err(error) = from(&[(name, value)]) else {
                panic!("{name}={value} passed");
            };
            let text = error.to_string();
            assert!(text.contains(name) && !text.contains(value), "{text}");
        }
    }

    #[test]
    fn the_kept_token_is_the_last_resort() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().to_str().unwrap();
        TokenFile::in_home(home.path())
            .write(&Secret::new("hvs.kept".to_owned()))
            .unwrap();
        let token = |pairs: &[(&str, &str)]| from(pairs).unwrap().token.unwrap();
        assert!(token(&[("HOME", path)]).ct_eq(b"hvs.kept"));
        assert!(token(&[("HOME", path), ("VAULT_TOKEN", "hvs.v")]).ct_eq(b"hvs.v"));
        let other = home.path().join("another");
        std::fs::write(&other, "hvs.other\n").unwrap();
        let other = other.to_str().unwrap();
        assert!(token(&[("HOME", path), ("VAULT_TOKEN_PATH", other)]).ct_eq(b"hvs.other"));
    }
}
