//! [`Table`]: the table as its catalog has it.

use tokio_postgres::{Client, Error};

use super::address::Column;
use super::cell::Kind;
use super::statements::qualified;

/// A table with a column of wraps.
pub(super) struct Table {
    /// What reports call it.
    pub(super) name: String,
    /// The same as SQL takes it.
    pub(super) quoted: String,
    /// The columns that name a row, in the order of their index.
    pub(super) ids: Vec<IdColumn>,
    pub(super) wrapped: String,
    pub(super) kind: Kind,
}

/// A column of the key.
pub(super) struct IdColumn {
    pub(super) name: String,
    /// Its type, as SQL takes it.
    pub(super) kind: String,
}

/// A column that a table has.
pub(super) struct Found {
    pub(super) name: String,
    /// Its type, as SQL takes it.
    pub(super) kind: String,
    is_text: bool,
    is_bytes: bool,
    is_required: bool,
}

/// What the catalog has of a table: its columns, none where there is no table, and its unique indexes
/// over whole columns, whether each is the primary key's and its columns in order.
pub(super) struct Catalog {
    pub(super) columns: Vec<Found>,
    pub(super) indexes: Vec<(bool, Vec<String>)>,
}

const COLUMNS: &str = "\
    SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), \
        a.atttypid IN ('text'::regtype, 'varchar'::regtype), a.atttypid = 'bytea'::regtype, a.attnotnull \
    FROM pg_attribute a \
    WHERE a.attrelid = to_regclass($1::text) AND a.attnum > 0 AND NOT a.attisdropped";

/// The unique indexes over whole columns: whether it is the primary key, and its columns in order.
const INDEXES: &str = "\
    SELECT i.indisprimary, ARRAY( \
        SELECT a.attname::text \
        FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) WITH ORDINALITY AS k(number, place) \
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number \
        ORDER BY k.place) \
    FROM pg_index i \
    WHERE i.indrelid = to_regclass($1::text) AND i.indisunique AND i.indisvalid \
        AND i.indpred IS NULL AND i.indexprs IS NULL \
    ORDER BY i.indisprimary DESC";

impl Catalog {
    /// Asks for the table of this name, as SQL takes it.
    pub(super) async fn look_up(client: &Client, quoted: &str) -> Result<Self, Error> {
        let mut columns = Vec::new();
        for row in client.query(COLUMNS, &[&quoted]).await? {
            columns.push(Found {
                name: row.try_get(0)?,
                kind: row.try_get(1)?,
                is_text: row.try_get(2)?,
                is_bytes: row.try_get(3)?,
                is_required: row.try_get(4)?,
            });
        }
        let mut indexes = Vec::new();
        for row in client.query(INDEXES, &[&quoted]).await? {
            indexes.push((row.try_get(0)?, row.try_get(1)?));
        }
        Ok(Self { columns, indexes })
    }
}

impl Table {
    /// Asks the catalog. The inner error says what of the address does not fit.
    pub(super) async fn look_up(
        client: &Client,
        column: &Column,
    ) -> Result<Result<Self, String>, Error> {
        let quoted = qualified(column.schema.as_deref(), &column.table);
        let Catalog { columns, indexes } = Catalog::look_up(client, &quoted).await?;
        Ok(Self::of(column, quoted, &columns, &indexes))
    }

    fn of(
        asked: &Column,
        quoted: String,
        columns: &[Found],
        indexes: &[(bool, Vec<String>)],
    ) -> Result<Self, String> {
        if columns.is_empty() {
            return Err(format!("there is no table {quoted}"));
        }
        let find = |name: &str| {
            let mut columns = columns.iter();
            let found = columns.find(|column| column.name == name);
            found.ok_or_else(|| format!("the table has no column {name:?}"))
        };
        let wrapped = find(&asked.wrapped)?;
        let kind = match wrapped {
            Found { is_text: true, .. } => Kind::Text,
            Found { is_bytes: true, .. } => Kind::Bytes,
            other => {
                return Err(format!(
                    "the column {:?} is {}, and wraps are text, varchar or bytea",
                    other.name, other.kind
                ));
            }
        };
        let key = key_of(&asked.ids, indexes)?;
        let mut ids = Vec::with_capacity(key.len());
        for name in key {
            let id = find(name)?;
            if !id.is_required {
                return Err(format!(
                    "the column {name:?} may be NULL, so it names no row"
                ));
            }
            ids.push(IdColumn {
                name: id.name.clone(),
                kind: id.kind.clone(),
            });
        }
        if ids.iter().any(|id| id.name == asked.wrapped) {
            return Err(format!("the column {:?} is part of the key", asked.wrapped));
        }
        let name: String = asked
            .schema
            .iter()
            .map(|schema| format!("{schema}."))
            .collect();
        Ok(Self {
            name: format!("{name}{}", asked.table).replace(char::is_control, "?"),
            quoted,
            ids,
            wrapped: asked.wrapped.clone(),
            kind,
        })
    }

    /// The key's columns for reports.
    pub(super) fn id_names(&self) -> String {
        let names: Vec<_> = self.ids.iter().map(|id| id.name.as_str()).collect();
        names.join(",").replace(char::is_control, "?")
    }
}

/// The columns of the index that goes by these names, in its order; of the primary key where none are
/// given. Pages along anything else would read the table again and again, and miss rows that share a
/// value.
fn key_of<'a>(
    names: &[String],
    indexes: &'a [(bool, Vec<String>)],
) -> Result<&'a [String], String> {
    let fits = |is_primary: bool, columns: &[String]| match names.is_empty() {
        true => is_primary,
        false => {
            columns.len() == names.len() && columns.iter().all(|column| names.contains(column))
        }
    };
    let mut indexes = indexes.iter();
    let found = indexes.find(|(is_primary, columns)| fits(*is_primary, columns));
    found
        .map(|(_, columns)| columns.as_slice())
        .ok_or_else(|| match names.is_empty() {
            true => "the table has no primary key: name the columns of a unique index with id="
                .to_owned(),
            false => format!("no unique index is over {}", names.join(", ")),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: &str, is_required: bool) -> Found {
        Found {
            name: name.to_owned(),
            kind: kind.to_owned(),
            is_text: kind == "text",
            is_bytes: kind == "bytea",
            is_required,
        }
    }

    fn table(ids: &[&str], wrapped: &str) -> Result<Table, String> {
        let columns = [
            column("tenant", "uuid", true),
            column("no", "bigint", true),
            column("mail", "text", false),
            column("dek", "bytea", false),
            column("made", "date", false),
        ];
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        let indexes = [(true, names(&["tenant", "no"])), (false, names(&["mail"]))];
        let asked = Column {
            schema: None,
            table: "t".to_owned(),
            ids: names(ids),
            wrapped: wrapped.to_owned(),
        };
        Table::of(&asked, "\"t\"".to_owned(), &columns, &indexes)
    }

    #[test]
    fn the_key_is_in_the_order_of_its_index() {
        let primary: &[&str] = &[];
        for ids in [primary, &["no", "tenant"]] {
            let table = table(ids, "dek").unwrap();
            assert_eq!(table.id_names(), "tenant,no");
            assert_eq!(table.kind, Kind::Bytes);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let primary: &[&str] = &[];
        for (ids, wrapped, word) in [
            (primary, "none", "no column \"none\""),
            (&["no"], "dek", "no unique index is over no"),
            (&["mail"], "dek", "\"mail\" may be NULL"),
            (primary, "made", "\"made\" is date"),
        ] {
            let refused = table(ids, wrapped).err().unwrap();
            assert!(refused.contains(word), "{refused}");
        }
    }
}
