//! Exit codes: one table, printed by `keyfold help exit-codes`.

use std::fmt::Write as _;
use std::process::ExitCode;

use keyfold_envelope::keyring::KeyringError;
use keyfold_envelope::{Error, ServiceError, ValueError};

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit(pub(crate) u8);

impl Exit {
    /// Done.
    pub(crate) const OK: Self = Self(0);
    /// The caller's mistake, or this machine's.
    pub(crate) const LOCAL: Self = Self(1);
    /// The server refused, failed or did not answer; `status`: it is sealed.
    pub(crate) const SERVER: Self = Self(2);
    /// `operator validate-config` and `diagnose` were given nothing to look at.
    pub(crate) const UNNAMED: Self = Self(3);
    /// `operator diagnose`: the configuration or the storage can't be used.
    pub(crate) const UNUSABLE: Self = Self(4);
    /// Some items of several were left as they were, and the rest is done.
    pub(crate) const PARTIAL: Self = Self(3);
    /// There is no such command; what a shell reports of a program.
    pub(crate) const NO_COMMAND: Self = Self(127);
    /// The reader of the output went away; what a shell reports for SIGPIPE.
    pub(crate) const CLOSED: Self = Self(141);
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

const TABLE: [(u8, &str); 32] = [
    (0, "done"),
    (
        1,
        "wrong usage, or a local failure: no such file, no space, output exists; `status`: the \
         server did not answer",
    ),
    (
        2,
        "the server refused, failed or did not answer, or can't be asked so: a snapshot file that is \
         none, a mount without versions, a login without a name; `status`: it is sealed; `operator \
         validate-config`, `diagnose`: there are warnings",
    ),
    (
        3,
        "`rewrap`, `reencrypt`, `census`, `drill`: some items failed, and the rest is done; `operator validate-config`, \
         `diagnose`: no configuration is named",
    ),
    (
        4,
        "`operator diagnose`: the configuration or the storage can't be used",
    ),
    (10, "not an envelope"),
    (
        11,
        "made by a newer version, or uses a part of the format not supported here",
    ),
    (12, "the header is damaged"),
    (13, "the encryption context is not that of the file"),
    (
        14,
        "the unwrapped key is not that of the file, or of the keyring's row",
    ),
    (15, "the file is truncated"),
    (16, "the last chunk is damaged or cut"),
    (17, "a chunk is corrupt"),
    (18, "chunks were swapped, repeated or left out"),
    (19, "bytes follow the end"),
    (20, "longer than the format allows"),
    (21, "no slot holds a usable wrapped key"),
    (22, "every slot that held a wrapped key is torn or damaged"),
    (
        23,
        "the key version is below the lowest one the server still opens",
    ),
    (24, "the server denies this token the key"),
    (25, "the server has no such key"),
    (26, "the server's key does not open the wrap"),
    (27, "the server can't be reached (worth another try)"),
    (28, "the server is sealed (worth another try)"),
    (29, "any other answer of the server to a key operation"),
    (
        30,
        "another process is changing the envelope or the keyring (worth another try)",
    ),
    (
        32,
        "the passphrase, identity or exported key does not open its slot",
    ),
    (33, "the range reaches beyond the end of the plaintext"),
    (34, "there is no keyring there, or what is there is none"),
    (35, "the keyring has no such data key, or it was destroyed"),
    (36, "not a sealed value"),
    (
        37,
        "the value does not open: another key, table, column or primary key, or it was changed",
    ),
];

/// The table as text.
pub(crate) fn table() -> String {
    let mut text = String::from("Exit codes:\n\n");
    for (code, meaning) in TABLE {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{code:>5}  {meaning}");
    }
    text.push_str("  127  there is no such command\n");
    text.push_str("  141  the reader of the output went away\n");
    text
}

/// The exit code of an envelope's error.
pub(crate) fn of_envelope(error: &Error) -> Exit {
    Exit(match error {
        Error::NotAnEnvelope => 10,
        Error::UnsupportedVersion(_) | Error::Unsupported(_) => 11,
        Error::HeaderDamaged(_) => 12,
        Error::WrongContext => 13,
        Error::WrongKey | Error::OtherPayload(_) => 14,
        Error::Truncated => 15,
        Error::EndDamaged { .. } => 16,
        Error::CorruptChunk { .. } => 17,
        Error::MisplacedChunk { .. } => 18,
        Error::TrailingBytes => 19,
        Error::TooLong => 20,
        Error::NoUsableSlot | Error::NotMoved(_) => 21,
        Error::TornSlot => 22,
        Error::VersionBelowMinimum { .. } => 23,
        Error::WrapSize(_) => 29,
        Error::SlotsChanged | Error::Busy => 30,
        Error::WrongIdentity(_) => 32,
        Error::OutOfRange { .. } => 33,
        Error::Service(error) => return of_service(error),
        Error::Keyring(error) => return of_keyring(error),
        Error::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            return Exit::CLOSED;
        }
        _ => return Exit::LOCAL,
    })
}

