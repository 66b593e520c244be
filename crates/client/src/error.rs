//! [`ClientError`]: what went wrong, and whose fault it is.

use std::fmt::Write as _;

use crate::ConfigError;

/// Why a request got no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The caller's configuration: an address, a file, an environment variable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The caller's path can't stand in a URL.
    #[error("the path is refused: {reason}")]
    Path {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The caller's body is not JSON's to hold.
    #[error("the request body can't be written as JSON")]
    Encode,
    /// Nobody answered, or the connection broke: the network's fault, or the address is wrong.
    #[error("no answer from {address}: {reason}")]
    Unreachable {
        /// The address that was tried.
        address: String,
        /// The innermost cause.
        reason: String,
    },
    /// The server refused, or failed; its own words.
    #[error("{}", api_text(*.status, .errors))]
    Api {
        /// The HTTP status.
        status: u16,
        /// The texts of the `errors` member; empty where the answer had none.
        errors: Vec<String>,
    },
    /// The server's answer is not what its API says.
    #[error(
        "the answer (status {status}) is not the JSON it should be: line {line}, column {column}"
    )]
    Decode {
        /// The HTTP status.
        status: u16,
        /// Where the body breaks, from 1.
        line: usize,
        /// Where the line breaks, from 1.
        column: usize,
    },
    /// The server's answer is longer than any this API gives.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The most that is read.
        limit: usize,
    },
}

impl ClientError {
    /// The HTTP status, where the server answered.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api { status, .. } | Self::Decode { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the server says that it is sealed.
    pub fn is_sealed(&self) -> bool {
        self.says("is sealed")
    }

    /// Whether the server's words hold `text`, in any case.
    pub fn says(&self, text: &str) -> bool {
        let Self::Api { errors, .. } = self else {
            return false;
        };
        errors.iter().any(|e| e.to_lowercase().contains(text))
    }
}

fn api_text(status: u16, errors: &[String]) -> String {
    let mut text = format!("the server answered {status}");
    for error in errors {
        // Writing to a String does not fail.
        let _ = write!(text, ": {}", one_line(error));
    }
    text
}

/// `1 error occurred:\n\t* permission denied\n\n` is the server's way to say `permission denied`.
fn one_line(error: &str) -> String {
    let error = error.trim();
    let error = error
        .strip_prefix("1 error occurred:")
        .map_or(error, str::trim_start);
    let error = error.strip_prefix("* ").unwrap_or(error);
    error.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(status: u16, text: &str) -> ClientError {
        ClientError::Api {
            status,
            errors: vec![text.to_owned()],
        }
    }

    #[test]
    fn nested_error_texts_are_one_line() {
        let error = api(403, "1 error occurred:\n\t* permission denied\n\n");
        assert_eq!(
            error.to_string(),
            "the server answered 403: permission denied"
        );
    }
}
