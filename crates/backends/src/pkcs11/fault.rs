//! What an HSM says when it does not do it, by what helps. The texts are shown to whoever asks: they
//! name no path and no secret; the codes are those of the standard.

use cryptoki::error::{Error, RvError};

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It refused the PIN.
    Pin,
    /// It is not there, or can't now: trying again helps.
    Away(String),
    /// It will not: somebody has to do something.
    Refused(String),
    /// It works, and what it was to open is none of its.
    Foreign,
}

/// Of all that works on nothing of the caller's.
pub(crate) fn of(error: &Error) -> Fault {
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
                Fault::Refused(format!("the HSM does not do it: {code:?}"))
            }
            _ => Fault::Away(format!("the HSM fails: {code:?}")),
        },
        Error::LibraryLoading(_) | Error::MissingSymbol(_) => {
            Fault::Refused("the HSM's library can't be loaded".to_owned())
        }
        _ => Fault::Away("the HSM fails".to_owned()),
    }
}

/// Of decryption: a ciphertext of another key.
pub(crate) fn of_decryption(error: &Error) -> Fault {
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
        ) => Fault::Foreign,
        other => of(other),
    }
}

/// Of what encrypts or signs: an input that the key has no room for.
pub(crate) fn of_input(error: &Error) -> Fault {
    match error {
        Error::Pkcs11(RvError::DataLenRange | RvError::DataInvalid, _) => {
            Fault::Refused("the input is too long for the key".to_owned())
        }
        other => of(other),
    }
}
