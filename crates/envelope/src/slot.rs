//! Slots: the wrapped DEKs of an envelope, one 512-byte sector each.

use crate::error::Error;
use crate::fields::{field, is_zero, put, span};
use crate::hash::sha256;
use crate::locator::Locator;

/// Bytes of a slot: one sector, which a disk writes whole or not at all.
pub const SLOT_LEN: usize = 512;
/// Slots of an envelope.
pub const SLOT_COUNT: usize = 6;
/// Slot type: the DEK wrapped by a transit key of a Vault-compatible server.
pub const TYPE_TRANSIT: u8 = 1;
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
    /// How the DEK is wrapped; this program makes and opens [`TYPE_TRANSIT`].
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

    /// The sector. Only slots of one sector are written.
    pub fn encode(&self) -> Result<[u8; SLOT_LEN], Error> {
        let blob_len = u16::try_from(self.blob.len()).unwrap_or(u16::MAX);
        if self.span != 1 || self.blob.is_empty() || self.blob.len() > max_blob(1) {
            return Err(Error::WrapSize(self.blob.len()));
        }
        let state = match self.state {
            SlotState::Active => 1,
            SlotState::Pending => 2,
            SlotState::Retired => 3,
        };
        let locator = self.locator.as_ref().map_or("", Locator::as_str);
        // `Locator` is at most 127 bytes long.
        let locator_len = u8::try_from(locator.len()).unwrap_or(u8::MAX);
        let mut out = [0u8; SLOT_LEN];
        put(&mut out, 0, &[state, self.kind, self.span, self.flags]);
        put(&mut out, VERSION_AT, &self.version.to_be_bytes());
        put(&mut out, WRAPPED_AT_AT, &self.wrapped_at.to_be_bytes());
        put(&mut out, KEK_ID_AT, &self.kek_id);
        put(&mut out, LOCATOR_LEN_AT, &[locator_len]);
        put(&mut out, LOCATOR_AT, locator.as_bytes());
        put(&mut out, BLOB_LEN_AT, &blob_len.to_be_bytes());
        put(&mut out, BLOB_AT, &self.blob);
        put(
            &mut out,
            SLOT_LEN - TRAILER_LEN,
            &self.generation.to_be_bytes(),
        );
        let crc = crc32c::crc32c(out.get(..SLOT_LEN - 4).unwrap_or_default());
        put(&mut out, SLOT_LEN - 4, &crc.to_be_bytes());
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

/// What stands in one sector of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sector {
    /// All zero.
    Empty,
    /// A slot starts here.
    Slot(Box<Slot>),
    /// More of the slot before.
    Continued,
    /// Neither: a write was torn, or the bytes were changed.
    Damaged,
}

/// The six sectors of an envelope.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotTable {
    bytes: [u8; SLOT_COUNT * SLOT_LEN],
    sectors: [Sector; SLOT_COUNT],
}

impl SlotTable {
    /// A table with one slot, in the first sector.
    pub fn with_first(slot: &Slot) -> Result<Self, Error> {
        let mut bytes = [0u8; SLOT_COUNT * SLOT_LEN];
        put(&mut bytes, 0, &slot.encode()?);
        Ok(Self::parse(&bytes))
    }

    /// Reads the six sectors. Total; bytes missing at the end count as zero.
    #[must_use]
    pub fn parse(table: &[u8]) -> Self {
        let mut bytes = [0u8; SLOT_COUNT * SLOT_LEN];
        let len = table.len().min(bytes.len());
        put(&mut bytes, 0, table.get(..len).unwrap_or_default());
        let mut continued = 0u8;
        let sectors = std::array::from_fn(|index| {
            let rest = bytes
                .get(index.saturating_mul(SLOT_LEN)..)
                .unwrap_or_default();
            if let Some(left) = continued.checked_sub(1) {
                continued = left;
                return Sector::Continued;
            }
            if rest.get(..SLOT_LEN).is_some_and(is_zero) {
                return Sector::Empty;
            }
            let Some(slot) = Slot::parse(rest) else {
                return Sector::Damaged;
            };
            continued = slot.span.saturating_sub(1);
            Sector::Slot(Box::new(slot))
        });
        Self { bytes, sectors }
    }