/// The exit code of a job over many items of which some failed, with these codes, and `good` others
/// did not. Where there is nothing else and one cause, it is that cause.
pub(crate) fn of_many(codes: impl IntoIterator<Item = Exit>, good: u64) -> Exit {
    let mut codes = codes.into_iter();
    match codes.next() {
        None => Exit::OK,
        Some(first) if good == 0 && codes.all(|code| code == first) => first,
        Some(_) => Exit::PARTIAL,
    }
}

/// The exit code of a keyring's error.
pub(crate) fn of_keyring(error: &KeyringError) -> Exit {
    Exit(match error {
        KeyringError::NoKeyring(_) | KeyringError::Malformed(_) => 34,
        KeyringError::UnknownDek(_)
        | KeyringError::UnknownDekId(_)
        | KeyringError::Destroyed(_) => 35,
        KeyringError::WrongDek(_) => 14,
        KeyringError::Changed | KeyringError::Busy(_) => 30,
        KeyringError::Service(error) => return of_service(error),
        _ => return Exit::LOCAL,
    })
}

/// The exit code of a value's error.
pub(crate) fn of_value(error: &ValueError) -> Exit {
    Exit(match error {
        ValueError::NotAValue => 36,
        ValueError::WrongKeyOrPlace => 37,
        ValueError::UnknownDek(_) => 35,
        ValueError::Key(error) => return of_envelope(error),
        _ => return Exit::LOCAL,
    })
}

/// The exit code of a key service's error.
pub(crate) fn of_service(error: &ServiceError) -> Exit {
    Exit(match error {
        ServiceError::BelowMinimum => 23,
        ServiceError::Denied => 24,
        ServiceError::NotFound => 25,
        ServiceError::WrongKey => 26,
        ServiceError::Unreachable(_) => 27,
        ServiceError::Sealed => 28,
        _ => 29,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_a_code_of_its_own_in_the_table() {
        let errors = [
            Error::NotAnEnvelope,
            Error::UnsupportedVersion(2),
            Error::HeaderDamaged("x"),
            Error::WrongContext,
            Error::WrongKey,
            Error::Truncated,
            Error::EndDamaged { chunk: 1 },
            Error::CorruptChunk { chunk: 1 },
            Error::MisplacedChunk {
                chunk: 1,
                belongs: 2,
            },
            Error::TrailingBytes,
            Error::TooLong,
            Error::NoUsableSlot,
            Error::TornSlot,
            Error::VersionBelowMinimum {
                locator: "a/b".parse().unwrap(),
                version: 1,
            },
            Error::Service(ServiceError::Denied),
            Error::Service(ServiceError::NotFound),
            Error::Service(ServiceError::WrongKey),
            Error::Service(ServiceError::Unreachable(String::new())),
            Error::Service(ServiceError::Sealed),
            Error::Service(ServiceError::Other(String::new())),
            Error::Busy,
            Error::WrongIdentity("passphrase"),
            Error::OutOfRange { end: 2, len: 1 },
            Error::Keyring(KeyringError::NoKeyring(String::new())),
            Error::Keyring(KeyringError::UnknownDek(1)),
        ];
        let mut codes: Vec<u8> = errors.iter().map(|error| of_envelope(error).0).collect();
        let values = [ValueError::NotAValue, ValueError::WrongKeyOrPlace];
        codes.extend(values.iter().map(|error| of_value(error).0));
        codes.sort_unstable();
        let listed: Vec<u8> = TABLE
            .iter()
            .map(|(code, _)| *code)
            .filter(|c| *c >= 10)
            .collect();
        assert_eq!(codes, listed);
    }

    #[test]
    fn the_published_table_is_this_one() {
        let page = include_str!("../../../docs/exit-codes.md");
        for (code, meaning) in TABLE {
            assert!(
                page.contains(&format!("| {code} | {meaning} |\n")),
                "{code}"
            );
        }
    }

    #[test]
    fn a_job_that_did_nothing_but_fail_tells_its_one_cause() {
        let torn = Exit(22);
        assert_eq!(of_many([], 0), Exit::OK);
        assert_eq!(of_many([torn, torn], 0), torn);
        assert_eq!(of_many([torn, torn], 1), Exit::PARTIAL);
        assert_eq!(of_many([torn, Exit(10)], 0), Exit::PARTIAL);
    }

    #[test]
    fn a_closed_pipe_is_no_failure_of_the_envelope() {
        let closed = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert_eq!(of_envelope(&Error::Io(closed)), Exit::CLOSED);
    }
}
