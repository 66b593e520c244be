//! [`ClientError`]: what went wrong, whose fault it is, and what to do next.

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

    /// What to do next, where that is known: one or two sentences.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Config(_) | Self::Path { .. } | Self::Encode => return None,
            Self::Unreachable { reason, .. } if reason.contains("certificate") => {
                "The server's certificate is not trusted here: name its authority with -ca-cert \
                 or VAULT_CACERT."
            }
            Self::Unreachable { address, reason } => {
                return Some(unreachable_hint(address, reason));
            }
            Self::Api { .. } if self.is_sealed() => {
                "Give it its shares: `keyfold operator unseal`."
            }
            Self::Api { .. }
                if self.says("not initialized") || self.says("not yet initialized") =>
            {
                "Make its keys: `keyfold operator init`."
            }
            Self::Api { .. } if self.says("missing client token") => {
                "No token was sent: `keyfold login`, or set VAULT_TOKEN."
            }
            Self::Api { status: 403, .. } => {
                "See whether the token is valid (`keyfold token lookup`) and which policies it \
                 has (`keyfold policy read NAME`)."
            }
            Self::Api { .. } if self.says("no handler for route") => {
                "Nothing is mounted there: `keyfold secrets list` shows what is."
            }
            Self::Api {
                status: 502..=504,
                errors,
            } if errors.is_empty() => {
                "The answer looks like that of a proxy: see whether the server behind it runs."
            }
            Self::Decode { .. } | Self::TooLong { .. } => {
                "Is it a Vault-compatible server? VAULT_ADDR or -address says where."
            }
            Self::Api { .. } => return None,
        };
        Some(text.to_owned())
    }
}

fn unreachable_hint(address: &str, reason: &str) -> String {
    let not_tls = reason.contains("corrupt message") || reason.contains("handshake eof");
    if address.starts_with("https://") && not_tls {
        let plain = address.replacen("https://", "http://", 1);
        return format!("The server may speak plain HTTP: set VAULT_ADDR={plain}");
    }
    "Is the server up, and is this its address? VAULT_ADDR or -address says where to look; \
     `keyfold server -dev` starts one."
        .to_owned()
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
    fn an_error_tells_the_next_step() {
        let refused = |address: &str, reason: &str| ClientError::Unreachable {
            address: address.to_owned(),
            reason: reason.to_owned(),
        };
        for (error, step) in [
            (api(503, "Vault is sealed"), "operator unseal"),
            (api(400, "server is not initialized"), "operator init"),
            (api(400, "missing client token"), "keyfold login"),
            (
                api(403, "1 error occurred:\n\t* permission denied\n\n"),
                "token lookup",
            ),
            (
                api(404, "no handler for route \"x\". route entry not found."),
                "secrets list",
            ),
            (refused("http://h:1", "connection refused"), "VAULT_ADDR"),
            (
                refused(
                    "https://h:1",
                    "received corrupt message of type InvalidContentType",
                ),
                "VAULT_ADDR=http://h:1",
            ),
            (
                refused("https://h:1", "invalid peer certificate: UnknownIssuer"),
                "VAULT_CACERT",
            ),
        ] {
            let hint = error.hint().unwrap_or_default();
            assert!(hint.contains(step), "{error}: {hint}");
        }
        assert!(api(400, "no").hint().is_none());
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
