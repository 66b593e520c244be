//! What an HSM says when it does not do it, by what helps.

use cryptoki::error::{Error, RvError};
use keyfold_core::ports::seal::SealError;

/// Why a token is not open.
#[derive(Debug)]
pub(super) enum Fault {
    /// It refused the PIN.
    Pin,
    /// Anything else.
    Other(SealError),
}

impl From<Fault> for SealError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Pin => barred(),
            Fault::Other(error) => error,
        }
    }
}

/// What is said from the first refusal of a PIN on.
pub(super) fn barred() -> SealError {
    SealError::Refused(
        "the token refuses the PIN; it is not tried again before the configuration is read again"
            .into(),
    )
}

/// Of all that is not decryption. The names are those of the standard.
pub(super) fn of(error: &Error) -> SealError {
    match error {
        Error::Pkcs11(code, _) => match code {
            RvError::KeyFunctionNotPermitted
            | RvError::KeyTypeInconsistent
            | RvError::KeySizeRange
            | RvError::MechanismInvalid
            | RvError::MechanismParamInvalid
            | RvError::ArgumentsBad
            | RvError::FunctionNotSupported
            | RvError::PinExpired
            | RvError::PinLocked
            | RvError::UserPinNotInitialized => {
                SealError::Refused(format!("the HSM does not do it: {code:?}"))
            }
            _ => SealError::Down(format!("the HSM fails: {code:?}")),
        },
        Error::LibraryLoading(_) | Error::MissingSymbol(_) => {
            SealError::Refused("the HSM's library can't be loaded".into())
        }
        _ => SealError::Down("the HSM fails".into()),
    }
}

/// Of decryption: a ciphertext of another key.
pub(super) fn of_decryption(error: &Error) -> SealError {
    match error {
        Error::Pkcs11(
            RvError::EncryptedDataInvalid
            | RvError::EncryptedDataLenRange
            | RvError::DataInvalid
            | RvError::DataLenRange
            | RvError::FunctionFailed
            | RvError::GeneralError
            | RvError::ArgumentsBad,
            _,
        ) => SealError::Foreign("the wrap does not open under the HSM's key".into()),
        other => of(other),
    }
}
