//! What a KMS says when it does not do it, by what helps.

use std::error::Error;
use std::iter::successors;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use keyfold_core::ports::seal::SealError;

use super::super::settings::plain;

/// The KMS knows the wrap's key and does not hand it to this seal.
pub(super) const DENIED: &str = "AccessDeniedException";

/// The class and what stands in the error, which anybody may see; the log has the rest, as it may
/// name hosts and accounts.
pub(super) fn of<E>(error: &SdkError<E>) -> SealError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(answer) => {
            let status = answer.raw().status().as_u16();
            let code = code(answer.err());
            let reason = plain(answer.err().message().unwrap_or("no reason given"));
            tracing::info!(status, code, reason, "the KMS of a seal refuses");
            code.map_or_else(|| of_status(status), |code| of_code(code, status))
        }
        other => {
            let causes = || successors(Some(other as &dyn Error), |&cause| cause.source());
            let last = causes().last().map(ToString::to_string);
            let cause = plain(&last.unwrap_or_default());
            tracing::info!(cause, "the KMS of a seal can't be asked");
            match (causes().find_map(|cause| cause.downcast_ref()), other) {
                (Some(error), _) => of_credentials(error),
                (None, SdkError::ConstructionFailure(_)) => {
                    SealError::Refused("the settings make no request: the log says why".into())
                }
                (None, SdkError::TimeoutError(_)) => {
                    SealError::Down("the KMS takes too long".into())
                }
                (None, SdkError::ResponseError(_)) => {
                    SealError::Down("the KMS's answer breaks off, or is none of a KMS".into())
                }
                _ => SealError::Down("the KMS can't be reached: the log says why".into()),
            }
        }
    }
}

/// The answer's code, where it has one that looks like a code.
pub(super) fn code(error: &impl ProvideErrorMetadata) -> Option<&str> {
    let short = |code: &&str| code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    error.code().filter(short)
}

fn of_code(code: &str, status: u16) -> SealError {
    let why = match code {
        "IncorrectKeyException" | "InvalidCiphertextException" => {
            return SealError::Foreign(format!("the wrap is not of the KMS's key: {code}"));
        }
        "DependencyTimeoutException"
        | "KeyUnavailableException"
        | "LimitExceededException"
        | "RequestLimitExceeded"
        | "ThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException" => {
            return SealError::Down(format!("the KMS can't do it just now: {code}"));
        }
        _ if status >= 500 => return SealError::Down(format!("the KMS fails: {code}")),
        "NotFoundException" => "it has no such key",
        "DisabledException" => "the key is disabled",
        "KMSInvalidStateException" => "the key is on its way out, or not yet whole",
        "InvalidKeyUsageException" => "the key is for something else",
        DENIED | "AccessDenied" => "the credentials may not use the key",
        "ExpiredToken" | "ExpiredTokenException" => "the credentials have expired",
        "IncompleteSignature"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "MissingAuthenticationToken"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => "it does not know the credentials",
        _ => "the log has its reason",
    };
    SealError::Refused(format!("the KMS refuses: {why} ({code})"))
}

/// Of an answer without a code: a server before the KMS, or one of another kind.
fn of_status(status: u16) -> SealError {
    match status {
        401 | 403 => SealError::Refused(format!(
            "the KMS refuses: the credentials are not let in ({status})"
        )),
        400..=499 if status != 408 && status != 429 => SealError::Refused(format!(
            "the KMS refuses: the log has its reason ({status})"
        )),
        _ => SealError::Down(format!("the KMS fails ({status})")),
    }
}

/// Of a request that was not sent, as nothing signs it.
fn of_credentials(error: &CredentialsError) -> SealError {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => {
            SealError::Refused("no credentials for the KMS are found".into())
        }
        CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_) => {
            SealError::Down("who gives the credentials for the KMS fails: the log says why".into())
        }
        _ => SealError::Refused(
            "the credentials for the KMS are not usable: the log says why".into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_are_not_known_go_by_their_status() {
        let class = |code, status| of_code(code, status).class();
        assert_eq!(class("NewException", 400), "refused");
        assert_eq!(class("NewException", 503), "down");
        assert_eq!(class("ThrottlingException", 400), "down");
        assert_eq!(class("IncorrectKeyException", 400), "foreign");
        for (status, wanted) in [
            (400, "refused"),
            (403, "refused"),
            (408, "down"),
            (429, "down"),
            (502, "down"),
        ] {
            assert_eq!(of_status(status).class(), wanted, "{status}");
        }
    }
}
