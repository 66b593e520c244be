//! [`PostgresKeyring`]: a keyring as rows of a table, one a DEK.
//!
//! ```text
//! load   SELECT … WHERE service = … ORDER BY dek_no
//! save   one statement: the rows that stand as they were read are replaced, new ones come under the primary key
//! ```
//!
//! A table holds the keyrings of any number of services. What a statement does it does whole, durably,
//! or not at all: killed at any moment, the keyring is the old one or the new one.

mod rows;
mod sql;

use std::io;

use keyfold_envelope::Error;
use keyfold_envelope::keyring::{Change, Keyring, KeyringError, KeyringStore};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::OpenError;

use super::address;
use super::connection::{self, Connections};
use super::server::{Server, decoded};
use super::statements::{Parameter, qualified};
use super::table::Catalog;
use rows::Arrays;
use sql::Sql;

/// Most DEKs of a keyring, and the greatest number of one.
const MOST: u32 = 1_000_000;

/// Keeps a keyring in a table of PostgreSQL. Its calls block, from any thread that is not one of an
/// asynchronous runtime.
///
/// It needs SELECT, INSERT and UPDATE on the table; to make the table, which `create` does where there
/// is none, CREATE on its schema. New DEKs are wrapped by the key of the newest row.
pub struct PostgresKeyring {
    service: String,
    /// `pg://HOST/DATABASE/TABLE/SERVICE`.
    place: String,
    connections: Connections,
    sql: Sql,
}

impl PostgresKeyring {
    /// The keyring at `pg://USER@HOST/DATABASE?table=TABLE&service=SERVICE`. The database is asked for
    /// the table's columns. What the address does not say comes from libpq's variables, as `var` has
    /// them, and from `.pgpass`; a password never comes from the address.
    ///
    /// # Errors
    ///
    /// [`OpenError`], where the database can't be asked or the table is of another form. That there is
    /// no table is no error yet.
    pub fn open(text: &str, var: &dyn Fn(&str) -> Option<String>) -> Result<Self, OpenError> {
        let mut named = Named::default();
        let server = Server::parse(text, "keyring", var, &mut |name, value| {
            named.take(name, value)
        })?;
        let (table, service) = named.checked().map_err(|reason| server.wrong(reason))?;
        let place = server.named(&format!("{table}/{service}"));
        let connections = Connections::new(&server)?;
        let quoted = qualified(named.schema.as_deref(), &named.table);
        let catalog = connections
            .try_once(&async |client: &Client| Catalog::look_up(client, &quoted).await)
            .map_err(|error| OpenError::Unreachable {
                address: place.clone(),
                reason: connection::fault(error).to_string(),
            })?;
        sql::check(&catalog).map_err(|reason| OpenError::Shape {
            address: place.clone(),
            reason,
        })?;
        Ok(Self {
            service,
            sql: Sql::new(&quoted),
            connections,
            place,
        })
    }

    /// What to call the keyring at an address, which may be wrong: without a user and whatever else
    /// could be secret.
    #[must_use]
    pub fn name_of(text: &str) -> String {
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let (_, rest) = base.split_once("://").unwrap_or(("", base));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let of = |wanted: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let found = pairs.find(|(name, _)| *name == wanted);
            found.map_or("?", |(_, value)| value).to_owned()
        };
        format!("pg://{host}/{database}/{}/{}", of("table"), of("service"))
    }

    /// Makes the table, unless it is there.
    fn make_table(&self) -> Result<(), KeyringError> {
        let sql = self.sql.make.as_str();
        let made = self.connections.run(async |client: &Client| {
            match client.batch_execute(sql).await {
                // Another process made it at the same time.
                Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(()),
                made => made,
            }
        });
        made.map_err(|error| self.unable(error))
    }

    /// The rows; `None` where there is no table.
    fn rows(&self) -> Result<Option<Vec<tokio_postgres::Row>>, KeyringError> {
        let (sql, most) = (self.sql.load.as_str(), i64::from(MOST).saturating_add(1));
        let found = self.connections.run(async |client: &Client| {
            match client.query(sql, &[&self.service, &most]).await {
                Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(None),
                found => found.map(Some),
            }
        });
        found.map_err(|error| self.unable(error))
    }

    /// Writes rows where the old ones stand as they are given. Done once: what becomes of a statement
    /// whose connection is lost is not known, and done twice it could count what was given back twice.
    fn write(&self, old: &Arrays, new: &Arrays) -> Result<(), KeyringError> {
        let mut parameters: Vec<Parameter<'_>> = vec![&self.service];
        parameters.extend(old.parameters());
        parameters.extend(new.parameters());
        let sql = self.sql.save.as_str();
        let written = self.connections.try_once(&async |client: &Client| {
            client
                .query_one(sql, &parameters)
                .await?
                .try_get::<_, i64>(0)
        });
        let lost = [
            SqlState::UNIQUE_VIOLATION,
            SqlState::T_R_DEADLOCK_DETECTED,
            SqlState::T_R_SERIALIZATION_FAILURE,
        ];
        match written {
            Ok(count) if usize::try_from(count) == Ok(new.len()) => Ok(()),
            Ok(_) => Err(KeyringError::Changed),
            Err(error) if error.code().is_some_and(|code| lost.contains(code)) => {
                Err(KeyringError::Changed)
            }
            Err(error) => Err(self.unable(connection::fault(error))),
        }
    }

    fn unable(&self, error: Error) -> KeyringError {
        match error {
            Error::Busy => KeyringError::Busy(self.place.clone()),
            error => KeyringError::Io {
                place: self.place.clone(),
                source: io::Error::other(error.to_string()),
            },
        }
    }
}

