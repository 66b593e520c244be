//! A role: what a login has to show, and what it gets.

use std::net::IpAddr;

use ipnet::IpNet;
use keyfold_core::error::Error;
use keyfold_core::tokens::{TokenParams, admits, parse_cidr};
use serde::{Deserialize, Serialize};

/// The record at `role/<name>`.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Role {
    /// This role's own: one that is made again under the same name has another.
    pub uid: String,
    /// Folded.
    pub name: String,
    /// What a login names it by.
    pub role_id: String,
    /// A login needs a secret id.
    pub bind_secret_id: bool,
    /// Addresses that may log in; all where there are none.
    pub secret_id_bound_cidrs: Vec<IpNet>,
    /// Logins that a secret id is good for; zero: no limit.
    pub secret_id_num_uses: u64,
    /// How long a secret id is good, seconds; zero: for ever.
    pub secret_id_ttl: u64,
    /// Taken and shown; it has no meaning without replication.
    pub local_secret_ids: bool,
    /// The policies were given under their old name, and are shown there too.
    pub old_policies: bool,
    /// The period was given under its old name, and is shown there too.
    pub old_period: bool,
    /// What it grants.
    pub token: TokenParams,
}

impl Role {
    /// With nothing said.
    pub fn new(name: &str, uid: String, role_id: String) -> Self {
        Self {
            uid,
            name: name.to_owned(),
            role_id,
            bind_secret_id: true,
            secret_id_bound_cidrs: Vec::new(),
            secret_id_num_uses: 0,
            secret_id_ttl: 0,
            local_secret_ids: false,
            old_policies: false,
            old_period: false,
            token: TokenParams::default(),
        }
    }

    /// A login has something to show.
    pub fn check(&self) -> Result<(), Error> {
        let bound = self.bind_secret_id
            || !self.secret_id_bound_cidrs.is_empty()
            || !self.token.bound_cidrs.is_empty();
        match bound {
            true => Ok(()),
            false => Err(Error::bad(
                "at least one constraint should be enabled on the role",
            )),
        }
    }

    /// Whether an address may log in.
    pub fn admits(&self, remote: Option<IpAddr>) -> bool {
        admits(&self.secret_id_bound_cidrs, remote)
    }

    /// A secret id may not be worth more than the role's.
    pub fn check_bounds(&self, num_uses: u64, ttl: u64) -> Result<(), Error> {
        // Zero is no limit at all.
        let above = |own: u64, of_role: u64| of_role > 0 && (own == 0 || own > of_role);
        if above(num_uses, self.secret_id_num_uses) {
            return Err(Error::bad(
                "num_uses cannot be higher than the role's secret_id_num_uses",
            ));
        }
        if above(ttl, self.secret_id_ttl) {
            return Err(Error::bad(
                "ttl cannot be longer than the role's secret_id_ttl",
            ));
        }
        Ok(())
    }
}

/// The networks of a secret id lie within those of its role.
pub(super) fn check_within(field: &str, own: &[IpNet], of_role: &[IpNet]) -> Result<(), Error> {
    let within = |net: &IpNet| of_role.iter().any(|outer| outer.contains(net));
    match of_role.is_empty() || own.iter().all(within) {
        true => Ok(()),
        false => Err(Error::field(field, "is not within the role's networks")),
    }
}

/// Reads networks; the words are those of the wire.
pub(super) fn networks(field: &str, texts: &[String]) -> Result<Vec<IpNet>, Error> {
    let what = match field {
        "token_bound_cidrs" => "token CIDR",
        _ => "CIDR",
    };
    let parse = |text: &String| {
        let text = text.trim();
        let invalid = || format!("failed to validate {what} blocks: invalid CIDR address: {text}");
        parse_cidr(text).ok_or_else(|| Error::bad(invalid()))
    };
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_id_is_worth_no_more_than_its_role_says() {
        let role = Role {
            secret_id_num_uses: 3,
            secret_id_ttl: 60,
            ..Role::new("r", "u".into(), "i".into())
        };
        assert!(role.check_bounds(3, 60).is_ok());
        for (uses, ttl) in [(4, 60), (0, 60), (3, 61), (3, 0)] {
            assert!(role.check_bounds(uses, ttl).is_err(), "{uses} {ttl}");
        }
    }

    #[test]
    fn networks_lie_within_others() {
        let nets = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|t| (*t).to_owned()).collect();
            networks("cidr_list", &texts).unwrap()
        };
        let role = nets(&["10.0.0.0/8", "::/64"]);
        assert!(check_within("f", &nets(&["10.1.0.0/16", "::5"]), &role).is_ok());
        assert!(check_within("f", &nets(&["10.1.0.0/16", "11.0.0.0/16"]), &role).is_err());
        assert!(check_within("f", &nets(&["0.0.0.0/0"]), &role).is_err());
        assert!(check_within("f", &nets(&["0.0.0.0/0"]), &[]).is_ok());
    }
}
