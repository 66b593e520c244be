//! What an error of the database means.

use std::error::Error as _;

use tokio_postgres::Error;

/// True where another connection may do what this one could not.
#[must_use]
pub fn is_lost(error: &Error) -> bool {
    match error.as_db_error().map(|error| error.code()) {
        Some(code) => {
            let code = code.code();
            // The server goes down or comes up, has too many clients, or ended a transaction of its own
            // accord.
            code.starts_with("08") || code.starts_with("57P") || code == "53300" || code == "40001"
        }
        None => error.is_closed() || is_io(error),
    }
}

fn is_io(error: &Error) -> bool {
    let cause = error.source();
    cause.is_some_and(|cause| cause.is::<std::io::Error>())
}

/// An error with its causes.
#[must_use]
pub fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}
