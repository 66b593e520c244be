//! Finding the database and checking that it is one to keep a store on.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use keyfold_core::id;
use keyfold_postgres::{Passwords, Server};
use tokio::time::timeout;
use tokio_postgres::config::TargetSessionAttrs;

use super::super::standing::Standing;
use super::clock::Clock;
use super::failure::{ATTEMPT, Failure};
use super::feed::Feed;
use super::follow;
use super::locks::LetGo;
use super::pool::{Link, Pool};
use super::schema::{self, Found, Unfit};
use super::sql::Sql;
use super::tables::Tables;
use super::{Postgres, Shared, writer};

/// The table's name where none is given.
pub const TABLE: &str = "keyfold";
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// The oldest version that is tried.
const OLDEST: i32 = 130_000;
/// Most that the database's clock may differ from this machine's. Nodes that disagree more would
/// disagree on what has expired.
const MAX_SKEW: f64 = 30.0;
/// Time for a host to take a connection.
const CONNECT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(500);

/// How a store is opened.
pub struct Options {
    pub(super) server: Server,
    pub(super) tables: Tables,
    /// Most connections of readers; the writer and the change feed have one each beside them.
    pub max_parallel: usize,
    /// How often it is tried again at the start, where nothing answers.
    pub connect_retries: usize,
    /// Makes the tables where there are none.
    pub creates: bool,
    /// What the cluster is called: a store of another name is refused.
    pub cluster: Option<String>,
    /// How long a node may answer from memory that has not heard from the store.
    pub freshness: Duration,
    /// The machine this node runs on, for the list of nodes.
    pub host: String,
    /// Where clients reach it, for the same.
    pub address: String,
    /// The version it runs, for the same.
    pub version: String,
}

