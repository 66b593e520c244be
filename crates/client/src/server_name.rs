//! A server whose certificate bears another name than its address has.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::ClientBuilder;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net::lookup_host;

use crate::{Address, ConfigError};

/// `builder` and `address` for a server that is asked as `name`, and is where `address` says.
pub(crate) fn alias(
    builder: ClientBuilder,
    address: &Address,
    name: &str,
) -> Result<(ClientBuilder, Address), ConfigError> {
    let named = address.named(name)?;
    let alias = Alias {
        name: named.host().to_owned(),
        host: address.host().to_owned(),
    };
    Ok((builder.dns_resolver(Arc::new(alias)), named))
}

/// Finds `name` where `host` is, and other names, to which a server may send us, as usual.
struct Alias {
    name: String,
    host: String,
}

impl Resolve for Alias {
    fn resolve(&self, asked: Name) -> Resolving {
        let host = if asked.as_str().eq_ignore_ascii_case(&self.name) {
            self.host.clone()
        } else {
            asked.as_str().to_owned()
        };
        Box::pin(async move {
            // The port is that of the URL.
            let found: Vec<SocketAddr> = lookup_host((host.as_str(), 0)).await?.collect();
            let found: Addrs = Box::new(found.into_iter());
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(found)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn addresses(alias: &Alias, name: &str) -> Vec<String> {
        let found = alias.resolve(name.parse().unwrap()).await.unwrap();
        found.map(|address| address.ip().to_string()).collect()
    }

    #[tokio::test]
    async fn the_name_leads_to_the_address() {
        for (address, host) in [
            ("https://127.0.0.9:1", "127.0.0.9"),
            ("https://[::1]", "::1"),
        ] {
            let address = Address::parse(address).unwrap();
            let alias = Alias {
                name: "keys.example".to_owned(),
                host: address.host().to_owned(),
            };
            assert_eq!(addresses(&alias, "Keys.example").await, [host]);
            assert_eq!(addresses(&alias, "127.0.0.8").await, ["127.0.0.8"]);
        }
    }

    #[test]
    fn a_number_is_no_name() {
        let address = Address::parse("https://127.0.0.1:8200").unwrap();
        for name in ["127.0.0.2", "[::1]", "", "a/b", "a:1"] {
            let refused = alias(ClientBuilder::new(), &address, name);
            assert!(
                matches!(refused, Err(ConfigError::ServerName)),
                "{name} passed"
            );
        }
        let (_, named) = alias(ClientBuilder::new(), &address, "keys.example").unwrap();
        assert_eq!(named.host(), "keys.example");
        assert_eq!(named.to_string(), "https://127.0.0.1:8200");
    }
}
