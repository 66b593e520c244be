//! The SQL for one column of one table. Names are quoted, values are parameters.

use tokio_postgres::types::ToSql;

use super::cell::Kind;
use super::table::Table;

/// A parameter of a statement.
pub(super) type Parameter<'a> = &'a (dyn ToSql + Sync);

/// The statements.
pub(super) struct Statements {
    first_page: String,
    next_page: String,
    /// Cells by key: an array for each column of the key.
    pub(super) again: String,
    /// New cells for old ones: an array for each column of the key, the old cells, the new ones. It
    /// answers with the numbers of those that it wrote.
    pub(super) update: String,
    /// How many rows have a cell.
    pub(super) count: String,
}

impl Statements {
    pub(super) fn new(table: &Table) -> Self {
        let name = &table.quoted;
        let wrapped = quote(&table.wrapped);
        let ids = || table.ids.iter();
        let quoted: Vec<_> = ids().map(|id| quote(&id.name)).collect();
        // Qualified: a bare name in ORDER BY is that of a result, which is text.
        let key: Vec<_> = quoted.iter().map(|id| format!("t.{id}")).collect();
        let texts: Vec<_> = key.iter().map(|id| format!("{id}::text")).collect();
        let (key, texts) = (key.join(", "), texts.join(", "));
        let cell = match table.kind {
            // In the order of bytes: a collation may take different texts for equal.
            Kind::Text => format!("t.{wrapped}::text COLLATE \"C\""),
            Kind::Bytes => format!("substring(t.{wrapped} from 1 for 4096)"),
        };
        let page = |after: &str| {
            format!(
                "SELECT {texts}, {cell} FROM {name} t WHERE t.{wrapped} IS NOT NULL{after} \
                 ORDER BY {key} LIMIT $1"
            )
        };
        let last: Vec<_> = ids()
            .zip(2..)
            .map(|(id, number)| format!("${number}::text::{}", id.kind))
            .collect();
        let after = format!(" AND ({key}) > ({})", last.join(", "));

        // Parameters 1 to n are arrays of the key's columns, i0, i1 … in the statement.
        let width = table.ids.len();
        let arrays: Vec<_> = (1..=width)
            .map(|number| format!("${number}::text[]"))
            .collect();
        let columns: Vec<_> = (0..width).map(|number| format!("i{number}")).collect();
        let typed: Vec<_> = ids()
            .zip(&columns)
            .map(|(id, column)| format!("u.{column}::{} AS {column}", id.kind))
            .collect();
        let same = |of: &str| {
            let pairs = quoted.iter().zip(&columns);
            let pairs: Vec<_> = pairs
                .map(|(id, column)| format!("t.{id} = {of}.{column}"))
                .collect();
            pairs.join(" AND ")
        };
        let array = match table.kind {
            Kind::Text => "text[]",
            Kind::Bytes => "bytea[]",
        };
        let (old, new) = (width.saturating_add(1), width.saturating_add(2));
        let replaced = match table.kind {
            Kind::Text => "f.new".to_owned(),
            // A header is replaced, and what stands behind it stays.
            Kind::Bytes => format!("f.new || substring(t.{wrapped} from 4097)"),
        };
        Self {
            first_page: page(""),
            next_page: page(&after),
            again: format!(
                "WITH wanted AS (SELECT u.n, {typed} FROM unnest({arrays}) WITH ORDINALITY AS u({columns}, n)) \
                 SELECT w.n, {cell} FROM wanted w JOIN {name} t ON {same} WHERE t.{wrapped} IS NOT NULL",
                typed = typed.join(", "),
                arrays = arrays.join(", "),
                columns = columns.join(", "),
                same = same("w"),
            ),
            // The lock that an update takes anyway: who only refers to a row is not in its way.
            update: format!(
                "WITH wanted AS (SELECT u.n, u.old, u.new, {typed} FROM \
                 unnest({arrays}, ${old}::{array}, ${new}::{array}) WITH ORDINALITY AS u({columns}, old, new, n)), \
                 free AS (SELECT w.* FROM wanted w JOIN {name} t ON {same_wanted} WHERE {cell} = w.old \
                 FOR NO KEY UPDATE OF t SKIP LOCKED) \
                 UPDATE {name} AS t SET {wrapped} = {replaced} FROM free f \
                 WHERE {same_free} AND {cell} = f.old RETURNING f.n",
                typed = typed.join(", "),
                arrays = arrays.join(", "),
                columns = columns.join(", "),
                same_wanted = same("w"),
                same_free = same("f"),
            ),
            count: format!("SELECT count(*) FROM {name} WHERE {wrapped} IS NOT NULL"),
        }
    }

    /// A page of rows: the key's columns as text, and the cell. The first one takes how many; one
    /// that goes on takes the last key, too.
    pub(super) fn page(&self, goes_on: bool) -> &str {
        if goes_on {
            &self.next_page
        } else {
            &self.first_page
        }
    }
}

/// A table's name as SQL takes it.
pub(super) fn qualified(schema: Option<&str>, table: &str) -> String {
    let schema = schema.map(|schema| format!("{}.", quote(schema)));
    format!("{}{}", schema.unwrap_or_default(), quote(table))
}

/// A name as SQL takes it, whatever it holds.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Keys as an array for each of their `width` columns.
pub(super) fn columns<'a>(ids: &[&'a Vec<String>], width: usize) -> Vec<Vec<&'a str>> {
    let column = |at: usize| {
        ids.iter()
            .filter_map(|id| id.get(at))
            .map(String::as_str)
            .collect()
    };
    (0..width).map(column).collect()
}

/// The number in the first column of an answer, which counts from 1 as SQL does.
pub(super) fn number(row: &tokio_postgres::Row) -> Result<usize, tokio_postgres::Error> {
    let number: i64 = row.try_get(0)?;
    Ok(usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::table::IdColumn;

    #[test]
    fn names_can_not_end_their_quotes() {
        assert_eq!(quote("plain"), "\"plain\"");
        assert_eq!(
            quote("a\"; DROP TABLE x; --"),
            "\"a\"\"; DROP TABLE x; --\""
        );
    }

    #[test]
    fn a_key_of_two_columns_pages_by_both() {
        let id = |name: &str, kind: &str| IdColumn {
            name: name.to_owned(),
            kind: kind.to_owned(),
        };
        let table = Table {
            name: "t".to_owned(),
            quoted: "\"t\"".to_owned(),
            ids: vec![id("tenant", "uuid"), id("no", "bigint")],
            wrapped: "dek".to_owned(),
            kind: Kind::Text,
        };
        let statements = Statements::new(&table);
        let page = statements.page(true);
        assert!(
            page.contains("(t.\"tenant\", t.\"no\") > ($2::text::uuid, $3::text::bigint)"),
            "{page}"
        );
        assert!(page.contains("ORDER BY t.\"tenant\", t.\"no\""), "{page}");
        assert!(!statements.page(false).contains("$2"));
        assert!(
            statements.update.contains("$3::text[], $4::text[]"),
            "{}",
            statements.update
        );
    }

    #[test]
    fn keys_are_turned_into_columns() {
        let ids = [
            vec!["a".to_owned(), "1".to_owned()],
            vec!["b".to_owned(), "2".to_owned()],
        ];
        let ids: Vec<_> = ids.iter().collect();
        assert_eq!(columns(&ids, 2), [["a", "b"], ["1", "2"]]);
    }
}