impl KeyringStore for PostgresKeyring {
    fn place(&self) -> &str {
        &self.place
    }

    fn load(&self) -> Result<Keyring, KeyringError> {
        let rows = self.rows()?.unwrap_or_default();
        if rows.len() > MOST as usize {
            return Err(KeyringError::Malformed(format!("more than {MOST} DEKs")));
        }
        let mut read = Vec::with_capacity(rows.len());
        for row in &rows {
            read.push(rows::read(row)?);
        }
        let newest = read.last();
        let newest = newest.ok_or_else(|| KeyringError::NoKeyring(self.place.clone()))?;
        let empty = Keyring::new(&self.service, newest.key.clone())?;
        let numbers: Vec<_> = read.iter().map(|row| row.dek_no).collect();
        empty.holding(read).map_err(|bad| {
            let number = numbers.get(bad.at).copied().unwrap_or_default();
            KeyringError::Malformed(format!("DEK {number}: {}", bad.what))
        })
    }

    fn create(&self, keyring: &Keyring) -> Result<(), KeyringError> {
        if keyring.service() != self.service || keyring.rows().is_empty() {
            let other = format!("it is for a keyring of {:?} with a DEK", self.service);
            return Err(KeyringError::Malformed(other));
        }
        match self.rows()? {
            None => self.make_table()?,
            Some(rows) if rows.is_empty() => {}
            Some(_) => return Err(KeyringError::Exists(self.place.clone())),
        }
        let mut new = Arrays::default();
        for row in keyring.rows() {
            new.push(row)?;
        }
        match self.write(&Arrays::default(), &new) {
            Err(KeyringError::Changed) => Err(KeyringError::Exists(self.place.clone())),
            written => written,
        }
    }

    fn save(&self, changes: &[Change]) -> Result<(), KeyringError> {
        let (mut old, mut new) = (Arrays::default(), Arrays::default());
        for change in changes {
            if change.new.dek_no > MOST {
                return Err(KeyringError::Full);
            }
            if let Some(row) = &change.old {
                old.push(row)?;
            }
            new.push(&change.new)?;
        }
        self.write(&old, &new)
    }
}

/// What an address says of a keyring.
#[derive(Default)]
struct Named {
    schema: Option<String>,
    table: String,
    service: String,
}

impl Named {
    fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "table" => (self.schema, self.table) = address::table(value)?,
            "service" => self.service = decoded(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The table's name for people, and the service's.
    fn checked(&self) -> Result<(String, String), String> {
        for (name, value) in [("table", &self.table), ("service", &self.service)] {
            if value.is_empty() {
                return Err(format!("it lacks {name}=NAME"));
            }
        }
        let schema = self.schema.iter().map(|schema| format!("{schema}."));
        Ok((
            schema.chain([self.table.clone()]).collect(),
            self.service.clone(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let opened =
            PostgresKeyring::open(text, &|name| (name == "USER").then(|| "ann".to_owned()));
        opened.err().unwrap().to_string()
    }

    #[test]
    fn an_address_names_table_and_service_and_no_password() {
        for (text, word) in [
            ("pg://h/d?service=pay", "table"),
            ("pg://h/d?table=t", "service"),
            ("pg://h/d?table=t&service=%00", "zero"),
            ("pg://h/d?table=t&service=pay&wrapped=w", "wrapped"),
            ("pg://ann:hunter2@h/d?table=t&service=pay", "PGPASSWORD"),
        ] {
            let refused = refused(text);
            assert!(refused.contains(word), "{text}: {refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn a_keyring_has_a_name_without_what_is_secret() {
        for (text, name) in [
            (
                "pg://ann:hunter2@h:5/d?table=app.k&password=hunter2&service=pay",
                "pg://h:5/d/app.k/pay",
            ),
            ("pg://h", "pg://h//?/?"),
        ] {
            assert_eq!(PostgresKeyring::name_of(text), name);
        }
    }
}
