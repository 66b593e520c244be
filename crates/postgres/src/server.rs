//! [`Server`]: where a database is and how it is connected to.

use std::future::poll_fn;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Error, NoTls};

use super::error::whole;
use super::password;
use super::tls::Connector;

/// Most time for a connection to come up, where the address does not say.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a database is and how it is connected to.
#[derive(Clone)]
pub struct Server {
    /// With the password.
    config: Config,
    tls: Tls,
    connector: Option<Connector>,
}

/// How a connection is protected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// Not at all: sockets of this machine.
    Off,
    /// Encrypted, to whoever answers.
    Unverified,
    /// Encrypted, to the host that was named; by the authorities in this file, or the system's.
    Verified(Option<PathBuf>),
}

/// Whether an address may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passwords {
    /// It may: it stands in a file, or in a variable.
    Taken,
    /// It may not: it stands on a command line, where every process of the machine can read it.
    Refused,
}

const NO_PASSWORD: &str = "a password does not belong in it, where every process of the machine can \
    read it: use PGPASSWORD or ~/.pgpass";

impl Server {
    /// Reads `user@host:port/database` and the parameters `name=value` of an address. What they do not
    /// say comes from libpq's variables, as `var` has them, and from `.pgpass`. No error repeats a
    /// password.
    pub fn new(
        location: &str,
        parameters: &[&str],
        passwords: Passwords,
        var: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let authority = location.split_once('/').map_or(location, |(host, _)| host);
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        let named = |pair: &&str| pair.split_once('=').is_some_and(|(k, _)| k == "password");
        let has_password = user.contains(':') || parameters.iter().any(named);
        if has_password && passwords == Passwords::Refused {
            return Err(NO_PASSWORD.to_owned());
        }
        let (mut mode, mut root_cert, mut rest) = (None, None, Vec::new());
        for pair in parameters {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(decoded(value)?),
                Some(("sslrootcert", value)) => root_cert = Some(decoded(value)?),
                _ => rest.push(*pair),
            }
        }
        let url = format!("postgresql://{location}?{}", rest.join("&"));
        let parsed = url.parse::<Config>();
        let mut config = parsed.map_err(|error| whole(&error))?;
        complete(&mut config, var)?;
        let mode = mode.or_else(|| var("PGSSLMODE"));
        let root_cert = root_cert.or_else(|| var("PGSSLROOTCERT"));
        let tls = tls(&config, mode.as_deref(), root_cert)?;
        if config.get_password().is_none() {
            password::find(&mut config, var)?;
        }
        let connector = match &tls {
            Tls::Off => None,
            wanted => Some(Connector::new(wanted)?),
        };
        config.ssl_mode(match connector {
            Some(_) => SslMode::Require,
            None => SslMode::Disable,
        });
        Ok(Self {
            config,
            tls,
            connector,
        })
    }

    /// What is asked of each connection.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The same, to change it.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// How connections are protected.
    pub fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Hosts, ports and database for reports: nothing secret.
    pub fn name(&self) -> String {
        let hosts = self.config.get_hosts().iter().map(|host| match host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(path) => path.display().to_string(),
        });
        let mut hosts: Vec<_> = hosts.collect();
        if hosts.is_empty() {
            let addresses = self.config.get_hostaddrs().iter();
            hosts.extend(addresses.map(ToString::to_string));
        }
        let ports = self
            .config
            .get_ports()
            .iter()
            .map(|port| format!(":{port}"));
        let ports = ports.collect::<Vec<_>>().join(",");
        let database = self.config.get_dbname().unwrap_or_default();
        let text = format!("{}{ports}/{database}", hosts.join(","));
        text.replace(char::is_control, "?")
    }

    /// A connection, which a task of the current runtime carries until its client is dropped.
    pub async fn connect(&self) -> Result<Client, Error> {
        self.listen(|_| ()).await
    }

    /// The same, with somebody who is told the texts of notifications.
    pub async fn listen(&self, heard: impl FnMut(&str) + Send + 'static) -> Result<Client, Error> {
        match &self.connector {
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(carry(connection, heard));
                Ok(client)
            }
            Some(connector) => {
                let (client, connection) = self.config.connect(connector.clone()).await?;
                tokio::spawn(carry(connection, heard));
                Ok(client)
            }
        }
    }
}

async fn carry<S, T>(mut connection: Connection<S, T>, mut heard: impl FnMut(&str))
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            Some(Ok(AsyncMessage::Notification(notification))) => heard(notification.payload()),
            Some(Ok(_)) => {}
            // What a connection ends with, its client is told, too.
            Some(Err(_)) | None => return,
        }
    }
}

/// A value of an address, as URLs write it.
pub fn decoded(value: &str) -> Result<String, String> {
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
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(PATIENCE);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn server(location: &str, parameters: &[&str], passwords: Passwords) -> Result<Server, String> {
        let var = |name: &str| (name == "USER").then(|| "ann".to_owned());
        Server::new(location, parameters, passwords, &var)
    }

    #[test]
    fn what_leaves_the_machine_is_encrypted_to_a_verified_host() {
        let tls = |host: &str, parameters: &[&str]| {
            let server = server(&format!("{host}/d"), parameters, Passwords::Refused);
            // A machine of tests may have no authorities.
            server.map_or(Tls::Verified(None), |server| server.tls().clone())
        };
        assert_eq!(tls("localhost", &[]), Tls::Off);
        assert_eq!(tls("127.0.0.1", &[]), Tls::Off);
        assert_eq!(tls("%2Frun%2Fpg", &[]), Tls::Off);
        assert_eq!(tls("db.example", &[]), Tls::Verified(None));
        assert_eq!(tls("localhost,db.example", &[]), Tls::Verified(None));
        assert_eq!(
            tls("localhost", &["hostaddr=10.0.0.1"]),
            Tls::Verified(None)
        );
        assert_eq!(tls("db.example", &["sslmode=require"]), Tls::Unverified);
        assert_eq!(tls("db.example", &["sslmode=disable"]), Tls::Off);
        let absent = ["sslmode=verify-full", "sslrootcert=%2Fabsent.pem"];
        let refused = server("localhost/d", &absent, Passwords::Refused).err();
        assert!(refused.unwrap().contains("sslrootcert /absent.pem"));
    }

    #[test]
    fn a_password_is_taken_only_where_it_may_stand_and_never_repeated() {
        for (location, parameters) in [
            ("bob:hunter2@h/d", &[] as &[&str]),
            ("bob@h/d", &["password=hunter2"]),
        ] {
            let parameters: Vec<_> = [parameters, &["sslmode=disable"]].concat();
            let refused = server(location, &parameters, Passwords::Refused).err();
            let refused = refused.unwrap();
            assert!(refused.contains("PGPASSWORD") && !refused.contains("hunter2"));
            let taken = server(location, &parameters, Passwords::Taken).unwrap();
            assert_eq!(taken.config().get_password(), Some(b"hunter2".as_slice()));
            assert!(!taken.name().contains("hunter2"), "{}", taken.name());
            let wrong = [&parameters[..], &["speed=hunter2"]].concat();
            let wrong = server(location, &wrong, Passwords::Taken).err().unwrap();
            assert!(!wrong.contains("hunter2"), "{wrong}");
        }
    }

    #[test]
    fn what_is_left_out_comes_from_variables() {
        let server = server("h", &["sslmode=disable"], Passwords::Refused).unwrap();
        assert_eq!(server.config().get_user(), Some("ann"));
        assert_eq!(server.config().get_dbname(), Some("ann"));
        assert_eq!(server.name(), "h:5432/ann");
    }
}
