//! [`Server`]: which database, and how to get into it, out of `pg://…` and the variables that libpq reads.

use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::OpenError;

use super::password;

const SCHEMES: [&str; 3] = ["pg://", "postgres://", "postgresql://"];

/// The database that an address names.
pub(super) struct Server {
    /// How to connect, with the password.
    pub(super) config: Config,
    pub(super) tls: Tls,
    /// What is looked for there, for messages.
    pub(super) place: &'static str,
    /// `pg://host/database`.
    name: String,
}

/// How a connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tls {
    /// Not at all: sockets of this machine.
    Off,
    /// Encrypted, to whoever answers.
    Unverified,
    /// Encrypted, to the host that was named; by the authorities in this file, or the system's.
    Verified(Option<PathBuf>),
}

/// Takes a parameter of an address that says what is looked for; false for one about the connection.
pub(super) type Own<'a> = dyn FnMut(&str, &str) -> Result<bool, String> + 'a;

impl Server {
    pub(super) fn is_address(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.starts_with(scheme))
    }

    /// Reads an address of a `place`. `var` gives variables of the environment, `own` takes what is not
    /// about the connection.
    pub(super) fn parse(
        text: &str,
        place: &'static str,
        var: &dyn Fn(&str) -> Option<String>,
        own: &mut Own<'_>,
    ) -> Result<Self, OpenError> {
        let address = |reason: String| OpenError::Address { place, reason };
        let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| address("it starts with pg://".to_owned()))?;
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = base.split_once('/').unwrap_or((base, ""));
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.contains(':') {
            return Err(address(NO_PASSWORD.to_owned()));
        }
        let asked = Asked::parse(query, own).map_err(address)?;
        let url = format!("postgresql://{base}?{}", asked.rest.join("&"));
        let mut config: Config = url
            .parse()
            .map_err(|error: tokio_postgres::Error| address(whole(&error)))?;
        complete(&mut config, var).map_err(address)?;
        let mode = asked.ssl_mode.or_else(|| var("PGSSLMODE"));
        let root_cert = asked.root_cert.or_else(|| var("PGSSLROOTCERT"));
        let tls = tls(&config, mode.as_deref(), root_cert).map_err(address)?;
        password::find(&mut config, var).map_err(address)?;
        Ok(Self {
            config,
            tls,
            place,
            name: format!("pg://{host}/{database}"),
        })
    }

    /// What to call something in the database.
    pub(super) fn named(&self, what: &str) -> String {
        format!("{}/{what}", self.name).replace(char::is_control, "?")
    }

    /// For an address that says something that it can't mean.
    pub(super) fn wrong(&self, reason: String) -> OpenError {
        let place = self.place;
        OpenError::Address { place, reason }
    }
}

const NO_PASSWORD: &str = "a password does not belong in it, where every process of the machine can \
    read it: use PGPASSWORD or ~/.pgpass";

/// What an address says of the connection; `rest` is what libpq reads, too.
#[derive(Default)]
struct Asked<'a> {
    ssl_mode: Option<String>,
    root_cert: Option<String>,
    rest: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    fn parse(query: &'a str, own: &mut Own<'_>) -> Result<Self, String> {
        let mut asked = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "password" => return Err(NO_PASSWORD.to_owned()),
                "sslmode" => asked.ssl_mode = Some(decoded(value)?),
                "sslrootcert" => asked.root_cert = Some(decoded(value)?),
                _ if own(name, value)? => {}
                _ => asked.rest.push(pair),
            }
        }
        Ok(asked)
    }
}

pub(super) fn decoded(value: &str) -> Result<String, String> {
    let text = percent_decode_str(value).decode_utf8();
    let text = text.map_err(|_| "it is not UTF-8".to_owned())?;
    if text.is_empty() || text.contains('\0') {
        return Err("a value of it is empty or has a zero byte".to_owned());
    }
    Ok(text.into_owned())
}

/// Fills in what the address does not say.
fn complete(config: &mut Config, var: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        config.host(var("PGHOST").unwrap_or_else(|| "localhost".to_owned()));
    }
    if config.get_ports().is_empty()
        && let Some(port) = var("PGPORT")
    {
        config.port(port.parse().map_err(|_| "PGPORT is no number".to_owned())?);
    }
    if config.get_user().is_none() {
        let user = var("PGUSER").or_else(|| var("USER"));
        config.user(user.ok_or_else(|| "it names no user, nor does PGUSER".to_owned())?);
    }
    if config.get_dbname().is_none() {
        let database = var("PGDATABASE").or_else(|| config.get_user().map(str::to_owned));
        config.dbname(database.unwrap_or_default());
    }
    if config.get_application_name().is_none() {
        config.application_name("keyfold");
    }
    Ok(())
}

/// Without a word about it, what leaves the machine is encrypted to a host that is verified.
fn tls(config: &Config, mode: Option<&str>, root_cert: Option<String>) -> Result<Tls, String> {
    let verified = Tls::Verified(root_cert.map(PathBuf::from));
    match mode {
        Some("disable") => Ok(Tls::Off),
        Some("require") => Ok(Tls::Unverified),
        Some("verify-full") => Ok(verified),
        Some(_) => Err("sslmode is disable, require or verify-full".to_owned()),
        None if config.get_hosts().iter().all(is_local) && config.get_hostaddrs().is_empty() => {
            Ok(Tls::Off)
        }
        None => Ok(verified),
    }
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            let ip = name.parse::<IpAddr>();
            name == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
        }
    }
}

/// An error with its causes.
pub(super) fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Server, OpenError> {
        let var = |name: &str| (name == "USER").then(|| "ann".to_owned());
        Server::parse(text, "table", &var, &mut |name, _| Ok(name == "table"))
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_to_a_verified_host() {
        let tls = |host: &str, more: &str| {
            let address = format!("pg://{host}/d?table=t{more}");
            parse(&address).unwrap().tls
        };
        assert_eq!(tls("localhost", ""), Tls::Off);
        assert_eq!(tls("127.0.0.1", ""), Tls::Off);
        assert_eq!(tls("%2Frun%2Fpg", ""), Tls::Off);
        assert_eq!(tls("db.example", ""), Tls::Verified(None));
        assert_eq!(tls("localhost,db.example", ""), Tls::Verified(None));
        assert_eq!(tls("localhost", "&hostaddr=10.0.0.1"), Tls::Verified(None));
        assert_eq!(tls("db.example", "&sslmode=require"), Tls::Unverified);
        assert_eq!(tls("db.example", "&sslmode=disable"), Tls::Off);
        assert_eq!(
            tls("localhost", "&sslmode=verify-full&sslrootcert=%2Fca.pem"),
            Tls::Verified(Some(PathBuf::from("/ca.pem")))
        );
    }

    #[test]
    fn a_name_has_no_user_and_an_error_says_what_was_looked_for() {
        let server = parse("pg://bob@db.example:5433/shop?table=t").unwrap();
        assert_eq!(server.named("t\n"), "pg://db.example:5433/shop/t?");
        let refused = parse("pg://h/d?sslmode=prefer").err().unwrap().to_string();
        assert!(
            refused.contains("table") && refused.contains("sslmode"),
            "{refused}"
        );
    }
}
