//! What a snapshot is, byte for byte. Integers are big endian.
//!
//! ```text
//!   ┌──────────────────────────┬───────────┬─────────────┬────────────────────────────────┐
//!   │ 89 'K''F''S''N' 0D 0A 1A │ version 1 │ length u32  │ header: JSON, see [`Header`]   │
//!   ├──────┬─────────┬─────────┴─┬─────┬───┴───┬─────────┴────────────────────────────────┘
//!   │ 01   │ key u32 │ value u32 │ key │ value │   one for each record, by key in byte order
//!   ├──────┼─────────┴───┬───────┴─────┴──┬────┘
//!   │ 00   │ records u64 │ bytes u64      │        bytes: of all keys and values
//!   ├──────┴─────────────┴──────┬─────────┘
//!   │ checksum 32               │  SHA-256 of all that stands before it
//!   ├───────────────────────────┤
//!   │ MAC 32                    │  HMAC-SHA-256 of "keyfold snapshot 1", a zero byte, the checksum,
//!   └───────────────────────────┘  under the store's snapshot key ([`super::key`])
//! ```
//!
//! The values are the records as they lie in the store: under the mounts' deks, the deks under the
//! keyring, that under the root key, that under the seals, whose wraps are among them. What can be
//! read without a key is what can be read in the store's own file: the storage keys, and lengths.

use keyfold_keys::kdf::MacKey;
use serde::{Deserialize, Serialize};

/// How a snapshot begins: not text, and spoilt by whatever changes line ends.
pub const MAGIC: [u8; 8] = *b"\x89KFSN\r\n\x1a";
/// The version that this program writes, and the newest that it reads.
pub const VERSION: u8 = 1;
/// Longest header, bytes.
pub(super) const HEADER_MAX: usize = 4096;
/// Begins a record.
pub(super) const RECORD: u8 = 1;
/// Begins the end.
pub(super) const END: u8 = 0;
/// Bytes after [`END`].
pub(super) const TRAILER: usize = 8 + 8 + 32 + 32;
const CONTEXT: &[u8] = b"keyfold snapshot 1\0";

/// What a snapshot says of itself. Members that a reader does not know are skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The id of the cluster whose store it is of: a UUID.
    pub store: String,
    /// When it was begun: RFC 3339.
    pub created: String,
    /// The last commit that is in it.
    pub revision: u64,
    /// The program that made it.
    pub program: String,
}

/// How a snapshot ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// Records in it.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// SHA-256 of all before.
    pub checksum: [u8; 32],
    /// Says who made it: see [`Trailer::is_by`].
    pub mac: [u8; 32],
}

impl Trailer {
    /// Whether it was made under a snapshot key, and is as it was made.
    pub fn is_by(&self, key: &MacKey) -> bool {
        key.verify(&authenticated(&self.checksum), &self.mac)
    }
}

/// The MAC that belongs to a checksum.
pub(super) fn mac(key: &MacKey, checksum: &[u8; 32]) -> [u8; 32] {
    key.tag(&authenticated(checksum))
}

fn authenticated(checksum: &[u8; 32]) -> Vec<u8> {
    [CONTEXT, checksum].concat()
}

/// Why something is no whole snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It begins as none.
    #[error("this is no snapshot of Keyfold")]
    Foreign,
    /// It begins like those of Vault and OpenBao.
    #[error(
        "this is a snapshot of Vault or OpenBao (a gzip file); only Keyfold's own can be restored"
    )]
    Raft,
    /// A newer program made it.
    #[error("the snapshot has format {0}, made by a newer version; this one knows up to {VERSION}")]
    Newer(u8),
    /// The end is missing.
    #[error("the snapshot is cut off after {0} bytes: its end is missing")]
    Truncated(u64),
    /// Something in it can't be so.
    #[error("the snapshot is damaged: {0}")]
    Damaged(&'static str),
    /// The bytes are not those that were written.
    #[error("the snapshot is damaged: its bytes do not give its checksum")]
    Checksum,
    /// More than a snapshot.
    #[error("something stands after the end of the snapshot")]
    Longer,
}
