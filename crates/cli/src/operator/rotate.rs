//! `keyfold operator rotate`.

use keyfold_client::{Method, Request};

use super::key_status;
use crate::error::CliError;
use crate::session::Session;

/// Rotates the KEK, and prints the new one's status.
pub(crate) fn run(session: &Session) -> Result<(), CliError> {
    session.call(&Request::new(Method::Put, "sys/rotate"))?;
    session.output.done("Success! Rotated the KEK.")?;
    key_status::run(session)
}
