//! [`Server`]: which database, and how to get into it, out of `pg://…` and the variables that libpq reads.

use keyfold_postgres::Passwords;
pub(super) use keyfold_postgres::decoded;

use crate::OpenError;

const SCHEMES: [&str; 3] = ["pg://", "postgres://", "postgresql://"];

/// The database that an address names.
pub(super) struct Server {
    /// How to connect.
    pub(super) database: keyfold_postgres::Server,
    /// What is looked for there, for messages.
    pub(super) place: &'static str,
    /// `pg://host/database`.
    name: String,
}

/// Takes a parameter of an address that says what is looked for; false for one about the connection.
pub(super) type Own<'a> = dyn FnMut(&str, &str) -> Result<bool, String> + 'a;

impl Server {
    pub(super) fn is_address(text: &str) -> bool {
        SCHEMES.iter().any(|scheme| text.starts_with(scheme))
    }

    /// Reads an address of a `place`. `var` gives variables of the environment, `own` takes what is not
    /// about the connection.
    pub(super) fn parse(
        text: &str,
        place: &'static str,
        var: &dyn Fn(&str) -> Option<String>,
        own: &mut Own<'_>,
    ) -> Result<Self, OpenError> {
        let address = |reason: String| OpenError::Address { place, reason };
        let rest = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme));
        let rest = rest.ok_or_else(|| address("it starts with pg://".to_owned()))?;
        let (base, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !own(name, value).map_err(address)? {
                rest.push(pair);
            }
        }
        let database = keyfold_postgres::Server::new(base, &rest, Passwords::Refused, var);
        let database = database.map_err(address)?;
        Ok(Self {
            // With what variables and parameters say: two databases have two names.
            name: format!("pg://{}", database.name()),
            database,
            place,
        })
    }

    /// What to call something in the database.
    pub(super) fn named(&self, what: &str) -> String {
        format!("{}/{what}", self.name).replace(char::is_control, "?")
    }

    /// For an address that says something that it can't mean.
    pub(super) fn wrong(&self, reason: String) -> OpenError {
        let place = self.place;
        OpenError::Address { place, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Server, OpenError> {
        let var = |name: &str| (name == "USER").then(|| "ann".to_owned());
        Server::parse(text, "table", &var, &mut |name, _| Ok(name == "table"))
    }

    #[test]
    fn a_name_has_no_user_and_an_error_says_what_was_looked_for() {
        let server = parse("pg://bob@db.example:5433/shop?table=t&sslmode=disable").unwrap();
        assert_eq!(server.named("t\n"), "pg://db.example:5433/shop/t?");
        let refused = parse("pg://h/d?sslmode=prefer").err().unwrap().to_string();
        assert!(
            refused.contains("table") && refused.contains("sslmode"),
            "{refused}"
        );
    }
}
