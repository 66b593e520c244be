//! Slots: the wrapped DEKs of an envelope, one or more 512-byte sectors each.

mod table;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::Error;
use crate::fields::{field, is_zero, put, span};
use crate::hash::sha256;
use crate::locator::Locator;

pub use table::{Sector, SlotTable};

/// Bytes of a slot: one sector, which a disk writes whole or not at all.
pub const SLOT_LEN: usize = 512;
/// Slots of an envelope.
pub const SLOT_COUNT: usize = 6;
/// Slot type: the DEK wrapped by a transit key of a Vault-compatible server.
pub const TYPE_TRANSIT: u8 = 1;
/// Slot type: the DEK wrapped by a DEK of a keyring.
pub const TYPE_KEYRING: u8 = 2;
/// Slot type: the DEK sealed to an X-Wing key that is kept offline.
pub const TYPE_X_WING: u8 = 4;
/// Slot type: the DEK under a key made of a passphrase.
pub const TYPE_PASSPHRASE: u8 = 5;
/// Slot flag: the wrap's additional data is SHA-256 of the prelude.
pub const FLAG_AAD_BOUND: u8 = 1;

const VERSION_AT: usize = 4;
const WRAPPED_AT_AT: usize = 8;
const KEK_ID_AT: usize = 16;
const LOCATOR_LEN_AT: usize = 32;
const LOCATOR_AT: usize = 33;
const LOCATOR_END: usize = 160;
const BLOB_LEN_AT: usize = 160;
const BLOB_AT: usize = 162;
/// Generation and checksum, at the end of a slot's last sector.
const TRAILER_LEN: usize = 8;

/// What a slot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SlotState {
    /// In use.
    Active,
    /// Written and not yet vouched for; a reader tries it after the active ones.
    Pending,
    /// Replaced by a newer wrap. Its space may be used again.
    Retired,
}

/// One wrapped DEK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Whether it is in use.
    pub state: SlotState,
    /// How the DEK is wrapped, such as [`TYPE_TRANSIT`].
    pub kind: u8,
    /// How many sectors it takes, 1 to 6.
    pub span: u8,
    /// Bit 0 [`FLAG_AAD_BOUND`]; bit 1: a derived key, whose context is needed.
    pub flags: u8,
    /// Version of the KEK.
    pub version: u32,
    /// When it was wrapped, seconds since 1970.
    pub wrapped_at: u64,
    /// Which KEK of which cluster, see [`kek_id`].
    pub kek_id: [u8; 16],
    /// Where the KEK lives; `None` for types that have no such place.
    pub locator: Option<Locator>,
    /// The wrap.
    pub blob: Vec<u8>,
    /// Counts the slots written to this envelope; a newer one is greater.
    pub generation: u32,
}

impl Slot {
    /// A slot in use, of as many sectors as the wrap needs, bound to its envelope and without a
    /// version or a place. It gets its generation when it is put into a table.
    #[must_use]
    pub fn new(kind: u8, blob: Vec<u8>) -> Self {
        Self {
            state: SlotState::Active,
            kind,
            span: span_of(blob.len()),
            flags: FLAG_AAD_BOUND,
            version: 0,
            wrapped_at: now(),
            kek_id: [0; 16],
            locator: None,
            blob,
            generation: 0,
        }
    }

    /// True where the wrap is bound to the envelope by its additional data.
    #[must_use]
    pub fn is_aad_bound(&self) -> bool {
        self.flags & FLAG_AAD_BOUND != 0
    }

    /// The KEK, where it is a transit key that this program can ask for.
    #[must_use]
    pub fn transit(&self) -> Option<&Locator> {
        let usable = self.kind == TYPE_TRANSIT && self.span == 1 && self.flags <= FLAG_AAD_BOUND;
        self.locator.as_ref().filter(|_| usable)
    }

