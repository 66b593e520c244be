//! What a TPM says when it does not do it, by what helps.

use keyfold_core::ports::seal::SealError;
use tss_esapi::Error;
use tss_esapi::constants::response_code::{Tss2ResponseCode, Tss2ResponseCodeKind as Kind};

/// Of all that is not an opening. The names are those of the standard.
pub(super) fn of(error: &Error) -> SealError {
    match answer(error) {
        Some(Kind::AuthFail | Kind::BadAuth) => {
            SealError::Refused("the TPM refuses the owner's password: see \"owner_auth\"".into())
        }
        Some(kind) => SealError::Refused(format!("the TPM does not do it: {kind:?}")),
        None => SealError::Down("the TPM fails, or is gone: the log says more".into()),
    }
}

/// Of taking a wrap in: one of another parent, or one that was changed.
pub(super) fn of_loading(error: &Error) -> SealError {
    match (answer(error), error) {
        (Some(_), _) | (None, Error::WrapperError(_)) => {
            SealError::Foreign("the wrap does not open under the TPM's key".into())
        }
        _ => of(error),
    }
}

/// Of opening what was taken in.
pub(super) fn of_unsealing(error: &Error) -> SealError {
    match answer(error) {
        Some(Kind::PolicyFail) => SealError::Refused(
            "the TPM's PCRs are not those of the wrap: the machine was started with something else"
                .into(),
        ),
        _ => of(error),
    }
}

/// What the TPM itself says to a command. Other codes are of the layers before it, or speak of its
/// state: both pass.
fn answer(error: &Error) -> Option<Kind> {
    tracing::info!(?error, "the TPM of a seal does not do it");
    match error {
        Error::Tss2Error(code @ Tss2ResponseCode::FormatOne(_)) => code.kind(),
        _ => None,
    }
}
