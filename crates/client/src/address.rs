//! [`Address`]: where a server listens, and the URL of a path on it.

use std::fmt;
use std::path::{Path, PathBuf};

use reqwest::Url;

use crate::{ClientError, ConfigError, Request};

/// The address of a server: `https://host:port[/path]`, `http://…` or `unix:///path/to/socket`.
#[derive(Clone, Debug)]
pub struct Address {
    base: Url,
    socket: Option<PathBuf>,
    text: String,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Address`] where it is no URL, has another scheme, or carries credentials.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let refused = |reason| ConfigError::Address { reason };
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix://") {
            if !path.starts_with('/') {
                return Err(refused("a unix:// address needs an absolute path"));
            }
            return Ok(Self {
                base: Url::parse("http://localhost/")
                    .map_err(|_| refused("the address can't be parsed"))?,
                socket: Some(PathBuf::from(path)),
                text: text.to_owned(),
            });
        }
        let mut base = Url::parse(text).map_err(|_| {
            refused("it must be https://HOST:PORT, http://HOST:PORT or unix:///PATH")
        })?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(refused(
                "it must be https://HOST:PORT, http://HOST:PORT or unix:///PATH",
            ));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(refused("credentials can't stand in an address"));
        }
        base.set_query(None);
        base.set_fragment(None);
        let text = base.as_str().trim_end_matches('/').to_owned();
        Ok(Self {
            base,
            socket: None,
            text,
        })
    }

    /// The socket, for a `unix://` address.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The host that is connected to, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let host = self.base.host_str().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The same server, asked as `name`: URLs bear the name, errors the address as it was given.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ServerName`] where `name` is no name of a host.
    pub fn named(&self, name: &str) -> Result<Self, ConfigError> {
        let mut named = self.clone();
        let set = named.base.set_host(Some(name));
        // What is part of a name and what is none, such as a port, is for the URL to say.
        let plain = !name.contains([':', '/', '?', '#', '@', '\\']);
        if set.is_err() || !plain || named.base.domain().is_none() {
            return Err(ConfigError::ServerName);
        }
        Ok(named)
    }

    /// The URL of a request. Each segment of its path is percent-encoded, so a secret may be called
    /// `a b?c`; the address's own path stands before `/v1`.
    ///
    /// # Errors
    ///
    /// [`ClientError::Path`] for a path with `.` or `..` segments.
    pub fn url(&self, request: &Request) -> Result<Url, ClientError> {
        let path = request.path().trim_start_matches('/');
        if path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(ClientError::Path {
                reason: "a path has no `.` and `..` segments",
            });
        }
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| ClientError::Path {
                reason: "the address takes no path",
            })?
            .pop_if_empty()
            .push("v1")
            .extend(path.split('/'));
        if !request.query().is_empty() {
            url.query_pairs_mut().extend_pairs(request.query());
        }
        Ok(url)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(address: &str, path: &str) -> String {
        Address::parse(address)
            .unwrap()
            .url(&Request::read(path))
            .unwrap()
            .to_string()
    }

    #[test]
    fn paths_go_below_v1_and_are_encoded() {
        assert_eq!(
            url("http://127.0.0.1:8200", "sys/health"),
            "http://127.0.0.1:8200/v1/sys/health"
        );
        assert_eq!(
            url("https://h/base/", "/secret/data/a b?c%/"),
            "https://h/base/v1/secret/data/a%20b%3Fc%25"
        );
        assert_eq!(
            url("unix:///run/kf.sock", "sys/seal"),
            "http://localhost/v1/sys/seal"
        );
        let listed = Address::parse("http://h")
            .unwrap()
            .url(&Request::list("secret/metadata"))
            .unwrap();
        assert_eq!(listed.as_str(), "http://h/v1/secret/metadata?list=true");
    }

    #[test]
    fn a_path_can_not_climb() {
        let address = Address::parse("http://h").unwrap();
        for path in ["a/../b", "..", "./a"] {
            assert!(address.url(&Request::read(path)).is_err(), "{path}");
        }
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in [
            "",
            "127.0.0.1:8200",
            "ftp://h",
            "unix://relative",
            "https://user:pw@h",
            "localhost",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn it_prints_as_given() {
        assert_eq!(
            Address::parse(" http://h:1/ ").unwrap().to_string(),
            "http://h:1"
        );
        let unix = Address::parse("unix:///run/kf.sock").unwrap();
        assert_eq!(unix.to_string(), "unix:///run/kf.sock");
        assert_eq!(unix.socket(), Some(Path::new("/run/kf.sock")));
        assert!(!unix.is_tls());
    }
}
