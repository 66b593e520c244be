//! What a listener demands of a request before anything is done for it, and whose request it is.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, StatusCode};

use super::failure::Failure;
use crate::config::Forwarded;

/// What clients send and a browser that was led here does not.
const REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Refuses a request without the header of clients.
pub fn is_meant(headers: &HeaderMap) -> Result<(), Failure> {
    let given = headers.get(REQUEST).map(|value| value.as_bytes());
    if given == Some(b"true") {
        return Ok(());
    }
    // The status and the words of the agents whose setting this is.
    let text = "missing \"X-Vault-Request\" header";
    Err(Failure::text(StatusCode::PRECONDITION_FAILED, text))
}

impl Forwarded {
    /// Whose request it is: of who connects, or of whom that speaks for.
    pub fn client(
        &self,
        remote: Option<SocketAddr>,
        headers: &HeaderMap,
    ) -> Result<Option<SocketAddr>, Failure> {
        let Some(remote) = remote else {
            return Ok(None);
        };
        if !headers.contains_key(FORWARDED) {
            return match self.reject_absent {
                true => Err(Failure::bad(
                    "missing x-forwarded-for header and configured to reject when not present",
                )),
                false => Ok(Some(remote)),
            };
        }
        if !self.believes(remote.ip()) {
            return match self.reject_strangers {
                true => Err(Failure::bad(
                    "client address not authorized for x-forwarded-for and configured to reject \
                     connection",
                )),
                false => Ok(Some(remote)),
            };
        }
        let values = headers.get_all(FORWARDED).iter();
        let values = values.map(|value| String::from_utf8_lossy(value.as_bytes()));
        let chain = values.collect::<Vec<_>>().join(",");
        let hop = chain.rsplit(',').nth(self.hop_skips).ok_or_else(|| {
            Failure::bad(format!(
                "malformed x-forwarded-for configuration or request, hops to skip ({}) would skip \
                 before earliest chain link (chain length {})",
                self.hop_skips,
                chain.split(',').count()
            ))
        })?;
        // To take what is no address for one would let a token bound to networks in from anywhere
        // that looks like none.
        let address = address(hop.trim()).ok_or_else(|| {
            Failure::bad("malformed x-forwarded-for header: no address where the client's stands")
        })?;
        Ok(Some(SocketAddr::new(address, remote.port())))
    }
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let plain = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    plain.or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::failure::FailureBody;

    fn of(forwarded: &Forwarded, remote: &str, values: &[&str]) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(FORWARDED, value.parse().unwrap());
        }
        let remote = SocketAddr::new(remote.parse().unwrap(), 7);
        match forwarded.client(Some(remote), &headers) {
            Ok(client) => Ok(client.unwrap().to_string()),
            Err(Failure {
                body: FailureBody::Text(text),
                status,
            }) => {
                assert_eq!(status, StatusCode::BAD_REQUEST);
                Err(text.into_owned())
            }
            Err(_) => Err(String::new()),
        }
    }

    fn forwarded() -> Forwarded {
        Forwarded {
            authorized: vec!["10.0.0.0/8".parse().unwrap()],
            hop_skips: 0,
            reject_absent: false,
            reject_strangers: false,
        }
    }

    #[test]
    fn who_is_believed_names_the_client() {
        let ok = |text: &str| Ok(text.to_owned());
        for (values, client) in [
            (&[][..], "10.1.1.1:7"),
            (&["1.2.3.4"], "1.2.3.4:7"),
            (&["5.6.7.8, 1.2.3.4"], "1.2.3.4:7"),
            (&["5.6.7.8", "1.2.3.4 "], "1.2.3.4:7"),
            (&["1.2.3.4:99"], "1.2.3.4:7"),
            (&["2001:db8::1"], "[2001:db8::1]:7"),
            (&["[2001:db8::1]"], "[2001:db8::1]:7"),
            (&["[2001:db8::1]:99"], "[2001:db8::1]:7"),
        ] {
            assert_eq!(
                of(&forwarded(), "10.1.1.1", values),
                ok(client),
                "{values:?}"
            );
        }
        assert_eq!(of(&forwarded(), "11.1.1.1", &["1.2.3.4"]), ok("11.1.1.1:7"));
        for value in ["", "banana", "1.2.3.4,", "1.2.3.4, x"] {
            let error = of(&forwarded(), "10.1.1.1", &[value]).unwrap_err();
            assert!(
                error.starts_with("malformed x-forwarded-for header"),
                "{value}: {error}"
            );
        }
    }

    #[test]
    fn hops_are_skipped_from_the_end() {
        let two = Forwarded {
            hop_skips: 2,
            ..forwarded()
        };
        let values = ["9.9.9.9, 1.1.1.1", "2.2.2.2,3.3.3.3"];
        assert_eq!(of(&two, "10.1.1.1", &values), Ok("1.1.1.1:7".to_owned()));
        let error = of(&two, "10.1.1.1", &["1.1.1.1, 2.2.2.2"]).unwrap_err();
        assert!(error.ends_with("(chain length 2)"), "{error}");
    }

    #[test]
    fn requests_that_are_refused() {
        let strict = Forwarded {
            reject_absent: true,
            reject_strangers: true,
            ..forwarded()
        };
        let absent = of(&strict, "10.1.1.1", &[]).unwrap_err();
        assert!(absent.starts_with("missing x-forwarded-for"), "{absent}");
        let stranger = of(&strict, "11.1.1.1", &["1.2.3.4"]).unwrap_err();
        assert!(stranger.contains("not authorized"), "{stranger}");
    }

    #[test]
    fn the_header_of_clients() {
        let of = |value: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.extend(value.map(|value| (REQUEST, value.parse().unwrap())));
            is_meant(&headers).map_err(|failure| failure.status.as_u16())
        };
        assert_eq!(of(Some("true")), Ok(()));
        for other in [None, Some(""), Some("1"), Some("TRUE"), Some("false")] {
            assert_eq!(of(other), Err(412), "{other:?}");
        }
    }
}
