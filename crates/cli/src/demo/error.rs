//! [`DemoError`]: why the story ended early.

use std::io;

use keyfold_client::{ClientError, ConfigError};
use keyfold_server::{ConfigError as ServerConfigError, StartError};

use crate::error::CliError;
use crate::exit::{self, Exit};

/// Why the story ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DemoError {
    /// The product's fault: something is not as the story says.
    #[error("this does not hold: {0}")]
    Claim(String),
    /// The caller's file.
    #[error("{0}")]
    Usage(String),
    /// This machine.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// The embedded server's configuration, which the demo writes itself.
    #[error("the embedded server's configuration: {0}")]
    Config(#[from] ServerConfigError),
    /// The embedded server did not start.
    #[error("the embedded server did not start: {0}")]
    Start(#[from] StartError),
    /// The embedded server refused what it should do.
    #[error("{what}: {source}")]
    Client { what: String, source: ClientError },
    /// The client's configuration, which the demo writes itself.
    #[error("the client's configuration: {0}")]
    ClientConfig(#[from] ConfigError),
    /// The embedded server's store can't be looked at.
    #[error("the store can't be read: {0}")]
    Store(String),
    /// An envelope.
    #[error("{what}: {source}")]
    Envelope {
        what: &'static str,
        source: keyfold_envelope::Error,
    },
    /// Printing.
    #[error(transparent)]
    Output(#[from] CliError),
}

impl DemoError {
    /// For `map_err`: an error of this machine while doing `what`.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For `map_err`: an error of the server when asked for `what`.
    pub(super) fn client(what: impl Into<String>) -> impl FnOnce(ClientError) -> Self {
        let what = what.into();
        move |source| Self::Client { what, source }
    }

    /// For `map_err`: an error about an envelope while doing `what`.
    pub(super) fn envelope(what: &'static str) -> impl FnOnce(keyfold_envelope::Error) -> Self {
        move |source| Self::Envelope { what, source }
    }

    /// How the process ends.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Output(error) => error.exit(),
            Self::Client { .. } => Exit::SERVER,
            Self::Envelope { source, .. } => exit::of_envelope(source),
            _ => Exit::LOCAL,
        }
    }
}

/// Ends the story where a claim does not hold.
pub(super) fn claim(holds: bool, what: impl FnOnce() -> String) -> Result<(), DemoError> {
    if holds {
        return Ok(());
    }
    Err(DemoError::Claim(what()))
}
