//! Reads a snapshot, piece by piece: total, and in no more memory than its longest record.

use keyfold_keys::digest::Sha256;

use super::format::{END, Fault, HEADER_MAX, Header, MAGIC, RECORD, TRAILER, Trailer, VERSION};
use crate::ports::storage::{MAX_KEY, MAX_VALUE};

/// How files of gzip begin.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A part of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// Comes first.
    Header(Header),
    /// A record, as it lies in the store.
    Record(String, Vec<u8>),
    /// Comes last, and only where all before it was as it says.
    End(Trailer),
}

/// A snapshot that is being read.
#[derive(Default)]
pub struct Decoder {
    /// What came and was not read yet starts at `at`.
    buffer: Vec<u8>,
    at: usize,
    hash: Sha256,
    stage: Stage,
    last: String,
    records: u64,
    bytes: u64,
    /// Bytes that came in all.
    came: u64,
}

#[derive(Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Header,
    Records,
    Over,
}

impl Decoder {
    /// Takes the next bytes, of any number.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(bytes);
        self.came += bytes.len() as u64;
    }

    /// The next part, or none until more bytes have come.
    pub fn next_item(&mut self) -> Result<Option<Item>, Fault> {
        match self.stage {
            Stage::Header => self.header(),
            Stage::Records => self.record(),
            Stage::Over if self.rest().is_empty() => Ok(None),
            Stage::Over => Err(Fault::Longer),
        }
    }

    /// No more bytes will come: whether the end has been read.
    pub fn finish(&self) -> Result<(), Fault> {
        match self.stage {
            Stage::Over if self.rest().is_empty() => Ok(()),
            Stage::Over => Err(Fault::Longer),
            // What is shorter than the magic may be anything.
            Stage::Header if self.came < MAGIC.len() as u64 => Err(Fault::Foreign),
            Stage::Header | Stage::Records => Err(Fault::Truncated(self.came)),
        }
    }

    fn header(&mut self) -> Result<Option<Item>, Fault> {
        let rest = self.rest();
        if rest.starts_with(&GZIP) {
            return Err(Fault::Raft);
        }
        if !rest.iter().zip(MAGIC).all(|(found, known)| *found == known) {
            return Err(Fault::Foreign);
        }
        let Some((_, rest)) = rest.split_first_chunk::<{ MAGIC.len() }>() else {
            return Ok(None);
        };
        let Some(([version], rest)) = rest.split_first_chunk::<1>() else {
            return Ok(None);
        };
        match *version {
            VERSION => {}
            0 => return Err(Fault::Damaged("it has format 0, which there is not")),
            newer => return Err(Fault::Newer(newer)),
        }
        let Some((length, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let length = size(*length);
        if length > HEADER_MAX {
            return Err(Fault::Damaged("its header is too long"));
        }
        let Some(json) = rest.get(..length) else {
            return Ok(None);
        };
        let header =
            serde_json::from_slice(json).map_err(|_| Fault::Damaged("its header can't be read"))?;
        self.read(MAGIC.len() + 1 + 4 + length);
        self.stage = Stage::Records;
        Ok(Some(Item::Header(header)))
    }

    fn record(&mut self) -> Result<Option<Item>, Fault> {
        let Some(([kind], rest)) = self.rest().split_first_chunk::<1>() else {
            return Ok(None);
        };
        match *kind {
            END => return self.trailer(),
            RECORD => {}
            _ => return Err(Fault::Damaged("a record begins as none does")),
        }
        let Some((key, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let Some((value, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let (key, value) = (size(*key), size(*value));
        if key == 0 || key > MAX_KEY || value > MAX_VALUE {
            return Err(Fault::Damaged("a record has a length that none has"));
        }
        let (Some(name), Some(content)) = (rest.get(..key), rest.get(key..key + value)) else {
            return Ok(None);
        };
        let name = std::str::from_utf8(name)
            .map_err(|_| Fault::Damaged("the key of a record is no text"))?;
        if name <= self.last.as_str() {
            return Err(Fault::Damaged("its records are not in order"));
        }
        let (name, content) = (name.to_owned(), content.to_vec());
        self.last.clone_from(&name);
        self.records += 1;
        self.bytes += (key + value) as u64;
        self.read(1 + 4 + 4 + key + value);
        Ok(Some(Item::Record(name, content)))
    }

    fn trailer(&mut self) -> Result<Option<Item>, Fault> {
        let Some(rest) = self.rest().get(1..=TRAILER) else {
            return Ok(None);
        };
        let Some(trailer) = split(rest) else {
            return Ok(None);
        };
        let counted = (trailer.records, trailer.bytes) == (self.records, self.bytes);
        self.read(1 + 8 + 8);
        if std::mem::take(&mut self.hash).finish() != trailer.checksum {
            return Err(Fault::Checksum);
        }
        if !counted {
            return Err(Fault::Damaged(
                "it has another number of records than it says",
            ));
        }
        self.at += 32 + 32;
        self.stage = Stage::Over;
        Ok(Some(Item::End(trailer)))
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// So many bytes have been read.
    fn read(&mut self, bytes: usize) {
        let end = self.at + bytes;
        self.hash
            .update(self.buffer.get(self.at..end).unwrap_or_default());
        self.at = end;
    }
}

fn split(bytes: &[u8]) -> Option<Trailer> {
    let (records, rest) = bytes.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let (checksum, rest) = rest.split_first_chunk::<32>()?;
    let (mac, _) = rest.split_first_chunk::<32>()?;
    Some(Trailer {
        records: u64::from_be_bytes(*records),
        bytes: u64::from_be_bytes(*length),
        checksum: *checksum,
        mac: *mac,
    })
}

fn size(bytes: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX)
}
