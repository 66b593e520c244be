//! The first 4 KiB of an envelope: prelude, slots, and the head of the payload.

use crate::cobblestone::{COMMITMENT_LEN, HEAD_LEN, SALT_LEN};
use crate::context::Context;
use crate::error::Error;
use crate::fields::{field, is_zero, put, span};
use crate::hash::sha256;
use crate::labels::{LABELS_LEN, Labels, LabelsError};
use crate::slot::{SLOT_COUNT, SLOT_LEN, SlotTable};

/// Bytes before the first chunk.
pub const HEADER_LEN: usize = 4096;
/// Bytes of the immutable part.
pub const PRELUDE_LEN: usize = 512;
/// Where the slots start.
pub const SLOTS_AT: usize = PRELUDE_LEN;

const MAGIC: [u8; 8] = [0x89, b'K', b'F', b'L', b'D', 0x0d, 0x0a, 0x1a];
const VERSION: u8 = 1;
const SUITE_COBBLESTONE_256: u8 = 1;
const FLAGS_AT: usize = 12;
const FLAG_DETACHED: u8 = 1;
const SLOT_LEN_LOG2: u8 = 9;
const SLOTS_END: usize = SLOTS_AT + SLOT_COUNT * SLOT_LEN;
const SALT_AT: usize = 4040;
const COMMITMENT_AT: usize = SALT_AT + SALT_LEN;
const OBJECT_ID_AT: usize = 16;
const CTX_HASH_AT: usize = 32;
const LABELS_AT: usize = 64;
const RESERVED_AT: usize = LABELS_AT + LABELS_LEN;
/// What the payload's context starts with, before the prelude.
const PAYLOAD_CONTEXT: &[u8] = b"keyfold/1";

/// The immutable 512 bytes. Bound into the payload's key, nonce and commitment.
#[derive(Clone, PartialEq, Eq)]
pub struct Prelude {
    bytes: [u8; PRELUDE_LEN],
    object_id: [u8; 16],
    ctx_hash: [u8; 32],
    labels: Labels,
}

impl Prelude {
    /// The prelude of a new envelope. `object_id` must be random.
    pub fn new(
        object_id: [u8; 16],
        context: &Context,
        labels: &Labels,
    ) -> Result<Self, LabelsError> {
        let ctx_hash = context.hash();
        let mut bytes = [0u8; PRELUDE_LEN];
        put(&mut bytes, 0, &MAGIC);
        let shape = [
            VERSION,
            SUITE_COBBLESTONE_256,
            SLOT_LEN_LOG2,
            SLOT_COUNT as u8,
        ];
        put(&mut bytes, MAGIC.len(), &shape);
        put(&mut bytes, OBJECT_ID_AT, &object_id);
        put(&mut bytes, CTX_HASH_AT, &ctx_hash);
        put(&mut bytes, LABELS_AT, &labels.encode()?);
        Ok(Self {
            bytes,
            object_id,
            ctx_hash,
            labels: labels.clone(),
        })
    }

    /// The same for a payload that is kept apart from its header, as an object of its own.
    #[must_use]
    pub fn detached(mut self) -> Self {
        put(&mut self.bytes, FLAGS_AT, &[FLAG_DETACHED]);
        self
    }

    /// Reads a prelude. Total: any 512 bytes give a prelude or an error that says what is wrong.
    pub fn parse(bytes: &[u8; PRELUDE_LEN]) -> Result<Self, Error> {
        check_magic(bytes)?;
        let damaged = Error::HeaderDamaged;
        let [version, suite, slot_log2, slots, flags, z0, z1, z2] =
            field::<8>(bytes, MAGIC.len()).ok_or(damaged("prelude"))?;
        if version != VERSION {
            return Err(Error::UnsupportedVersion(version));
        }
        match suite {
            SUITE_COBBLESTONE_256 => {}
            2 => return Err(Error::Unsupported("suite 2 (Cobblestone-128)")),
            3 => return Err(Error::Unsupported("suite 3 (FLOE)")),
            _ => return Err(Error::Unsupported("an unknown cipher suite")),
        }
        if slot_log2 != SLOT_LEN_LOG2 || usize::from(slots) != SLOT_COUNT {
            return Err(damaged("slot size or count"));
        }
        if flags & !FLAG_DETACHED != 0 {
            return Err(damaged("flags"));
        }
        let reserved = bytes.get(RESERVED_AT..).unwrap_or_default();
        if !is_zero(&[z0, z1, z2]) || !is_zero(reserved) {
            return Err(damaged("reserved bytes of the prelude are not zero"));
        }
        let labels = field::<LABELS_LEN>(bytes, LABELS_AT)
            .and_then(|block| Labels::parse(&block))
            .ok_or(damaged("labels"))?;
        Ok(Self {
            bytes: *bytes,
            object_id: field(bytes, OBJECT_ID_AT).ok_or(damaged("prelude"))?,
            ctx_hash: field(bytes, CTX_HASH_AT).ok_or(damaged("prelude"))?,
            labels,
        })
    }

