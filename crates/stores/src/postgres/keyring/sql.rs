//! The SQL for keyrings, and the form that their table has.

use super::super::table::Catalog;

/// The columns but `service`, in the order of [`Arrays`](super::rows::Arrays), and their types.
pub(super) const COLUMNS: [(&str, &str); 11] = [
    ("dek_no", "bigint"),
    ("dek_id", "bytea"),
    ("state", "text"),
    ("key", "text"),
    ("kek_id", "bytea"),
    ("wrapped", "text"),
    ("bound", "boolean"),
    ("created", "bigint"),
    ("commitment", "bytea"),
    ("uses", "bigint"),
    ("bytes", "bigint"),
];

/// The statements.
pub(super) struct Sql {
    /// The rows of a service, `$1`, at most `$2` of them.
    pub(super) load: String,
    /// New rows for old ones: the service, an array for each column of the old rows, one for each of
    /// the new rows. It answers with how many it wrote, which is all or none.
    pub(super) save: String,
    /// Makes the table.
    pub(super) make: String,
}

impl Sql {
    /// For the table of this name, as SQL takes it.
    pub(super) fn new(table: &str) -> Self {
        let width = COLUMNS.len();
        let list = |of: &dyn Fn(&str) -> String| {
            let columns = COLUMNS.iter().map(|(name, _)| of(name));
            columns.collect::<Vec<_>>().join(", ")
        };
        let names = list(&|name| name.to_owned());
        let arrays = |first: usize| {
            let arrays = COLUMNS.iter().zip(first..);
            let arrays = arrays.map(|((_, kind), number)| format!("${number}::{kind}[]"));
            arrays.collect::<Vec<_>>().join(", ")
        };
        // In the order of bytes, where a collation may take different texts for equal.
        let exact = |of: &str| {
            let columns = COLUMNS.iter().map(|(name, kind)| match *kind {
                "text" => format!("{of}.{name} COLLATE \"C\""),
                _ => format!("{of}.{name}"),
            });
            columns.collect::<Vec<_>>().join(", ")
        };
        let mine = "t.service = $1::text AND t.service COLLATE \"C\" = $1::text";
        // A text that is too long for any keyring is read as far as shows that.
        let short = list(&|name| match name {
            "dek_id" | "kek_id" | "commitment" => {
                format!("substring(t.{name} from 1 for 64) AS {name}")
            }
            "state" | "key" | "wrapped" => format!("left(t.{name}, 8192) AS {name}"),
            name => format!("t.{name}"),
        });
        let all_held = "(SELECT count(*) FROM held) = cardinality($2::bigint[])";
        Self {
            load: format!("SELECT {short} FROM {table} t WHERE {mine} ORDER BY t.dek_no LIMIT $2"),
            // The old rows are locked in the order of their numbers, and looked at again when a lock was
            // waited for. Each part asks whether all were there: so all of it happens, or nothing does.
            save: format!(
                "WITH given AS (SELECT * FROM unnest({old}) AS u({names})), \
                 wanted AS (SELECT * FROM unnest({new}) AS u({names})), \
                 held AS MATERIALIZED (SELECT t.dek_no FROM {table} t JOIN given g ON t.dek_no = g.dek_no \
                 WHERE {mine} AND ({stands}) IS NOT DISTINCT FROM ({given}) \
                 ORDER BY t.dek_no FOR UPDATE OF t), \
                 changed AS (UPDATE {table} AS t SET ({names}) = ({values}) FROM wanted w \
                 WHERE {mine} AND t.dek_no = w.dek_no AND w.dek_no = ANY($2::bigint[]) AND {all_held} \
                 RETURNING 1), \
                 added AS (INSERT INTO {table} (service, {names}) SELECT $1::text, {values} FROM wanted w \
                 WHERE w.dek_no <> ALL($2::bigint[]) AND {all_held} RETURNING 1) \
                 SELECT (SELECT count(*) FROM changed) + (SELECT count(*) FROM added)",
                old = arrays(2),
                new = arrays(width.saturating_add(2)),
                stands = exact("t"),
                given = exact("g"),
                values = list(&|name| format!("w.{name}")),
            ),
            make: make(table),
        }
    }
}

fn make(table: &str) -> String {
    let columns = COLUMNS.iter().map(|(name, kind)| match *name {
        // Of a DEK that was destroyed there is none.
        "wrapped" => format!("{name} {kind}"),
        name => format!("{name} {kind} NOT NULL"),
    });
    let columns = columns.collect::<Vec<_>>().join(", ");
    format!(
        "CREATE TABLE IF NOT EXISTS {table} (service text COLLATE \"C\" NOT NULL, {columns}, \
         PRIMARY KEY (service, dek_no), UNIQUE (service, dek_id))"
    )
}

/// What of a table that is there does not fit.
pub(super) fn check(catalog: &Catalog) -> Result<(), String> {
    if catalog.columns.is_empty() {
        return Ok(());
    }
    for (name, kind) in [("service", "text")].iter().chain(&COLUMNS) {
        let mut columns = catalog.columns.iter();
        let found = columns.find(|column| column.name == *name);
        let found = found.ok_or_else(|| format!("the table has no column {name:?}"))?;
        if found.kind != *kind {
            let other = &found.kind;
            return Err(format!(
                "the column {name:?} is {other}, and has to be {kind}"
            ));
        }
    }
    let is_key = |columns: &Vec<String>| *columns == ["service", "dek_no"];
    let mut indexes = catalog.indexes.iter();
    match indexes.any(|(_, columns)| is_key(columns)) {
        true => Ok(()),
        false => Err("no unique index is over service, dek_no".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_a_parameter_for_what_stands_and_one_for_what_shall() {
        let sql = Sql::new("\"t\"");
        for (number, kind) in [
            (2, "bigint"),
            (12, "bigint"),
            (13, "bigint"),
            (18, "text"),
            (23, "bigint"),
        ] {
            assert!(
                sql.save.contains(&format!("${number}::{kind}[]")),
                "{}",
                sql.save
            );
        }
        assert!(!sql.save.contains("$24"), "{}", sql.save);
        assert!(sql.make.contains("wrapped text,") && sql.make.contains("uses bigint NOT NULL"));
    }
}
