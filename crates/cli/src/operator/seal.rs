//! `keyfold operator seal`.

use keyfold_client::{Method, Request};

use crate::error::CliError;
use crate::session::Session;

/// Seals the server.
pub(crate) fn run(session: &Session) -> Result<(), CliError> {
    session.call(&Request::new(Method::Put, "sys/seal"))?;
    session.output.done("Success! The server is sealed.")
}
