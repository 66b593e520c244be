//! [`Postgres`]: wrapped keys in a column of a table.
//!
//! ```text
//! list     SELECT id, wrapped … WHERE id > last ORDER BY id LIMIT 2048      pages along the primary key
//! change   UPDATE … WHERE id = … AND wrapped = old, 2048 rows a statement   what somebody locks is skipped
//! ```
//!
//! A page is read with its wraps, so a row is read once and written once. Each statement commits by
//! itself: killed at any moment, each row has its old wrap or its new one.

mod address;
mod cell;
mod change;
mod connection;
mod keyring;
mod server;
mod statements;
mod table;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest;
use keyfold_envelope::cobblestone::PayloadKey;
use keyfold_envelope::{Aad, Change, Error, Found, Locator, Store, Unreadable, Written};

use crate::OpenError;

pub use keyring::PostgresKeyring;

use address::Address;
use cell::Cell;
use change::Edit;
use connection::Connections;
use server::Server;
use statements::Statements;
use table::Table;

/// Rows of a page and of a statement.
const BATCH: usize = 2048;

/// One column of one table.
pub struct Postgres {
    address: String,
    connections: Connections,
    table: Table,
    statements: Statements,
    /// The KEK of wraps that stand alone.
    key: Option<Locator>,
    /// Such a wrap is bound to its row.
    binds_id: bool,
}

/// A row that was listed.
pub struct Row {
    /// Its key as text, a text for each column of it.
    id: Vec<String>,
    /// What the column held when it was last looked at.
    cell: Mutex<Cell>,
    /// It was listed, and not looked at since.
    is_fresh: bool,
}

impl Row {
    fn cell(&self) -> Cell {
        self.cell
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn put(&self, cell: Cell) {
        *self.cell.lock().unwrap_or_else(PoisonError::into_inner) = cell;
    }
}

impl Postgres {
    /// True for an address of a database.
    #[must_use]
    pub fn is_address(text: &str) -> bool {
        Server::is_address(text)
    }

    /// The column at `pg://user@host/database?table=…&wrapped=…&key=transit/NAME`, which is connected
    /// to and looked at. What the address does not say comes from libpq's variables, as `var` has
    /// them, and from `.pgpass`; a password never comes from the address.
    pub fn open(text: &str, var: &dyn Fn(&str) -> Option<String>) -> Result<Self, OpenError> {
        let address = Address::parse(text, var)?;
        let name = address.name.clone();
        let connections = Connections::new(&address.server)?;
        let shape = |reason| OpenError::Shape {
            address: name.clone(),
            reason,
        };
        let table = connections
            .try_once(&async |client: &tokio_postgres::Client| {
                Table::look_up(client, &address.column).await
            })
            .map_err(|error| OpenError::Unreachable {
                address: name.clone(),
                reason: connection::fault(error).to_string(),
            })?
            .map_err(&shape)?;
        if address.binds_id && table.ids.len() > 1 {
            return Err(shape("aad=id needs a key of one column".to_owned()));
        }
        Ok(Self {
            statements: Statements::new(&table),
            table,
            connections,
            key: address.key,
            binds_id: address.binds_id,
            address: address.name,
        })
    }

    /// What to call the column, without anything secret.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The KEK of wraps that stand alone.
    #[must_use]
    pub fn key(&self) -> Option<&Locator> {
        self.key.as_ref()
    }