    /// Whether a key or a passphrase opens it that no server has a say about.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        matches!(self.kind, TYPE_X_WING | TYPE_PASSPHRASE)
    }

    /// The bytes of its sectors.
    pub fn encode(&self) -> Result<Vec<u8>, Error> {
        let blob_len = u16::try_from(self.blob.len()).unwrap_or(u16::MAX);
        let is_spanned = (1..=SLOT_COUNT).contains(&self.span.into());
        if !is_spanned || self.blob.is_empty() || self.blob.len() > max_blob(self.span) {
            return Err(Error::WrapSize(self.blob.len()));
        }
        let len = usize::from(self.span).saturating_mul(SLOT_LEN);
        let state = match self.state {
            SlotState::Active => 1,
            SlotState::Pending => 2,
            SlotState::Retired => 3,
        };
        let locator = self.locator.as_ref().map_or("", Locator::as_str);
        // `Locator` is at most 127 bytes long.
        let locator_len = u8::try_from(locator.len()).unwrap_or(u8::MAX);
        let mut out = vec![0u8; len];
        put(&mut out, 0, &[state, self.kind, self.span, self.flags]);
        put(&mut out, VERSION_AT, &self.version.to_be_bytes());
        put(&mut out, WRAPPED_AT_AT, &self.wrapped_at.to_be_bytes());
        put(&mut out, KEK_ID_AT, &self.kek_id);
        put(&mut out, LOCATOR_LEN_AT, &[locator_len]);
        put(&mut out, LOCATOR_AT, locator.as_bytes());
        put(&mut out, BLOB_LEN_AT, &blob_len.to_be_bytes());
        put(&mut out, BLOB_AT, &self.blob);
        let trailer_at = len.saturating_sub(TRAILER_LEN);
        put(&mut out, trailer_at, &self.generation.to_be_bytes());
        let crc_at = len.saturating_sub(4);
        let crc = crc32c::crc32c(out.get(..crc_at).unwrap_or_default());
        put(&mut out, crc_at, &crc.to_be_bytes());
        Ok(out)
    }

    /// Reads the slot that starts with `sectors`, or `None` where it is damaged.
    fn parse(sectors: &[u8]) -> Option<Self> {
        let [state, kind, span_byte, flags] = field(sectors, 0)?;
        let len = usize::from(span_byte)
            .checked_mul(SLOT_LEN)
            .filter(|len| *len > 0)?;
        let bytes = sectors.get(..len)?;
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_be_bytes(*crc) {
            return None;
        }
        let state = match state {
            1 => SlotState::Active,
            2 => SlotState::Pending,
            3 => SlotState::Retired,
            _ => return None,
        };
        let [locator_len] = field(bytes, LOCATOR_LEN_AT)?;
        let locator = match usize::from(locator_len) {
            0 => None,
            len if LOCATOR_AT.checked_add(len)? > LOCATOR_END => return None,
            len => Some(
                std::str::from_utf8(span(bytes, LOCATOR_AT, len)?)
                    .ok()?
                    .parse()
                    .ok()?,
            ),
        };
        let blob_len = usize::from(u16::from_be_bytes(field(bytes, BLOB_LEN_AT)?));
        let blob = span(bytes, BLOB_AT, blob_len).filter(|_| blob_len <= max_blob(span_byte))?;
        let version = u32::from_be_bytes(field(bytes, VERSION_AT)?);
        let padding = [
            bytes.get(LOCATOR_AT.checked_add(locator_len.into())?..LOCATOR_END)?,
            bytes.get(BLOB_AT.checked_add(blob_len)?..len.checked_sub(TRAILER_LEN)?)?,
        ];
        let unusable = kind == TYPE_TRANSIT && (version == 0 || locator.is_none());
        if padding.iter().any(|bytes| !is_zero(bytes)) || blob.is_empty() || unusable {
            return None;
        }
        Some(Self {
            state,
            kind,
            span: span_byte,
            flags,
            version,
            wrapped_at: u64::from_be_bytes(field(bytes, WRAPPED_AT_AT)?),
            kek_id: field(bytes, KEK_ID_AT)?,
            locator,
            blob: blob.to_vec(),
            generation: u32::from_be_bytes(field(bytes, len.checked_sub(TRAILER_LEN)?)?),
        })
    }
}

