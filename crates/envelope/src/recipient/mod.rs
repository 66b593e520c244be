//! Whom a DEK is wrapped for, and who can unwrap it.
//!
//! ```text
//!   encrypt ──→ Recipient ──→ Slot ──→ Identity ──→ decrypt
//! ```
//!
//! An envelope has a slot for each recipient it was made for, and any one of them opens it.

mod transit;

use keyfold_secret::Protected;

use crate::error::Error;
use crate::header::Prelude;
use crate::slot::Slot;

pub use transit::TransitKey;

/// Whom a DEK is wrapped for.
pub trait Recipient: Send + Sync {
    /// Wraps the DEK of the envelope with this prelude. Whoever writes the slot gives it its place
    /// and its generation.
    fn wrap(&self, prelude: &Prelude, dek: &Protected<32>) -> Result<Slot, Error>;
}

/// Who can unwrap DEKs. A [`KeyService`](crate::KeyService) is one, for the slots of all its keys.
pub trait Identity: Send + Sync {
    /// The DEK in a slot of the envelope with this prelude; `None` where the slot is for somebody
    /// else. The caller checks that the payload commits to it.
    fn open(&self, prelude: &Prelude, slot: &Slot) -> Option<Result<Protected<32>, Error>>;
}
