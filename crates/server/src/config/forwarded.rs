//! `x_forwarded_for_…`: which proxies are believed when they say whom they speak for.

use std::net::IpAddr;

use ipnet::IpNet;

use super::place::ConfigError;
use super::section::Section;

const AUTHORIZED: &str = "x_forwarded_for_authorized_addrs";
const HOP_SKIPS: &str = "x_forwarded_for_hop_skips";
const REJECT_ABSENT: &str = "x_forwarded_for_reject_not_present";
const REJECT_STRANGERS: &str = "x_forwarded_for_reject_not_authorized";

/// How a listener takes `X-Forwarded-For`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// Who is believed.
    pub authorized: Vec<IpNet>,
    /// Proxies between the one that connects and the client, each of which has added an address.
    pub hop_skips: usize,
    /// A request without the header is refused.
    pub reject_absent: bool,
    /// The header of somebody else is a reason to refuse the request; else it is passed over.
    pub reject_strangers: bool,
}

impl Forwarded {
    /// What a listener's block says; nothing where nobody is believed.
    pub fn read(section: &mut Section<'_>) -> Result<Option<Self>, ConfigError> {
        let authorized = section.list(AUTHORIZED)?;
        let hop_skips = section.number(HOP_SKIPS)?;
        let flags = [
            (REJECT_ABSENT, section.flag(REJECT_ABSENT)?),
            (REJECT_STRANGERS, section.flag(REJECT_STRANGERS)?),
        ];
        let Some(authorized) = authorized.filter(|texts| !texts.value.is_empty()) else {
            // To refuse is what was asked for, and nothing would be refused.
            for (key, flag) in flags {
                if let Some(flag) = flag.filter(|flag| flag.value) {
                    return Err(flag.wrong(format!("\"{key}\" needs \"{AUTHORIZED}\"")));
                }
            }
            return match hop_skips.filter(|skips| skips.value > 0) {
                Some(skips) => Err(skips.wrong(format!("\"{HOP_SKIPS}\" needs \"{AUTHORIZED}\""))),
                None => Ok(None),
            };
        };
        let networks = authorized.value.iter().map(|text| {
            network(text).ok_or_else(|| {
                authorized.wrong(format!(
                    "\"{AUTHORIZED}\": {text:?} is no address or network"
                ))
            })
        });
        let [reject_absent, reject_strangers] =
            flags.map(|(_, flag)| flag.is_some_and(|flag| flag.value));
        Ok(Some(Self {
            authorized: networks.collect::<Result<_, _>>()?,
            hop_skips: hop_skips.map_or(0, |skips| skips.value),
            reject_absent,
            reject_strangers,
        }))
    }

    /// Whether somebody is believed.
    pub fn believes(&self, remote: IpAddr) -> bool {
        let remote = remote.to_canonical();
        (self.authorized.iter()).any(|network| network.contains(&remote))
    }
}

/// A network, or one address. IPv4 within IPv6 is taken for IPv4, as that of who connects is.
fn network(text: &str) -> Option<IpNet> {
    let address = |text: &str| text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse().ok().or_else(|| address(text))?;
    let (IpAddr::V4(within), Some(bits)) = (
        network.addr().to_canonical(),
        network.prefix_len().checked_sub(96),
    ) else {
        return Some(network);
    };
    match network {
        IpNet::V4(_) => Some(network),
        IpNet::V6(_) => IpNet::new(IpAddr::V4(within), bits).ok(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    fn read(text: &str) -> Result<Option<Forwarded>, String> {
        let body = keyfold_api::hcl::parse_any(text).unwrap();
        let file: Arc<Path> = Arc::from(Path::new("k.hcl"));
        let mut section = Section::new(&file, "listener \"tcp\"", &body);
        Forwarded::read(&mut section).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_and_networks_as_text_or_list() {
        for text in [
            "\"127.0.0.1, 10.0.0.0/8,::1,::ffff:192.168.0.0/112\"",
            "[\"::ffff:127.0.0.1\", \"10.0.0.0/8\", \"::1/128\", \"192.168.0.0/16\"]",
        ] {
            let found = read(&format!("x_forwarded_for_authorized_addrs = {text}"));
            let found = found.unwrap().unwrap();
            for (address, believed) in [
                ("127.0.0.1", true),
                ("127.0.0.2", false),
                ("10.200.0.1", true),
                ("::ffff:10.0.0.1", true),
                ("192.168.7.7", true),
                ("192.169.0.1", false),
                ("::1", true),
                ("::2", false),
            ] {
                assert_eq!(
                    found.believes(address.parse().unwrap()),
                    believed,
                    "{address}"
                );
            }
            assert!(!found.reject_absent && !found.reject_strangers && found.hop_skips == 0);
        }
        assert_eq!(read("x_forwarded_for_hop_skips = 0"), Ok(None));
    }

    #[test]
    fn what_would_protect_nothing_is_refused() {
        let authorized = "x_forwarded_for_authorized_addrs = \"10.0.0.0/8\"\n";
        for (text, wanted) in [
            (
                "x_forwarded_for_authorized_addrs = \"proxy\"",
                "\"proxy\" is no address or network",
            ),
            (
                "x_forwarded_for_reject_not_present = true",
                "needs \"x_forwarded_for_authorized_addrs\"",
            ),
            (
                "x_forwarded_for_hop_skips = 2",
                "needs \"x_forwarded_for_authorized_addrs\"",
            ),
            (
                "x_forwarded_for_reject_not_authorized = 1",
                "needs \"x_forwarded_for_authorized_addrs\"",
            ),
            (
                &format!("{authorized}x_forwarded_for_hop_skips = -1"),
                "has to be a number",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