    /// The bytes of all sectors.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; SLOT_COUNT * SLOT_LEN] {
        &self.bytes
    }

    /// The sectors in order.
    #[must_use]
    pub fn sectors(&self) -> &[Sector; SLOT_COUNT] {
        &self.sectors
    }

    /// The readable slots with the number of their first sector.
    pub fn slots(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.sectors
            .iter()
            .enumerate()
            .filter_map(|(index, sector)| match sector {
                Sector::Slot(slot) => Some((index, &**slot)),
                _ => None,
            })
    }

    /// How many sectors are damaged.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.sectors
            .iter()
            .filter(|sector| **sector == Sector::Damaged)
            .count()
    }

    /// The transit slots in the order in which a reader tries them: active, pending, retired, and
    /// in each of these the newest version and generation first.
    #[must_use]
    pub fn candidates(&self) -> Vec<(usize, &Slot)> {
        let mut slots: Vec<_> = self
            .slots()
            .filter(|(_, slot)| slot.transit().is_some())
            .collect();
        slots.sort_by_key(|(_, slot)| {
            (
                slot.state,
                std::cmp::Reverse((slot.version, slot.generation)),
            )
        });
        slots
    }

    /// The sector that a new slot is written to: an empty one, else a damaged one (which no reader
    /// takes), else the retired slot with the lowest generation. Never an active or pending one, and
    /// never the sector `keep`, which the new slot is made from.
    #[must_use]
    pub fn free_sector(&self, keep: usize) -> Option<usize> {
        let position = |wanted: Sector| self.sectors.iter().position(|sector| *sector == wanted);
        let retired = || {
            self.slots()
                .filter(|(index, _)| *index != keep)
                .filter(|(_, slot)| slot.state == SlotState::Retired && slot.span == 1)
                .min_by_key(|(_, slot)| slot.generation)
                .map(|(index, _)| index)
        };
        position(Sector::Empty)
            .or_else(|| position(Sector::Damaged))
            .or_else(retired)
    }

    /// The generation of the next slot to be written.
    #[must_use]
    pub fn next_generation(&self) -> u32 {
        let newest = self.slots().map(|(_, slot)| slot.generation).max();
        newest.map_or(1, |generation| generation.saturating_add(1))
    }
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

    fn table(slots: &[Option<Slot>]) -> SlotTable {
        let sectors = slots.iter().map(|slot| match slot {
            Some(slot) => slot.encode().unwrap(),
            None => [0; SLOT_LEN],
        });
        SlotTable::parse(&sectors.flatten().collect::<Vec<u8>>())
    }

    fn retired(version: u32) -> Option<Slot> {
        Some(Slot {
            state: SlotState::Retired,
            ..sample(version)
        })
    }

    #[test]
    fn round_trip() {
        let full = Slot {
            blob: vec![1; 342],
            state: SlotState::Pending,
            ..sample(u32::MAX)
        };
        for slot in [sample(1), full] {
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
                let mut bytes = good;
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
    fn a_spanned_slot_is_one_slot() {
        let mut bytes = sample(1).encode().unwrap().to_vec();
        bytes[504..].fill(0);
        bytes.resize(2 * SLOT_LEN, 0);
        bytes[1] = 7;
        bytes[2] = 2;
        bytes[160..162].copy_from_slice(&512u16.to_be_bytes());
        bytes[162..674].fill(9);
        bytes[1016..1020].copy_from_slice(&5u32.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..1020]);
        bytes[1020..].copy_from_slice(&crc.to_be_bytes());
        let table = SlotTable::parse(&bytes);
        let [Sector::Slot(slot), Sector::Continued, Sector::Empty, ..] = table.sectors() else {
            panic!("{:?}", table.sectors());
        };
        assert_eq!(
            (slot.generation, slot.blob.len(), slot.transit()),
            (5, 512, None)
        );
        assert_eq!(table.free_sector(0), Some(2));
    }

    #[test]
    fn readers_try_the_newest_active_slot_first() {
        let table = table(&[retired(9), Some(sample(1)), Some(sample(3)), retired(2)]);
        let order: Vec<_> = table.candidates().iter().map(|(index, _)| *index).collect();
        assert_eq!(order, [2, 1, 0, 3]);
    }

    #[test]
    fn writers_never_take_a_slot_in_use() {
        assert_eq!(table(&[Some(sample(1)), None]).free_sector(0), Some(1));
        let full = [
            retired(3),
            retired(2),
            Some(sample(6)),
            retired(4),
            retired(5),
            retired(7),
        ];
        assert_eq!(table(&full).free_sector(2), Some(1));
        assert_eq!(table(&full).free_sector(1), Some(0), "the source is kept");
        let active = (1..=6).map(|v| Some(sample(v))).collect::<Vec<_>>();
        assert_eq!(table(&active).free_sector(0), None);
        let mut bytes = *table(&full).as_bytes();
        bytes[4 * SLOT_LEN + 100] ^= 1;
        assert_eq!(
            SlotTable::parse(&bytes).free_sector(2),
            Some(4),
            "damaged before retired"
        );
        assert_eq!(table(&full).next_generation(), 8);
        assert_eq!(table(&[]).next_generation(), 1);
    }

    #[test]
    fn kek_id_keeps_its_parts_apart() {
        let id = |cluster, text: &str| kek_id(cluster, &text.parse().unwrap());
        assert_ne!(id("c", "ab/c"), id("c", "a/bc"));
        assert_ne!(id("c", "a/b"), id("d", "a/b"));
    }
}
