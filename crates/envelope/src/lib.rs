//! The data plane: files and streams encrypted under a key of their own, which a key service
//! wraps. Local I/O only; the server is reached through [`KeyService`].
//!
//! ```text
//! one envelope file (.kf)                                    bytes
//! ┌───────────────────────────────────────────────┐
//! │ prelude   magic, version, suite, object id,    │     0 ‥   512   immutable, bound into the key
//! │           hash of the encryption context       │
//! ├───────────────────────────────────────────────┤
//! │ slots     6 × 512: the DEK, wrapped by a KEK   │   512 ‥  3584   the only mutable bytes
//! ├───────────────────────────────────────────────┤
//! │ zero                                           │  3584 ‥  4040
//! ├───────────────────────────────────────────────┤
//! │ payload   salt, commitment                     │  4040 ‥  4096   a verbatim
//! │           chunk 0, chunk 1, … 16 KiB each      │  4096 ‥         Cobblestone-256 message
//! └───────────────────────────────────────────────┘
//! ```
//!
//! Rotating a KEK changes two slots (1,024 bytes) and neither reads nor writes the payload, and
//! whoever rotates never holds the DEK. `docs/envelope-format.md` is the specification.
//!
//! The story, in the order to read it: [`header`] and [`slot`] (the format), [`cobblestone`] (the
//! payload's cipher), [`encrypt_file`] and [`decrypt_file`], then [`Store`], and over it [`rewrap()`] and
//! [`census()`].
#![forbid(unsafe_code)]

pub mod cobblestone;
pub mod header;
pub mod slot;
pub mod value;

mod buffer;
mod census;
mod context;
mod decrypt;
mod drill;
mod edit;
mod encrypt;
mod error;
mod fields;
mod file;
mod hash;
mod inspect;
mod key_service;
mod labels;
mod locator;
mod output;
mod progress;
mod recipient;
mod reencrypt;
mod rewrap;
mod store;
mod stream;
#[cfg(test)]
mod testing;
mod unlock;

pub use census::{Census, CensusRow, census};
pub use context::{Context, ContextError};
pub use decrypt::{DecryptOptions, Opened, decrypt_file, decrypt_stream};
pub use drill::{DrillOptions, DrillReport, drill};
pub use edit::{Which, add_slot, remove_slots};
pub use encrypt::{EncryptOptions, Encrypted, encrypt_file, encrypt_stream};
pub use error::Error;
pub use inspect::{Inspection, SlotInfo, inspect, inspect_reader, payload_sha256};
pub use key_service::{
    Aad, KeyService, KeyVersions, RewrapItem, RewrapOutcome, ServiceError, WrappedDek, wrap_opened,
};
pub use labels::{Labels, LabelsError};
pub use locator::{Locator, LocatorError};
pub use progress::{NoProgress, Progress};
pub use recipient::{
    ExportedKek, Identity, KeyFileError, KeyTextError, Passphrase, Recipient, TransitKey,
    XWingIdentity, XWingRecipient, identities_of, recipients_of,
};
pub use reencrypt::{ReencryptOptions, ReencryptReport, reencrypt};
pub use rewrap::{
    Done, Outcome, RewrapOptions, RewrapReport, Stopped, Target, Verify, Watch, move_wraps,
    retire_moved, rewrap,
};
pub use store::{
    Added, Change, Content, Directories, Durability, Found, Spot, Store, Unreadable, Written,
};
pub use value::{Place, ValueError, ValueKey, ValueKeys, open_value, seal_value};

/// The name an envelope file ends with.
pub const SUFFIX: &str = ".kf";
