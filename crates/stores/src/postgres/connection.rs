//! [`Connections`]: as many as there are threads, each made when it is needed and used again.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use keyfold_envelope::Error;
use keyfold_postgres::{is_lost, whole};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::OpenError;

use super::server::Server;

/// Times between tries, where a connection was lost: a server that starts again, or another one that
/// takes its place, is there within seconds.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(6),
];

/// What every connection is set to. Keys come and go as text: dates in one form. A guarded statement
/// needs no more than READ COMMITTED, waits for no lock of a table for long, is planned for the rows
/// it has, and is durable when it returns.
const SETTINGS: &str = "\
    SET DateStyle = 'ISO, YMD'; \
    SET default_transaction_isolation = 'read committed'; \
    SET lock_timeout = '5s'; \
    SET plan_cache_mode = 'force_custom_plan'; \
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'";

/// Connections to one database, for threads that wait.
pub(super) struct Connections {
    runtime: Runtime,
    database: keyfold_postgres::Server,
    idle: Mutex<Vec<Client>>,
}

impl Connections {
    /// Nothing is connected yet.
    pub(super) fn new(server: &Server) -> Result<Self, OpenError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("keyfold-postgres")
            .enable_all()
            .build()
            .map_err(OpenError::Thread)?;
        Ok(Self {
            runtime,
            database: server.database.clone(),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// The result of `work` on a connection. Where that is lost, it is done again on another one: so
    /// it must be such that twice does not harm.
    pub(super) fn run<T>(
        &self,
        work: impl AsyncFn(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Error> {
        let mut pauses = PAUSES.iter();
        loop {
            let error = match self.try_once(&work) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            match pauses.next() {
                Some(pause) if is_lost(&error) => thread::sleep(*pause),
                _ => return Err(fault(error)),
            }
        }
    }

    /// The same without another try: so that an address that is wrong is told at once.
    pub(super) fn try_once<T>(
        &self,
        work: &impl AsyncFn(&Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, tokio_postgres::Error> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let known = idle().pop();
        self.runtime.block_on(async {
            let client = match known.filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => self.connect().await?,
            };
            let done = work(&client).await;
            if !client.is_closed() {
                idle().push(client);
            }
            done
        })
    }

    async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let client = self.database.connect().await?;
        client.batch_execute(SETTINGS).await?;
        Ok(client)
    }
}

/// What a job makes of an error. Where the same would come for every row, the job ends.
pub(super) fn fault(error: tokio_postgres::Error) -> Error {
    let Some(db) = error.as_db_error() else {
        return Error::Unavailable(whole(&error));
    };
    let text = format!("{}: {} ({})", db.severity(), db.message(), db.code().code());
    let class = db.code().code().get(..2).unwrap_or_default();
    match class {
        _ if *db.code() == SqlState::LOCK_NOT_AVAILABLE => Error::Busy,
        // Connections, passwords, databases; transactions that only read; rights and names; resources;
        // whoever runs the server; the system.
        "08" | "25" | "28" | "3D" | "3F" | "42" | "53" | "57" | "58" | "XX" => {
            Error::Unavailable(text)
        }
        _ => Error::Io(std::io::Error::other(text)),
    }
}
