//! The `token_*` members that every auth method's roles and users have: read, kept and shown here
//! for all of them.

use std::net::IpAddr;

use ipnet::IpNet;
use keyfold_api::duration::Seconds;
use keyfold_api::weak;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record::Kind;
use crate::error::Error;

/// What a login grants, as a role or a user has it. Times in seconds; zero and empty stand for
/// "as the mount has it".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenParams {
    /// Addresses that may log in and use the token; all where there are none.
    #[serde(
        rename = "token_bound_cidrs",
        serialize_with = "serialize_cidrs",
        deserialize_with = "deserialize_cidrs"
    )]
    pub bound_cidrs: Vec<IpNet>,
    /// A bound on the whole life that no renewal moves.
    #[serde(rename = "token_explicit_max_ttl")]
    pub explicit_max_ttl: u64,
    /// A bound on the life that renewals may reach.
    #[serde(rename = "token_max_ttl")]
    pub max_ttl: u64,
    /// Without the policy `default`.
    #[serde(rename = "token_no_default_policy")]
    pub no_default_policy: bool,
    /// Requests that the token is good for.
    #[serde(rename = "token_num_uses")]
    pub num_uses: u64,
    /// Each renewal gives just this.
    #[serde(rename = "token_period")]
    pub period: u64,
    /// Names.
    #[serde(rename = "token_policies")]
    pub policies: Vec<String>,
    /// Good for the address of the login only.
    #[serde(rename = "token_strictly_bind_ip")]
    pub strictly_bind_ip: bool,
    /// The first time to live.
    #[serde(rename = "token_ttl")]
    pub ttl: u64,
    /// Which kind.
    #[serde(rename = "token_type")]
    pub kind: TokenType,
}

/// Which kind of token a role asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenType {
    /// As the mount has it.
    #[default]
    Default,
    /// Kept by a record.
    Service,
    /// Self-contained.
    Batch,
    /// For mounts: service, unless the role says otherwise.
    DefaultService,
    /// For mounts: batch, unless the role says otherwise.
    DefaultBatch,
}

impl TokenType {
    /// Reads a member.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Ok(match text {
            "" | "default" => Self::Default,
            "service" => Self::Service,
            "batch" => Self::Batch,
            "default-service" => Self::DefaultService,
            "default-batch" => Self::DefaultBatch,
            _ => return Err(Error::bad(format!("invalid 'token_type' value {text:?}"))),
        })
    }

    /// As the wire says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Service => "service",
            Self::Batch => "batch",
            Self::DefaultService => "default-service",
            Self::DefaultBatch => "default-batch",
        }
    }

    /// The kind that a role's wish gets on a mount: a mount that says `service` or `batch` decides
    /// alone.
    pub fn on(self, mount: Self) -> Kind {
        match (mount, self) {
            (Self::Service, _) => Kind::Service,
            (Self::Batch, _) => Kind::Batch,
            (_, Self::Service | Self::DefaultService) => Kind::Service,
            (_, Self::Batch | Self::DefaultBatch) => Kind::Batch,
            (Self::DefaultBatch, Self::Default) => Kind::Batch,
            (Self::Default | Self::DefaultService, Self::Default) => Kind::Service,
        }
    }
}

/// The members in a body; what is absent stays as it was.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct TokenMembers {
    #[serde(deserialize_with = "weak::list")]
    token_bound_cidrs: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::duration")]
    token_explicit_max_ttl: Option<Seconds>,
    #[serde(deserialize_with = "weak::duration")]
    token_max_ttl: Option<Seconds>,
    #[serde(deserialize_with = "weak::boolean")]
    token_no_default_policy: Option<bool>,
    #[serde(deserialize_with = "weak::int")]
    token_num_uses: Option<i64>,
    #[serde(deserialize_with = "weak::duration")]
    token_period: Option<Seconds>,
    #[serde(deserialize_with = "weak::list")]
    token_policies: Option<Vec<String>>,
    #[serde(deserialize_with = "weak::boolean")]
    token_strictly_bind_ip: Option<bool>,
    #[serde(deserialize_with = "weak::duration")]
    token_ttl: Option<Seconds>,
    #[serde(deserialize_with = "weak::string")]
    token_type: Option<String>,
}

impl TokenMembers {
    /// The parameters with these members put in, checked as a whole.
    pub fn apply(self, old: &TokenParams) -> Result<TokenParams, Error> {
        let mut new = old.clone();
        if let Some(cidrs) = self.token_bound_cidrs {
            new.bound_cidrs = parse_cidrs("token_bound_cidrs", &cidrs)?;
        }
        set_seconds(
            &mut new.explicit_max_ttl,
            "token_explicit_max_ttl",
            self.token_explicit_max_ttl,
        )?;
        set_seconds(&mut new.max_ttl, "token_max_ttl", self.token_max_ttl)?;
        set_seconds(&mut new.period, "token_period", self.token_period)?;
        set_seconds(&mut new.ttl, "token_ttl", self.token_ttl)?;
        if let Some(uses) = self.token_num_uses {
            new.num_uses = u64::try_from(uses)
                .map_err(|_| Error::bad("'token_num_uses' cannot be negative"))?;
        }
        if let Some(policies) = self.token_policies {
            new.policies = crate::policies::names(policies);
        }
        if let Some(off) = self.token_no_default_policy {
            new.no_default_policy = off;
        }
        if let Some(strictly) = self.token_strictly_bind_ip {
            new.strictly_bind_ip = strictly;
        }
        if let Some(kind) = self.token_type {
            new.kind = match TokenType::parse(&kind) {
                Ok(kind @ (TokenType::Default | TokenType::Service | TokenType::Batch)) => kind,
                // The others are for mounts.
                _ => return Err(Error::bad(format!("invalid 'token_type' value {kind:?}"))),
            };
        }
        new.check()?;
        Ok(new)
    }
}