    /// The rows after `after`, a page of them.
    fn page(&self, after: Option<&[String]>) -> Result<VecDeque<Row>, Error> {
        let size = BATCH as i64;
        let sql = self.statements.page(after.is_some());
        let rows = self.connections.run(async |client| {
            let mut parameters: Vec<statements::Parameter<'_>> = vec![&size];
            parameters.extend(
                after
                    .into_iter()
                    .flatten()
                    .map(|id| id as statements::Parameter<'_>),
            );
            client.query(sql, &parameters).await
        })?;
        let mut page = VecDeque::with_capacity(rows.len());
        for row in &rows {
            page.push_back(self.row(row).map_err(connection::fault)?);
        }
        Ok(page)
    }

    fn row(&self, row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
        let width = self.table.ids.len();
        let id = (0..width).map(|at| row.try_get::<_, String>(at));
        Ok(Row {
            id: id.collect::<Result<_, _>>()?,
            cell: Mutex::new(Cell::of(row, width, self.table.kind)?),
            is_fresh: true,
        })
    }

    /// Looks again at rows that were looked at before. A row that is gone holds nothing.
    fn look_again(&self, rows: &[Row]) -> Result<Vec<bool>, Error> {
        let found = self.cells(&rows.iter().map(|row| &row.id).collect::<Vec<_>>())?;
        let known = rows.iter().zip(found).map(|(row, cell)| match cell {
            Some(cell) => {
                row.put(cell);
                true
            }
            None => false,
        });
        Ok(known.collect())
    }

    /// What some rows hold now; `None` for one that is gone or empty.
    fn cells(&self, ids: &[&Vec<String>]) -> Result<Vec<Option<Cell>>, Error> {
        let columns = statements::columns(ids, self.table.ids.len());
        let sql = self.statements.again.as_str();
        let rows = self.connections.run(async |client| {
            let parameters: Vec<statements::Parameter<'_>> = columns
                .iter()
                .map(|column| column as statements::Parameter<'_>)
                .collect();
            client.query(sql, &parameters).await
        })?;
        let mut cells: Vec<Option<Cell>> = Vec::new();
        cells.resize_with(ids.len(), || None);
        for row in &rows {
            let number = statements::number(row).map_err(connection::fault)?;
            if let Some(place) = cells.get_mut(number) {
                *place = Some(Cell::of(row, 1, self.table.kind).map_err(connection::fault)?);
            }
        }
        Ok(cells)
    }

    fn found(&self, row: &Row) -> Result<Option<Found>, Error> {
        let aad = || self.binds_id.then(|| bound_to(&row.id));
        let content = row.cell().content(self.key.as_ref(), aad)?;
        // How much data hangs on a row, no row says.
        Ok(Some(Found { content, len: 0 }))
    }
}

/// What a wrap is bound to that is bound to its row: SHA-256 of the key's text.
fn bound_to(id: &[String]) -> Aad {
    let mut hash = digest::Context::new(&digest::SHA256);
    id.iter().for_each(|part| hash.update(part.as_bytes()));
    let mut aad = [0; 32];
    let sum = hash.finish();
    aad.iter_mut()
        .zip(sum.as_ref())
        .for_each(|(to, from)| *to = *from);
    aad
}

/// The pages of a table, as rows.
struct Listing<'a> {
    store: &'a Postgres,
    page: VecDeque<Row>,
    last: Option<Vec<String>>,
    ended: bool,
}

impl Iterator for Listing<'_> {
    type Item = Result<Row, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() && !self.ended {
            match self.store.page(self.last.as_deref()) {
                Ok(page) => self.page = page,
                Err(error) => {
                    self.ended = true;
                    let path = PathBuf::from(self.store.address());
                    return Some(Err(Unreadable { path, error }));
                }
            }
            self.ended = self.page.len() < BATCH;
        }
        let row = self.page.pop_front()?;
        if self.page.is_empty() {
            self.last = Some(row.id.clone());
        }
        Some(Ok(row))
    }
}

impl Store for Postgres {
    type Entry = Row;

    fn list(&self) -> Box<dyn Iterator<Item = Result<Row, Unreadable>> + Send + '_> {
        Box::new(Listing {
            store: self,
            page: VecDeque::new(),
            last: None,
            ended: false,
        })
    }

    fn count(&self) -> Option<u64> {
        let sql = self.statements.count.as_str();
        let counted = self
            .connections
            .run(async |client| client.query_one(sql, &[]).await);
        let counted: i64 = counted.ok()?.try_get(0).ok()?;
        u64::try_from(counted).ok()
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn name(&self, row: &Row) -> PathBuf {
        let id = row.id.iter().map(|part| part.escape_debug().to_string());
        let id = id.collect::<Vec<_>>().join(",");
        PathBuf::from(format!(
            "{} {}={id}",
            self.table.name,
            self.table.id_names()
        ))
    }

    fn read(&self, rows: &mut [Row]) -> Vec<Result<Option<Found>, Error>> {
        let stale = rows.iter().any(|row| !row.is_fresh);
        let known = match stale {
            false => vec![true; rows.len()],
            true => match self.look_again(rows) {
                Ok(known) => known,
                Err(error) => return change::same(&error, rows.len()),
            },
        };
        let mut answers = Vec::with_capacity(rows.len());
        for (row, is_known) in rows.iter_mut().zip(known) {
            row.is_fresh = false;
            answers.push(if is_known { self.found(row) } else { Ok(None) });
        }
        answers
    }

    fn change(&self, changes: &[(&Row, &Change)]) -> Vec<Result<Written, Error>> {
        let mut answers: Vec<Result<Written, Error>> = Vec::new();
        answers.resize_with(changes.len(), || Err(Error::SlotsChanged));
        let mut left: Vec<usize> = (0..changes.len()).collect();
        while !left.is_empty() {
            // A statement changes a row once; a row with more to change waits for the next one.
            let mut ids = std::collections::HashSet::new();
            let (now, later): (Vec<_>, Vec<_>) = left
                .into_iter()
                .filter_map(|number| {
                    changes
                        .get(number)
                        .map(|(row, change)| (number, *row, *change))
                })
                .partition(|(_, row, _)| ids.insert(&row.id));
            let mut edits = Vec::with_capacity(now.len());
            for (number, row, change) in now {
                let answer = match Edit::new(number, row, change) {
                    Ok(Some(edit)) => {
                        edits.push(edit);
                        continue;
                    }
                    Ok(None) => Ok(Written::default()),
                    Err(error) => Err(error),
                };
                change::answer(&mut answers, number, answer);
            }
            self.carry_out(&edits, &mut answers);
            left = later.into_iter().map(|(number, ..)| number).collect();
        }
        answers
    }

    fn check_payload(&self, _row: &Row, _key: &PayloadKey) -> Result<(), Error> {
        Err(Error::Unsupported(
            "a payload that lies elsewhere (--verify commit checks the key)",
        ))
    }

    /// Each statement is durable when it returns.
    fn settle(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrap_is_bound_to_the_text_of_its_key() {
        let hex = bound_to(&["abc".to_owned()]);
        assert_eq!(hex[..4], [0xba, 0x78, 0x16, 0xbf]);
    }
}
