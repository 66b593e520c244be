//! [`CliError`]: why a command did not do what it was asked, and its exit code.

use std::io;
use std::path::{Path, PathBuf};

use keyfold_client::{ClientError, ConfigError, Setup};
use keyfold_envelope::keyring::KeyringError;
use keyfold_envelope::{ServiceError, ValueError};

use crate::exit::{self, Exit};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The caller's arguments.
    #[error("{0}")]
    Usage(String),
    /// A file, a pipe or a terminal of this machine.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// The client's configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server, or the way to it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The server does not take the token that a login was given.
    #[error(transparent)]
    Login(ClientError),
    /// The path has no value, or the list is empty. `see` is the command that lists what there is.
    #[error("No value found at {path}")]
    NoValue { path: String, see: String },
    /// A version of a secret that is there and holds nothing any more.
    #[error("version {version} of {path} has no data: it was deleted or destroyed")]
    NoVersion { path: String, version: u64 },
    /// The file of a policy; existing clients count it to what the server refuses.
    #[error("can't read the policy {file}: {source}")]
    PolicyFile { file: String, source: io::Error },
    /// The caller's arguments, where existing clients count that to what the server refuses.
    #[error("{0}")]
    Refused(String),
    /// The result has no member of the name that was asked for.
    #[error("the result has no field {0:?}")]
    NoField(String),
    /// The server's answer lacks something.
    #[error("the server's answer has no {0}")]
    Answer(&'static str),
    /// An envelope.
    #[error("{}: {source}", subject.display())]
    Envelope {
        subject: PathBuf,
        source: keyfold_envelope::Error,
    },
    /// A place with envelopes that can't be opened.
    #[error(transparent)]
    Place(#[from] keyfold_stores::OpenError),
    /// A keyring.
    #[error("{keyring}: {source}")]
    Keyring {
        keyring: String,
        source: KeyringError,
    },
    /// A value of a column.
    #[error(transparent)]
    Value(ValueError),
    /// A file that is no good snapshot.
    #[error(transparent)]
    Snapshot(keyfold_server::snapshot::FileError),
    /// The reader of the output went away.
    #[error("the output was closed")]
    Closed,
    /// The request was printed, not sent, as the caller wished.
    #[error("nothing was sent")]
    Rehearsed,
}

impl CliError {
    /// For `map_err`: an error of reading or writing `what`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| match source.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io { what, source },
        }
    }

    /// For `map_err`: an error about the envelope `subject`.
    pub(crate) fn envelope(subject: &Path) -> impl FnOnce(keyfold_envelope::Error) -> Self {
        let subject = subject.to_owned();
        move |source| Self::Envelope { subject, source }
    }

    /// How the process ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_)
            | Self::Io { .. }
            | Self::Config(_)
            | Self::NoField(_)
            | Self::Place(_)
            | Self::Snapshot(_) => Exit::LOCAL,
            Self::Client(
                ClientError::Config(_) | ClientError::Path { .. } | ClientError::Encode,
            ) => Exit::LOCAL,
            Self::Client(_)
            | Self::Login(_)
            | Self::NoValue { .. }
            | Self::NoVersion { .. }
            | Self::PolicyFile { .. }
            | Self::Refused(_)
            | Self::Answer(_) => Exit::SERVER,
            Self::Envelope { source, .. } => exit::of_envelope(source),
            Self::Keyring { source, .. } => exit::of_keyring(source),
            Self::Value(error) => exit::of_value(error),
            Self::Closed => Exit::CLOSED,
            Self::Rehearsed => Exit::OK,
        }
    }

    /// What to do next, where that is known, for a client that was set up so.
    pub(crate) fn hint(&self, setup: &Setup) -> Option<String> {
        match self {
            Self::Client(error) => setup.next_step(error),
            Self::Config(ConfigError::Address { .. }) => Some(setup.whence_address()),
            Self::Login(_) => Some(
                "The token given is not valid here: it is wrong, has expired or was revoked. \
                 Nothing was kept of it."
                    .to_owned(),
            ),
            Self::NoValue { see, .. } => Some(format!("`{see}` shows what there is.")),
            Self::Envelope { source, .. } => envelope_hint(source, setup),
            Self::Keyring { source, .. } => keyring_hint(source, setup),
            Self::Value(ValueError::Key(error)) => envelope_hint(error, setup),
            _ => None,
        }
    }
}

