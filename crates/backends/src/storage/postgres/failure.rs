//! What went wrong at the database.

use std::time::Duration;

use keyfold_postgres::{is_lost, whole};

pub(super) use super::super::failure::{Failure, Tries};

/// Time for one try.
pub(super) const ATTEMPT: Duration = Duration::from_secs(10);

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(told) = error.as_db_error() else {
            let text = whole(&error);
            return match is_lost(&error) {
                true => Self::Passing(text),
                false => Self::Lasting(text),
            };
        };
        let code = told.code().code();
        // No detail, no hint: those may quote what is stored.
        let text = format!("{}: {} ({code})", told.severity(), told.message());
        // Deadlock, a lock that was not free in time, a transaction that was idle for too long; a
        // server that takes no writes (any more).
        let passing = ["40P01", "55P03", "25P03", "25006"].contains(&code);
        match passing || is_lost(&error) {
            true => Self::Passing(text),
            false => Self::Lasting(text),
        }
    }
}
