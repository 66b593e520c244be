//! What an envelope says about itself, without any key and without a server.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use crate::cobblestone::{COMMITMENT_LEN, HEAD_LEN, SALT_LEN, plaintext_len};
use crate::decrypt::read_header;
use crate::error::Error;
use crate::hash::Sha256;
use crate::header::{HEADER_LEN, Header};
use crate::labels::Labels;
use crate::locator::Locator;
use crate::slot::{Sector, Slot, SlotState, SlotTable};

/// The public content of a header. Nothing in it is authenticated until the file is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    /// Version of the format.
    pub format_version: u8,
    /// Name of the cipher suite.
    pub suite: &'static str,
    /// The envelope's random name.
    pub object_id: [u8; 16],
    /// True where decrypting needs an encryption context.
    pub has_context: bool,
    /// True where the payload is not behind the header, but an object of its own.
    pub is_detached: bool,
    /// The labels in clear.
    pub labels: Labels,
    /// The readable slots.
    pub slots: Vec<SlotInfo>,
    /// Numbers of the damaged slots.
    pub damaged_slots: Vec<usize>,
    /// The payload's salt.
    pub salt: [u8; SALT_LEN],
    /// The payload's commitment to its key.
    pub commitment: [u8; COMMITMENT_LEN],
    /// Length of the file in bytes; `None` for a stream.
    pub file_len: Option<u64>,
    /// Length of the plaintext in bytes, as the file's length has it; `None` for a stream, and
    /// where no envelope is so long: it was cut.
    pub plaintext_len: Option<u64>,
}

/// One readable slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotInfo {
    /// Its number, from 0.
    pub index: usize,
    /// Whether it is in use.
    pub state: SlotState,
    /// Its type; 1 is a transit key.
    pub kind: u8,
    /// True where a key or a passphrase opens it that no server has a say about.
    pub offline: bool,
    /// Version of the KEK.
    pub version: u32,
    /// Where the KEK lives.
    pub locator: Option<Locator>,
    /// Which KEK of which cluster.
    pub kek_id: [u8; 16],
    /// When it was wrapped, seconds since 1970.
    pub wrapped_at: u64,
    /// Counts the slots written to this envelope.
    pub generation: u32,
    /// True where the wrap is bound to this envelope by the server.
    pub aad_bound: bool,
    /// Bytes of the wrap.
    pub wrap_len: usize,
}

impl SlotInfo {
    pub(crate) fn of(index: usize, slot: &Slot) -> Self {
        Self {
            index,
            state: slot.state,
            kind: slot.kind,
            offline: slot.is_offline(),
            version: slot.version,
            locator: slot.locator.clone(),
            kek_id: slot.kek_id,
            wrapped_at: slot.wrapped_at,
            generation: slot.generation,
            aad_bound: slot.is_aad_bound(),
            wrap_len: slot.blob.len(),
        }
    }

    pub(crate) fn of_table(table: &SlotTable) -> Vec<Self> {
        let slots = table.slots();
        slots.map(|(index, slot)| Self::of(index, slot)).collect()
    }
}

/// Inspects a file.
pub fn inspect(path: &Path) -> Result<Inspection, Error> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let header = read_header(&mut file)?;
    Ok(describe(
        &header,
        metadata.is_file().then_some(metadata.len()),
    ))
}

/// Inspects a stream, of which the first 4 KiB are read.
pub fn inspect_reader(mut input: impl Read) -> Result<Inspection, Error> {
    Ok(describe(&read_header(&mut input)?, None))
}

/// SHA-256 of the payload: everything from the salt on. A rewrap does not change it.
pub fn payload_sha256(path: &Path) -> Result<[u8; 32], Error> {
    let mut file = File::open(path)?;
    read_header(&mut file)?;
    file.seek(SeekFrom::Start((HEADER_LEN - HEAD_LEN) as u64))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 1 << 18];
    loop {
        let len = file.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        hash.update(buffer.get(..len).unwrap_or_default());
    }
    Ok(hash.finish())
}

fn describe(header: &Header, file_len: Option<u64>) -> Inspection {
    let sectors = header.slots.sectors().iter().enumerate();
    Inspection {
        format_version: 1,
        suite: "Cobblestone-256",
        object_id: *header.prelude.object_id(),
        has_context: header.prelude.has_context(),
        is_detached: header.prelude.is_detached(),
        labels: header.prelude.labels().clone(),
        slots: SlotInfo::of_table(&header.slots),
        damaged_slots: sectors
            .filter(|(_, sector)| **sector == Sector::Damaged)
            .map(|(index, _)| index)
            .collect(),
        salt: header.salt,
        commitment: header.commitment,
        file_len,
        plaintext_len: file_len
            .and_then(|len| len.checked_sub(HEADER_LEN as u64))
            .and_then(plaintext_len),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Service, envelope};

    #[test]
    fn says_what_is_in_the_header() {
        let dir = tempfile::tempdir().unwrap();
        let path = envelope(&Service::new(), dir.path(), "a.kf", &[1; 20_000]);
        let found = inspect(&path).unwrap();
        assert_eq!(found.plaintext_len, Some(20_000));
        assert_eq!(found.slots.len(), 1);
        assert_eq!(
            found.slots[0].locator.as_ref().unwrap().as_str(),
            "transit/payments"
        );
        assert!(found.slots[0].aad_bound && found.damaged_slots.is_empty() && !found.has_context);

        let bytes = std::fs::read(&path).unwrap();
        let streamed = inspect_reader(&bytes[..]).unwrap();
        assert_eq!(
            streamed,
            Inspection {
                file_len: None,
                plaintext_len: None,
                ..found
            }
        );
        assert_eq!(
            payload_sha256(&path).unwrap(),
            crate::hash::sha256(&[&bytes[4040..]])
        );
    }

    #[test]
    fn a_cut_file_has_no_plaintext_length_and_a_damaged_slot_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = envelope(&Service::new(), dir.path(), "a.kf", &[1; 20_000]);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(4096 + 16_400);
        bytes[512 + 100] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let found = inspect(&path).unwrap();
        assert_eq!((found.plaintext_len, found.damaged_slots), (None, vec![0]));
        assert!(matches!(
            inspect_reader(&b"text"[..]),
            Err(Error::NotAnEnvelope)
        ));
    }
}
