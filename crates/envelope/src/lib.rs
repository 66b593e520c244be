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
//!
//! | to | take |
//! |---|---|
//! | encrypt files and pipes | [`encrypt_file`], [`encrypt_stream`], and their opposites |
//! | read parts, seek | [`Envelope`], over a file or any [`ReadAt`] |
//! | encrypt where a reader or writer is wanted | [`SealWriter`], [`OpenReader`] |
//! | do so without I/O, or asynchronously | [`Sealer`], [`Opener`]; `keyfold_client::stream` |
//! | encrypt columns | [`seal_value`], [`open_value`], [`ValueKey`] |
//! | keep one DEK for many objects | [`keyring`], and the [`cache`] that spares the server |
//! | try it without a server | [`MemoryKeys`] |
//!
//! A file there and back:
//!
//! ```
//! use keyfold_envelope::{
//!     Context, DecryptOptions, EncryptOptions, MemoryKeys, NoProgress, TransitKey, decrypt_file,
//!     encrypt_file,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (report, envelope) = (folder.path().join("report"), folder.path().join("report.kf"));
//! # let copy = folder.path().join("copy");
//! # std::fs::write(&report, "for nobody else")?;
//! let keys = MemoryKeys::new(); // keyfold_client::TransitKeys, where there is a server
//! let context = Context::from_pairs(["tenant=acme"])?; // needed again to decrypt
//!
//! let (name, options) = ("transit/reports".parse()?, EncryptOptions::default());
//! let key = TransitKey::new(&keys, &name);
//! encrypt_file(&[&key], &context, &report, &envelope, &options, &NoProgress)?;
//!
//! let options = DecryptOptions::default();
//! decrypt_file(&[&keys], &context, &envelope, &copy, &options, &NoProgress)?;
//! assert_eq!(std::fs::read(&copy)?, std::fs::read(&report)?);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod cache;
pub mod cobblestone;
pub mod header;
pub mod keyring;
pub mod slot;
pub mod value;

mod buffer;
mod census;
mod context;
mod decrypt;
mod detached;
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
mod memory;
mod output;
mod progress;
mod push;
mod range;
mod recipient;
mod reencrypt;
mod rewrap;
mod store;
mod stream;
#[cfg(test)]
mod testing;
mod unlock;
mod verified;

pub use census::{Census, CensusRow, census};
pub use context::{Context, ContextError};
pub use decrypt::{DecryptOptions, Opened, decrypt_file, decrypt_stream};
pub use detached::Detached;
pub use drill::{DrillOptions, DrillReport, drill};
pub use edit::{Which, add_slot, remove_slots};
pub use encrypt::{EncryptOptions, Encrypted, encrypt_file, encrypt_stream};
pub use error::Error;
pub use file::{OpenedBatch, open_batch, seal_batch};
pub use inspect::{Inspection, SlotInfo, inspect, inspect_reader, payload_sha256};
pub use key_service::{
    Aad, KeyService, KeyVersions, RewrapItem, RewrapOutcome, ServiceError, WrappedDek, wrap_opened,
};
pub use labels::{Labels, LabelsError};
pub use locator::{Locator, LocatorError};
pub use memory::MemoryKeys;
pub use output::Output;
pub use progress::{NoProgress, Progress};
pub use push::{OpenReader, Opener, SealWriter, Sealer};
pub use range::{
    Bounds, BoundsError, Envelope, ReadAt, open_detached_range, open_range, open_range_file,
};
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
pub use verified::decrypt_verified;

/// The name an envelope file ends with.
pub const SUFFIX: &str = ".kf";
