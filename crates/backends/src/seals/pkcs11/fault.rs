//! What an HSM says, as a seal tells it.

use keyfold_core::ports::seal::SealError;

use crate::pkcs11::Fault;

/// By what helps.
pub(super) fn told(fault: Fault) -> SealError {
    match fault {
        Fault::Pin => barred(),
        Fault::Away(text) => SealError::Down(text),
        Fault::Refused(text) => SealError::Refused(text),
        Fault::Foreign => {
            SealError::Foreign("the wrap does not open under the HSM's key".to_owned())
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