/// Names a KEK across clusters: the first 16 bytes of
/// SHA-256(`cluster id | 0 | mount | 0 | key name`).
#[must_use]
pub fn kek_id(cluster_id: &str, locator: &Locator) -> [u8; 16] {
    let parts = [cluster_id, "\0", locator.mount(), "\0", locator.key()].map(str::as_bytes);
    let hash = sha256(&parts);
    let mut id = [0u8; 16];
    id.copy_from_slice(hash.first_chunk::<16>().unwrap_or(&[0; 16]));
    id
}

/// Sectors that a wrap of `len` bytes needs; one more than there are where none suffice.
fn span_of(len: usize) -> u8 {
    let mut spans = 1..=SLOT_COUNT as u8;
    spans
        .find(|span| len <= max_blob(*span))
        .unwrap_or(SLOT_COUNT as u8 + 1)
}

/// Seconds since 1970; 0 on a clock before that.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

/// Most bytes of a wrap in a slot of `span` sectors.
fn max_blob(span: u8) -> usize {
    usize::from(span)
        .saturating_mul(SLOT_LEN)
        .saturating_sub(BLOB_AT + TRAILER_LEN)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(version: u32) -> Slot {
        let locator: Locator = "transit/payments".parse().unwrap();
        Slot {
            state: SlotState::Active,
            kind: TYPE_TRANSIT,
            span: 1,
            flags: FLAG_AAD_BOUND,
            version,
            wrapped_at: 1_700_000_000,
            kek_id: kek_id("cluster", &locator),
            locator: Some(locator),
            blob: vec![0xab; 60],
            generation: version,
        }
    }

    #[test]
    fn round_trip() {
        let full = Slot {
            blob: vec![1; 342],
            state: SlotState::Pending,
            ..sample(u32::MAX)
        };
        let whole_table = Slot {
            blob: vec![1; 2902],
            span: 6,
            ..sample(2)
        };
        for slot in [sample(1), full, whole_table] {
            assert_eq!(Slot::parse(&slot.encode().unwrap()), Some(slot));
        }
        for len in [0, 343] {
            let slot = Slot {
                blob: vec![1; len],
                ..sample(1)
            };
            assert!(matches!(slot.encode(), Err(Error::WrapSize(n)) if n == len));
        }
    }

    #[test]
    fn every_flipped_bit_damages_the_slot() {
        let good = sample(1).encode().unwrap();
        for at in 0..SLOT_LEN {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                assert_eq!(Slot::parse(&bytes), None, "byte {at} bit {bit}");
            }
        }
    }

    #[test]
    fn a_valid_checksum_does_not_excuse_bad_fields() {
        let damage = |at: usize, value: &[u8]| {
            let mut bytes = sample(1).encode().unwrap();
            bytes[at..at + value.len()].copy_from_slice(value);
            let crc = crc32c::crc32c(&bytes[..508]);
            bytes[508..].copy_from_slice(&crc.to_be_bytes());
            Slot::parse(&bytes)
        };
        assert!(damage(0, &[1]).is_some());
        assert!(damage(0, &[0]).is_none(), "state");
        assert!(damage(2, &[0]).is_none(), "span");
        assert!(damage(2, &[7]).is_none(), "span");
        assert!(damage(4, &[0; 4]).is_none(), "version");
        assert!(damage(32, &[128]).is_none(), "locator length");
        assert!(damage(33, b"../").is_none(), "locator");
        assert!(damage(159, &[1]).is_none(), "locator padding");
        assert!(damage(160, &[1, 87]).is_none(), "blob length");
        assert!(damage(160, &[0, 0]).is_none(), "blob length");
        assert!(damage(503, &[1]).is_none(), "blob padding");
    }

    #[test]
    fn kek_id_keeps_its_parts_apart() {
        let id = |cluster, text: &str| kek_id(cluster, &text.parse().unwrap());
        assert_ne!(id("c", "ab/c"), id("c", "a/bc"));
        assert_ne!(id("c", "a/b"), id("d", "a/b"));
    }
}
