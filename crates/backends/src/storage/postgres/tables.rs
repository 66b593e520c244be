//! The names of a store's tables.

/// The tables of one store, as SQL takes them.
pub(super) struct Tables {
    /// What they are called after, for reports.
    pub name: String,
    pub entries: String,
    /// Which keys each commit touched.
    pub changes: String,
    /// One row about the store.
    pub meta: String,
    pub locks: String,
    pub nodes: String,
    /// What is to take the place of the entries.
    pub staged: String,
}

/// What the longest suffix leaves of the 63 bytes that PostgreSQL keeps of a name.
const LONGEST: usize = 63 - "_changes".len();

impl Tables {
    /// `table` or `schema.table`.
    pub fn called(name: &str) -> Result<Self, String> {
        let (schema, table) = match name.split_once('.') {
            Some((schema, table)) => (Some(schema), table),
            None => (None, name),
        };
        for part in schema.iter().chain([&table]) {
            check(part)?;
        }
        let schema: String = schema
            .map(|name| format!("\"{name}\"."))
            .unwrap_or_default();
        let of = |suffix: &str| format!("{schema}\"{table}{suffix}\"");
        Ok(Self {
            name: name.to_owned(),
            entries: of(""),
            changes: of("_changes"),
            meta: of("_meta"),
            locks: of("_locks"),
            nodes: of("_nodes"),
            staged: of("_staged"),
        })
    }

    /// All of them.
    pub fn all(&self) -> [&str; 6] {
        [
            &self.entries,
            &self.changes,
            &self.meta,
            &self.locks,
            &self.nodes,
            &self.staged,
        ]
    }
}

fn check(part: &str) -> Result<(), String> {
    let mut letters = part.chars();
    let begins = letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    if !begins || !letters.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(
            "it is made of letters, digits and _, and does not begin with a digit; a schema may stand \
             before it, with a dot"
                .to_owned(),
        );
    }
    match part.len() <= LONGEST {
        true => Ok(()),
        false => Err(format!("it has more than {LONGEST} characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_and_plain() {
        let tables = Tables::called("app.Keys_1").unwrap();
        assert_eq!(tables.entries, "\"app\".\"Keys_1\"");
        assert_eq!(tables.changes, "\"app\".\"Keys_1_changes\"");
        assert_eq!(Tables::called("t").unwrap().meta, "\"t_meta\"");
        let long = "t".repeat(LONGEST + 1);
        for name in ["", "1t", "a b", "a\"b", "a.b.c", ".t", "s.", "ä", &long] {
            assert!(Tables::called(name).is_err(), "{name}");
        }
    }
}
