//! Backups: the whole store as it lies there, sealed; and a store from one.
//!
//! ```text
//!   open vault ── save ──► file ── inspect, offline
//!                           │
//!     stage ◄── restore ────┘        nothing of the store changes
//!       │  whole, right checksum, of this store
//!       ▼
//!     adopt: one commit              old state, or new
//!       │
//!       ▼
//!     sealed; opened by what opens the snapshot
//! ```

mod decode;
pub(crate) mod destroyed;
mod encode;
mod format;
mod key;
mod probe;
mod restore;
mod restored;
mod save;
mod summary;
#[cfg(test)]
mod tests;
mod turn;

pub use self::decode::{Decoder, Item};
pub use self::encode::Encoder;
pub use self::format::{Fault, Header, MAGIC, Trailer, VERSION};
pub use self::probe::Probe;
pub use self::restore::Restored;
pub(crate) use self::restored::settle;
pub use self::save::Saving;
pub use self::summary::{Folder, Inspection, Summary};
pub use self::turn::{SnapshotTurn, Turn};