/// What to do next about a keyring.
fn keyring_hint(error: &KeyringError, setup: &Setup) -> Option<String> {
    let step = match error {
        KeyringError::NoKeyring(_) => {
            "Make it first: `keyfold keyring create NAME -key=MOUNT/KEY -store=STORE`."
        }
        KeyringError::Service(error) => return service_hint(error, setup),
        KeyringError::Changed | KeyringError::Busy(_) => "Run the command again.",
        KeyringError::Current(_) => {
            "`keyfold keyring rotate STORE`, then this command again. With a --journal, what an \
             earlier run made anew since then is passed over."
        }
        KeyringError::NotNamed(_) => "Name it: --keyring STORE.",
        KeyringError::WrongDek(_) => "A copy of the keyring from a backup may help.",
        _ => return None,
    };
    Some(step.to_owned())
}

/// What to do next about an envelope.
pub(crate) fn envelope_hint(error: &keyfold_envelope::Error, setup: &Setup) -> Option<String> {
    use keyfold_envelope::Error;
    let step = match error {
        Error::OutputExists(_) => "Give another name with -o, or -force to replace it.",
        Error::VersionBelowMinimum { .. } => {
            return service_hint(&ServiceError::BelowMinimum, setup);
        }
        Error::WrongKey => {
            "`keyfold inspect` shows which key the header names; a copy of the header from a \
             backup may help."
        }
        Error::Service(error) => return service_hint(error, setup),
        Error::Keyring(error) => return keyring_hint(error, setup),
        Error::NoUsableSlot => "`keyfold slots list` shows what opens it.",
        Error::LastSlot => "-force removes it all the same: then nobody ever opens the envelope.",
        Error::NoFreeSlot => {
            "Six sectors hold all slots: an offline key takes three, any other one, and one stays \
             free for rotation. `keyfold slots remove` makes room."
        }
        Error::Busy | Error::SlotsChanged => "Run the command again.",
        _ => return None,
    };
    Some(step.to_owned())
}

/// What to do next about a key of the server's.
fn service_hint(error: &ServiceError, setup: &Setup) -> Option<String> {
    let step = match error {
        ServiceError::BelowMinimum => {
            "Take a copy that was rewrapped, or have the key's min_decryption_version lowered."
        }
        ServiceError::Denied if !setup.token => return Some(setup.refused_token()),
        ServiceError::Denied => {
            "The token needs `update` on the key's encrypt, decrypt or rewrap path: see \
             `keyfold token lookup`."
        }
        ServiceError::NotFound => "Make the key first: `keyfold write -f transit/keys/NAME`.",
        ServiceError::Unreachable(reason) => return Some(setup.unreachable(reason)),
        ServiceError::Sealed => "Give it its shares: `keyfold operator unseal`.",
        _ => return None,
    };
    Some(step.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_existing_clients() {
        let api = |status| ClientError::Api {
            status,
            errors: Vec::new(),
        };
        assert_eq!(CliError::Usage(String::new()).exit(), Exit(1));
        assert_eq!(CliError::from(api(403)).exit(), Exit(2));
        assert_eq!(CliError::Login(api(403)).exit(), Exit(2));
        let none = CliError::NoValue {
            path: String::new(),
            see: String::new(),
        };
        assert_eq!(none.exit(), Exit(2));
        assert_eq!(CliError::NoField(String::new()).exit(), Exit(1));
        assert_eq!(CliError::Config(ConfigError::HalfIdentity).exit(), Exit(1));
        let closed = CliError::io("x")(io::ErrorKind::BrokenPipe.into());
        assert_eq!(closed.exit(), Exit(141));
    }
    #[test]
    fn a_denied_key_without_a_token_is_about_the_token() {
        let denied = keyfold_envelope::Error::Service(ServiceError::Denied);
        let mut setup = Setup::default();
        let hint = envelope_hint(&denied, &setup).unwrap();
        assert!(hint.starts_with("No token is given"), "{hint}");
        setup.token = true;
        let hint = envelope_hint(&denied, &setup).unwrap();
        assert!(hint.contains("`update`"), "{hint}");
    }
}
