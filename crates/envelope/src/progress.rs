//! How far a long call is, for whoever draws a bar.

/// Told by a running call how far it is. Called from several threads.
pub trait Progress: Sync {
    /// The whole amount, once it is known: plaintext bytes when encrypting or decrypting, files
    /// when rewrapping or counting. Not called where the input is a pipe.
    fn total(&self, _amount: u64) {}

    /// `amount` more is done.
    fn advance(&self, _amount: u64) {}

    /// False where nobody would look at the amounts, so that what costs something is not counted.
    fn watches(&self) -> bool {
        true
    }
}

/// Nobody watches.
pub struct NoProgress;

impl Progress for NoProgress {
    fn watches(&self) -> bool {
        false
    }
}