    /// The 512 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; PRELUDE_LEN] {
        &self.bytes
    }

    /// True where the payload is not behind the header, but an object of its own.
    #[must_use]
    pub fn is_detached(&self) -> bool {
        self.bytes.get(FLAGS_AT) == Some(&FLAG_DETACHED)
    }

    /// Names this envelope; random, and the same for all copies of it.
    #[must_use]
    pub fn object_id(&self) -> &[u8; 16] {
        &self.object_id
    }

    /// The public labels.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// True where a reader has to bring an encryption context.
    #[must_use]
    pub fn has_context(&self) -> bool {
        !is_zero(&self.ctx_hash)
    }

    /// True where `context` is the one that the envelope was made with.
    #[must_use]
    pub fn matches(&self, context: &Context) -> bool {
        self.ctx_hash == context.hash()
    }

    /// SHA-256 of the 512 bytes: the additional data of an AAD-bound wrap.
    #[must_use]
    pub fn aad(&self) -> [u8; 32] {
        sha256(&[&self.bytes])
    }

    /// The context that the payload's key is derived with.
    #[must_use]
    pub fn payload_context(&self) -> Vec<u8> {
        [PAYLOAD_CONTEXT, &self.bytes[..]].concat()
    }
}

/// The whole header.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// The immutable part.
    pub prelude: Prelude,
    /// The wrapped DEKs.
    pub slots: SlotTable,
    /// The payload's salt.
    pub salt: [u8; SALT_LEN],
    /// The payload's commitment to its key.
    pub commitment: [u8; COMMITMENT_LEN],
}

impl Header {
    /// Reads a header. Total. A damaged slot is no error here: another one may open the file.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Self, Error> {
        let damaged = || Error::HeaderDamaged("header");
        let prelude = Prelude::parse(bytes.first_chunk().ok_or_else(damaged)?)?;
        let table = span(bytes, SLOTS_AT, SLOTS_END - SLOTS_AT).ok_or_else(damaged)?;
        let gap = bytes.get(SLOTS_END..SALT_AT).ok_or_else(damaged)?;
        if !is_zero(gap) {
            return Err(Error::HeaderDamaged(
                "reserved bytes after the slots are not zero",
            ));
        }
        Ok(Self {
            prelude,
            slots: SlotTable::parse(table),
            salt: field(bytes, SALT_AT).ok_or_else(damaged)?,
            commitment: field(bytes, COMMITMENT_AT).ok_or_else(damaged)?,
        })
    }

    /// Reads a header from the first bytes of an input, of which there may be fewer than 4,096.
    pub fn parse_prefix(bytes: &[u8]) -> Result<Self, Error> {
        match bytes.first_chunk::<HEADER_LEN>() {
            Some(whole) => Self::parse(whole),
            None => Err(check_magic(bytes).err().unwrap_or(Error::Truncated)),
        }
    }

    /// Refuses a header whose payload is elsewhere.
    pub(crate) fn attached(&self) -> Result<(), Error> {
        if self.prelude.is_detached() {
            return Err(Error::Unsupported("a detached header without its payload"));
        }
        Ok(())
    }

    /// Refuses a header whose payload is behind it.
    pub(crate) fn detached(&self) -> Result<(), Error> {
        if self.prelude.is_detached() {
            Ok(())
        } else {
            Err(Error::HeaderDamaged("it is not a detached one"))
        }
    }

    /// Salt and commitment: what a payload begins with.
    pub(crate) fn payload_head(&self) -> [u8; HEAD_LEN] {
        let mut head = [0; HEAD_LEN];
        put(&mut head, 0, &self.salt);
        put(&mut head, SALT_LEN, &self.commitment);
        head
    }

    /// The 4,096 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0u8; HEADER_LEN];
        put(&mut out, 0, self.prelude.as_bytes());
        put(&mut out, SLOTS_AT, self.slots.as_bytes());
        put(&mut out, SALT_AT, &self.salt);
        put(&mut out, COMMITMENT_AT, &self.commitment);
        out
    }
}

