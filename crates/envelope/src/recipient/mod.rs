//! Whom a DEK is wrapped for, and who can unwrap it.
//!
//! ```text
//!   encrypt ──→ Recipient ──→ Slot ──→ Identity ──→ decrypt
//! ```
//!
//! An envelope has a slot for each recipient it was made for, and any one of them opens it.
//!
//! | slot | recipient | identity |
//! |---|---|---|
//! | 1 | [`TransitKey`] | a [`KeyService`](crate::KeyService), an [`ExportedKek`] |
//! | 4 | [`XWingRecipient`] | [`XWingIdentity`] |
//! | 5 | [`Passphrase`] | [`Passphrase`] |

mod exported;
mod passphrase;
mod text;
mod transit;
mod wrap;
mod x_wing;

use keyfold_secret::Protected;

use crate::error::Error;
use crate::header::Prelude;
use crate::slot::Slot;

pub use exported::ExportedKek;
pub use passphrase::Passphrase;
pub use text::{KeyFileError, KeyTextError, identities_of, recipients_of};
pub use transit::TransitKey;
pub use x_wing::{XWingIdentity, XWingRecipient};

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

#[cfg(test)]
mod tests;