impl TokenParams {
    /// The parts fit each other.
    pub fn check(&self) -> Result<(), Error> {
        if self.max_ttl > 0 && self.ttl > self.max_ttl {
            return Err(Error::bad(
                "'token_ttl' cannot be greater than 'token_max_ttl'",
            ));
        }
        if self.strictly_bind_ip && !self.bound_cidrs.is_empty() {
            return Err(Error::bad(
                "'token_strictly_bind_ip' conflicts with 'token_bound_cidrs'; set only one",
            ));
        }
        if matches!(self.kind, TokenType::Batch | TokenType::DefaultBatch) {
            if self.num_uses > 0 {
                return Err(Error::bad(
                    "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens \
                     with limited use count",
                ));
            }
            if self.period > 0 {
                return Err(Error::bad(
                    "'token_type' cannot be 'batch' or 'default_batch' when set to generate \
                     periodic tokens",
                ));
            }
        }
        Ok(())
    }

    /// Whether an address is one of those that may; any may where none are named.
    pub fn admits(&self, remote: Option<IpAddr>) -> bool {
        admits(&self.bound_cidrs, remote)
    }
}

/// Whether an address lies in one of the networks; any does where there are none, and no address
/// lies in none.
pub fn admits(cidrs: &[IpNet], remote: Option<IpAddr>) -> bool {
    cidrs.is_empty()
        || remote.is_some_and(|ip| {
            let ip = ip.to_canonical();
            cidrs.iter().any(|net| net.contains(&ip))
        })
}

/// Reads networks; an address alone is a network of one.
pub fn parse_cidrs(field: &str, texts: &[String]) -> Result<Vec<IpNet>, Error> {
    let parse = |text: &String| {
        let text = text.trim();
        let wrong = || Error::field(field, format_args!("{text:?} is no address or network"));
        parse_cidr(text).ok_or_else(wrong)
    };
    texts.iter().map(parse).collect()
}

/// Reads one of them.
pub fn parse_cidr(text: &str) -> Option<IpNet> {
    let alone = |_| text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(alone).ok()
}

fn serialize_cidrs<S: Serializer>(cidrs: &[IpNet], to: S) -> Result<S::Ok, S::Error> {
    show_cidrs(cidrs).serialize(to)
}

fn deserialize_cidrs<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(from)?;
    parse_cidrs("token_bound_cidrs", &texts).map_err(serde::de::Error::custom)
}

/// Networks as the wire shows them: one of a single address is that address.
pub fn show_cidrs(cidrs: &[IpNet]) -> Vec<String> {
    let show = |net: &IpNet| match net.prefix_len() == net.max_prefix_len() {
        true => net.addr().to_string(),
        false => net.to_string(),
    };
    cidrs.iter().map(show).collect()
}

fn set_seconds(place: &mut u64, field: &str, value: Option<Seconds>) -> Result<(), Error> {
    if let Some(value) = value {
        *place = u64::try_from(value.0)
            .map_err(|_| Error::bad(format!("'{field}' cannot be negative")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_may_decide_the_kind_alone() {
        use TokenType::{Batch, Default, DefaultBatch, DefaultService, Service};
        let table = [
            (Default, Default, Kind::Service),
            (Batch, Default, Kind::Batch),
            (Service, DefaultBatch, Kind::Service),
            (Default, DefaultBatch, Kind::Batch),
            (Batch, Service, Kind::Service),
            (Service, Batch, Kind::Batch),
            (Default, DefaultService, Kind::Service),
        ];
        for (role, mount, kind) in table {
            assert_eq!(role.on(mount), kind, "{role:?} on {mount:?}");
        }
    }

    #[test]
    fn networks_bind_and_an_unknown_address_is_in_none() {
        let nets = parse_cidrs("f", &["10.0.0.0/8".into(), "::1".into()]).unwrap();
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        assert!(admits(&nets, ip("10.2.3.4")) && admits(&nets, ip("::1")));
        assert!(admits(&nets, ip("::ffff:10.2.3.4")));
        assert!(!admits(&nets, ip("11.2.3.4")) && !admits(&nets, None));
        assert!(admits(&[], None));
        assert!(parse_cidrs("f", &["10.0.0.0/99".into()]).is_err());
    }
}
