//! [`Address`]: where a column is, out of `pg://…` and the variables that libpq reads.

use std::net::IpAddr;
use std::path::PathBuf;

use keyfold_envelope::Locator;
use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::OpenError;

use super::password;

const SCHEMES: [&str; 3] = ["pg://", "postgres://", "postgresql://"];

/// What an address says.
pub(super) struct Address {
    /// How to connect, with the password.
    pub(super) config: Config,
    pub(super) tls: Tls,
    pub(super) column: Column,
    /// The KEK of wraps that stand alone.
    pub(super) key: Option<Locator>,
    /// Such a wrap is bound to its row.
    pub(super) binds_id: bool,
    /// What to call it.
    pub(super) name: String,
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

/// Which column, by names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) schema: Option<String>,
    pub(super) table: String,
    /// The columns that name a row; those of the primary key where it is empty.
    pub(super) ids: Vec<String>,
    pub(super) wrapped: String,
}

/// What is ours in an address; the rest is libpq's.
#[derive(Default)]
struct Asked {
    column: Column,
    key: Option<Locator>,
    binds_id: bool,
    ssl_mode: Option<String>,
    root_cert: Option<String>,
    rest: Vec<String>,
}

impl Address {
    pub(super) fn is_one(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.starts_with(scheme))
    }

    /// Reads an address. `var` gives variables of the environment.
    pub(super) fn parse(
        text: &str,
        var: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, OpenError> {
        let address = |reason: String| OpenError::Address {
            place: "column",
            reason,
        };
        let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| address("it starts with pg://".to_owned()))?;
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = base.split_once('/').unwrap_or((base, ""));
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        if user.contains(':') {
            return Err(address(NO_PASSWORD.to_owned()));
        }
        let asked = Asked::parse(query).map_err(address)?;
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
            name: name(authority, database, &asked.column),
            config,
            tls,
            column: asked.column,
            key: asked.key,
            binds_id: asked.binds_id,
        })
    }
}

const NO_PASSWORD: &str = "a password does not belong in it, where every process of the machine can \
    read it: use PGPASSWORD or ~/.pgpass";

impl Asked {
    fn parse(query: &str) -> Result<Self, String> {
        let mut asked = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "table" => asked.table(value)?,
                "id" => {
                    let ids = value.split(',').map(decoded);
                    asked.column.ids = ids.collect::<Result<_, _>>()?;
                }
                "wrapped" => asked.column.wrapped = decoded(value)?,
                "key" => {
                    let key = decoded(value)?.parse::<Locator>();
                    asked.key = Some(key.map_err(|error| format!("key: {error}"))?);
                }
                "aad" => {
                    asked.binds_id = match value {
                        "none" => false,
                        "id" => true,
                        _ => return Err("aad is none or id".to_owned()),
                    }
                }
                "password" => return Err(NO_PASSWORD.to_owned()),
                "sslmode" => asked.ssl_mode = Some(decoded(value)?),
                "sslrootcert" => asked.root_cert = Some(decoded(value)?),
                _ => asked.rest.push(pair.to_owned()),
            }
        }
        for (name, value) in [
            ("table", &asked.column.table),
            ("wrapped", &asked.column.wrapped),
        ] {
            if value.is_empty() {
                return Err(format!("it lacks {name}=NAME"));
            }
        }
        Ok(asked)
    }

    /// `table` or `schema.table`; a dot of a name itself is written `%2E`.
    fn table(&mut self, value: &str) -> Result<(), String> {
        match value.split_once('.') {
            Some((schema, table)) => {
                self.column.schema = Some(decoded(schema)?);
                self.column.table = decoded(table)?;
            }
            None => self.column.table = decoded(value)?,
        }
        Ok(())
    }
}

fn decoded(value: &str) -> Result<String, String> {
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

/// `pg://host/database/table.column`.
fn name(authority: &str, database: &str, column: &Column) -> String {
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let schema = column.schema.iter().map(|schema| format!("{schema}."));
    let schema: String = schema.collect();
    let text = format!(
        "pg://{host}/{database}/{schema}{}.{}",
        column.table, column.wrapped
    );
    text.replace(char::is_control, "?")
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

    const COLUMN: &str = "table=app.accounts&id=tenant,no&wrapped=dek&key=transit/payments";

    fn parse(text: &str) -> Result<Address, String> {
        let parsed = Address::parse(text, &|name| (name == "USER").then(|| "ann".to_owned()));
        parsed.map_err(|error| error.to_string())
    }

    fn refused(text: &str) -> String {
        parse(text).err().unwrap()
    }

    #[test]
    fn an_address_says_where_the_column_is() {
        let address = parse(&format!("pg://bob@db.example:5433/shop?{COLUMN}&aad=id")).unwrap();
        assert_eq!(
            address.column,
            Column {
                schema: Some("app".to_owned()),
                table: "accounts".to_owned(),
                ids: vec!["tenant".to_owned(), "no".to_owned()],
                wrapped: "dek".to_owned(),
            }
        );
        assert_eq!(address.key.unwrap().as_str(), "transit/payments");
        assert!(address.binds_id);
        assert_eq!(address.config.get_user(), Some("bob"));
        assert_eq!(address.config.get_dbname(), Some("shop"));
        assert_eq!(address.config.get_ports(), [5433]);
        assert_eq!(address.name, "pg://db.example:5433/shop/app.accounts.dek");
    }

    #[test]
    fn names_may_hold_anything() {
        let address = parse("pg://h/d?table=a%2Eb%22%20c&wrapped=d%26e").unwrap();
        assert_eq!(address.column.schema, None);
        assert_eq!(address.column.table, "a.b\" c");
        assert_eq!(address.column.wrapped, "d&e");
        assert!(address.column.ids.is_empty());
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        for text in ["pg://bob:hunter2@h/d?", "pg://h/d?password=hunter2&"] {
            let refused = refused(&format!("{text}{COLUMN}"));
            assert!(refused.contains("PGPASSWORD"), "{refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (text, word) in [
            ("pg://h/d?wrapped=w", "table"),
            ("pg://h/d?table=t", "wrapped"),
            ("pg://h/d?table=t&wrapped=w&key=payments", "key"),
            ("pg://h/d?table=t&wrapped=w&aad=row", "aad"),
            ("pg://h/d?table=t&wrapped=w&sslmode=prefer", "sslmode"),
            ("pg://h/d?table=t&wrapped=w&speed=high", "speed"),
            ("pg://h/d?table=%ff&wrapped=w", "UTF-8"),
            ("pg://h/d?table=%00&wrapped=w", "zero"),
        ] {
            let refused = refused(text);
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_to_a_verified_host() {
        let tls = |host: &str, more: &str| {
            let address = format!("pg://{host}/d?table=t&wrapped=w{more}");
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
}