impl Options {
    /// The defaults for a store at `postgres://user@host/database`, in tables called after `table`.
    /// What the address does not say comes from libpq's variables, as `var` has them, and from
    /// `.pgpass`. No error repeats a password.
    pub fn new(
        url: &str,
        table: &str,
        var: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, String> {
        let rest = SCHEMES.iter().find_map(|scheme| url.strip_prefix(scheme));
        let rest = rest.ok_or("\"connection_url\" has to begin with postgres://")?;
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parameters: Vec<_> = query.split('&').filter(|pair| !pair.is_empty()).collect();
        let server = Server::new(location, &parameters, Passwords::Taken, var);
        let mut server = server.map_err(|why| format!("\"connection_url\": {why}"))?;
        let config = server.config_mut();
        if config.get_target_session_attrs() == TargetSessionAttrs::Any {
            // Of several hosts, the one that takes writes: a failover is followed.
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if !parameters
            .iter()
            .any(|pair| pair.starts_with("connect_timeout="))
        {
            // Of several hosts, one that is silent must not use up the time of a try.
            config.connect_timeout(CONNECT);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(ATTEMPT);
        }
        Ok(Self {
            server,
            tables: Tables::called(table).map_err(|why| format!("\"table\": {why}"))?,
            max_parallel: 16,
            connect_retries: 1,
            creates: true,
            cluster: None,
            freshness: Duration::from_secs(1),
            host: String::new(),
            address: String::new(),
            version: String::new(),
        })
    }

    /// Shortest and longest [`Options::freshness`].
    pub const FRESHNESS: (Duration, Duration) =
        (Duration::from_millis(100), Duration::from_secs(10));
}

/// Why a store did not open. No variant holds a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database can't be reached, lets nobody in, or is not one to keep a store on.
    #[error("PostgreSQL at {server}: {reason}")]
    Server {
        /// Hosts and database.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// What has the table's name is no store for this server.
    #[error("the table {table} at {server}: {reason}")]
    Table {
        /// Its name.
        table: String,
        /// Hosts and database.
        server: String,
        /// What is wrong.
        reason: String,
    },
}

/// Opens a store, on the current runtime.
pub(super) async fn open(options: Options) -> Result<Postgres, OpenError> {
    let refused = |reason| OpenError::Server {
        server: options.server.name(),
        reason,
    };
    let link = connect(&options).await.map_err(|why| refused(why.text()))?;
    let fit = timeout(ATTEMPT, check_server(&link)).await;
    let fit = fit.unwrap_or_else(|_| Err(Failure::silence()));
    fit.map_err(|why| refused(why.text()))?.map_err(refused)?;
    let found = timeout(2 * ATTEMPT, schema::open(&link, &options)).await;
    let found = found.unwrap_or_else(|_| Err(Unfit::Failed(Failure::silence())));
    let found = found.map_err(|unfit| OpenError::Table {
        table: options.tables.name.clone(),
        server: options.server.name(),
        reason: match unfit {
            Unfit::Refused(reason) => reason,
            Unfit::Failed(failure) => failure.text(),
        },
    })?;
    drop(link);
    Ok(start(options, found))
}

fn start(options: Options, found: Found) -> Postgres {
    let (least, most) = Options::FRESHNESS;
    let bound = options.freshness.clamp(least, most);
    let standing = Arc::new(Standing::new(bound, found.revision));
    let shared = Arc::new_cyclic(|own| Shared {
        own: own.clone(),
        sql: Sql::new(&options.tables),
        pool: Pool::new(options.max_parallel.max(1)),
        feed: Feed::new(found.revision, found.origin, standing.clone()),
        standing,
        let_go: LetGo::default(),
        clock: Mutex::new(Clock::new(bound)),
        id: id::uuid(),
        host: options.host,
        address: options.address,
        version: options.version,
        channel: format!("keyfold_{}", found.mark),
        server: options.server,
    });
    tokio::spawn(follow::follow(Arc::downgrade(&shared)));
    Postgres {
        jobs: writer::start(shared.clone()),
        shared,
    }
}

async fn connect(options: &Options) -> Result<Link, Failure> {
    let mut left = options.connect_retries;
    loop {
        match (
            Link::open(&options.server).await.map_err(Failure::from),
            left,
        ) {
            (Err(Failure::Passing(reason)), 1..) => {
                tracing::warn!(reason, "the database can't be reached yet");
                left = left.saturating_sub(1);
                tokio::time::sleep(PAUSE).await;
            }
            (connected, _) => return connected,
        }
    }
}

const SERVER: &str = "\
    SELECT current_setting('server_version_num')::integer, current_setting('server_encoding'), \
        current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on', \
        extract(epoch FROM clock_timestamp())::float8";

/// The inner error says what does not fit.
async fn check_server(link: &Link) -> Result<Result<(), String>, Failure> {
    let row = link.one(SERVER, &[]).await?;
    let (version, encoding): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    let (is_durable, clock): (bool, f64) = (row.try_get(2)?, row.try_get(3)?);
    if version < OLDEST {
        return Ok(Err(format!(
            "it is version {}, and 13 is the oldest that will do",
            version / 10_000
        )));
    }
    if encoding != "UTF8" {
        return Ok(Err(format!(
            "the database is encoded in {encoding}: keys are UTF-8, so make one with ENCODING 'UTF8'"
        )));
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let skew = clock - now.map_or(0.0, |now| now.as_secs_f64());
    if skew.abs() > MAX_SKEW {
        return Ok(Err(format!(
            "its clock is {skew:.0} s apart from this machine's, and nodes that disagree on the time \
             disagree on what has expired: set the clocks"
        )));
    }
    if !is_durable {
        tracing::warn!(
            "the database runs with fsync or full_page_writes off: a power cut there can lose \
             everything"
        );
    }
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, table: &str) -> String {
        let var = |name: &str| (name == "USER").then(|| "ann".to_owned());
        Options::new(url, table, &var).err().unwrap()
    }

    #[test]
    fn addresses_that_say_nothing_are_refused() {
        for (url, table, word) in [
            ("mysql://h/d", TABLE, "begin with postgres://"),
            ("host=h dbname=d", TABLE, "begin with postgres://"),
            ("postgres://localhost:port/d", TABLE, "\"connection_url\""),
            ("postgres://localhost/d?speed=1", TABLE, "speed"),
            ("postgres://localhost/d?sslmode=prefer", TABLE, "sslmode"),
            ("postgres://localhost/d", "a b", "\"table\""),
        ] {
            let refused = refused(url, table);
            assert!(refused.contains(word), "{url}: {refused}");
        }
    }

    #[test]
    fn a_password_in_the_address_is_not_repeated() {
        let refused = refused("postgres://bob:hunter2@localhost/d?speed=1", TABLE);
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}
