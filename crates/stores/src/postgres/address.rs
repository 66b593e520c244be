//! [`Address`]: where a column is, out of `pg://…`.

use keyfold_envelope::Locator;

use crate::OpenError;

use super::server::{Server, decoded};

/// What an address says.
pub(super) struct Address {
    pub(super) server: Server,
    pub(super) column: Column,
    /// The KEK of wraps that stand alone.
    pub(super) key: Option<Locator>,
    /// Such a wrap is bound to its row.
    pub(super) binds_id: bool,
    /// What to call it.
    pub(super) name: String,
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

/// What an address says of the column.
#[derive(Default)]
struct Asked {
    column: Column,
    key: Option<Locator>,
    binds_id: bool,
}

impl Address {
    /// Reads an address. `var` gives variables of the environment.
    pub(super) fn parse(
        text: &str,
        var: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, OpenError> {
        let mut asked = Asked::default();
        let server = Server::parse(text, "column", var, &mut |name, value| {
            asked.take(name, value)
        })?;
        asked.check().map_err(|reason| server.wrong(reason))?;
        let schema = asked.column.schema.iter();
        let schema: String = schema.map(|schema| format!("{schema}.")).collect();
        let (table, wrapped) = (&asked.column.table, &asked.column.wrapped);
        Ok(Self {
            name: server.named(&format!("{schema}{table}.{wrapped}")),
            server,
            column: asked.column,
            key: asked.key,
            binds_id: asked.binds_id,
        })
    }
}

impl Asked {
    /// Takes a parameter that is about the column; false for another.
    fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "table" => (self.column.schema, self.column.table) = table(value)?,
            "id" => {
                let ids = value.split(',').map(decoded);
                self.column.ids = ids.collect::<Result<_, _>>()?;
            }
            "wrapped" => self.column.wrapped = decoded(value)?,
            "key" => {
                let key = decoded(value)?.parse::<Locator>();
                self.key = Some(key.map_err(|error| format!("key: {error}"))?);
            }
            "aad" => {
                self.binds_id = match value {
                    "none" => false,
                    "id" => true,
                    _ => return Err("aad is none or id".to_owned()),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn check(&self) -> Result<(), String> {
        for (name, value) in [
            ("table", &self.column.table),
            ("wrapped", &self.column.wrapped),
        ] {
            if value.is_empty() {
                return Err(format!("it lacks {name}=NAME"));
            }
        }
        Ok(())
    }
}

/// The schema, if there is one, and the table: `table` or `schema.table`; a dot of a name itself is
/// written `%2E`.
pub(super) fn table(value: &str) -> Result<(Option<String>, String), String> {
    Ok(match value.split_once('.') {
        Some((schema, table)) => (Some(decoded(schema)?), decoded(table)?),
        None => (None, decoded(value)?),
    })
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
        let address = parse(&format!(
            "pg://bob@db.example:5433/shop?{COLUMN}&aad=id&sslmode=disable"
        ))
        .unwrap();
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
        assert_eq!(address.server.database.config().get_user(), Some("bob"));
        assert_eq!(address.server.database.config().get_dbname(), Some("shop"));
        assert_eq!(address.server.database.config().get_ports(), [5433]);
        assert_eq!(address.name, "pg://db.example:5433/shop/app.accounts.dek");
    }

    #[test]
    fn names_may_hold_anything() {
        let address = parse("pg://localhost/d?table=a%2Eb%22%20c&wrapped=d%26e").unwrap();
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
            ("pg://h/d?table=t&wrapped=w&speed=high", "speed"),
            ("pg://h/d?table=%ff&wrapped=w", "UTF-8"),
            ("pg://h/d?table=%00&wrapped=w", "zero"),
        ] {
            let refused = refused(text);
            assert!(refused.contains(word), "{text}: {refused}");
        }
    }
}