/// True where an input that starts so is meant to be an envelope.
pub(crate) fn looks_like_envelope(start: &[u8]) -> bool {
    !matches!(check_magic(start), Err(Error::NotAnEnvelope))
}

/// The magic has a byte above 127 and both line ends, so that a transfer in text mode shows.
fn check_magic(start: &[u8]) -> Result<(), Error> {
    if start.starts_with(&MAGIC) {
        return Ok(());
    }
    // The name is there and the bytes around it changed.
    let name = start.get(1..5) == MAGIC.get(1..5);
    if name {
        return Err(Error::HeaderDamaged(
            "magic bytes (was it transferred as text?)",
        ));
    }
    Err(Error::NotAnEnvelope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slot::tests::sample;

    fn header() -> Header {
        let context = Context::from_pairs(["tenant=acme"]).unwrap();
        let labels = Labels {
            service: Some("payments".into()),
            ..Labels::default()
        };
        Header {
            prelude: Prelude::new([7; 16], &context, &labels).unwrap(),
            slots: SlotTable::with(vec![sample(1)]).unwrap(),
            salt: [3; SALT_LEN],
            commitment: [4; COMMITMENT_LEN],
        }
    }

    #[test]
    fn round_trip() {
        let header = header();
        let parsed = Header::parse(&header.encode()).unwrap();
        assert!(parsed == header);
        assert_eq!(parsed.prelude.labels().service.as_deref(), Some("payments"));
        assert!(parsed.prelude.has_context());
        assert!(!parsed.prelude.matches(&Context::new()));
    }

    #[test]
    fn each_fixed_field_is_checked() {
        let good = header().encode();
        for at in (0..16).chain(256..512).chain(3584..4040) {
            for bit in 0..8 {
                let mut bytes = good;
                bytes[at] ^= 1 << bit;
                let parsed = Header::parse(&bytes);
                // The one flag there is: the payload's key is bound to it.
                match parsed {
                    Ok(header) => assert!((at, bit) == (12, 0) && header.attached().is_err()),
                    Err(_) => assert_ne!((at, bit), (12, 0)),
                }
            }
        }
    }

    #[test]
    fn names_what_is_wrong() {
        let good = header().encode();
        let error = |at: usize, value: u8| {
            let mut bytes = good;
            bytes[at] = value;
            Header::parse(&bytes).err().unwrap()
        };
        assert!(matches!(error(1, b'X'), Error::NotAnEnvelope));
        assert!(matches!(error(0, 0x09), Error::HeaderDamaged(_)));
        assert!(matches!(error(8, 2), Error::UnsupportedVersion(2)));
        assert!(matches!(error(9, 2), Error::Unsupported(_)));
        assert!(matches!(error(9, 9), Error::Unsupported(_)));
        assert!(matches!(error(12, 2), Error::HeaderDamaged(_)));
        assert!(matches!(
            Header::parse_prefix(&good[..4095]),
            Err(Error::Truncated)
        ));
        assert!(matches!(
            Header::parse_prefix(&good[..7]),
            Err(Error::HeaderDamaged(_))
        ));
        assert!(matches!(
            Header::parse_prefix(b""),
            Err(Error::NotAnEnvelope)
        ));
        assert!(matches!(
            Header::parse_prefix(b"%PDF-1.7"),
            Err(Error::NotAnEnvelope)
        ));
    }
}
