//! What a snapshot holds, as far as that can be told without a key.

use std::collections::BTreeMap;

use serde::Serialize;

use super::decode::{Decoder, Item};
use super::format::{Fault, Header, Trailer};

/// Folders that are told apart; the others are counted together.
const FOLDERS: usize = 4096;
/// What the others are called.
const OTHERS: &str = "…";

/// A whole snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// What it says of itself.
    #[serde(flatten)]
    pub header: Header,
    /// Records in it.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// SHA-256 of all but the checksum and the MAC, in hex.
    pub checksum: String,
    /// The names of the seals that have a wrap of the root key in it.
    pub seals: Vec<String>,
    /// By the first two segments of the storage keys.
    pub folders: BTreeMap<String, Folder>,
}

/// Records below one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Folder {
    /// How many.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
}

/// Reads a snapshot for its summary, piece by piece.
#[derive(Default)]
pub struct Inspection {
    decoder: Decoder,
    header: Option<Header>,
    trailer: Option<Trailer>,
    seals: Vec<String>,
    folders: BTreeMap<String, Folder>,
}

impl Inspection {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.decoder.push(bytes);
        while let Some(item) = self.decoder.next_item()? {
            match item {
                Item::Header(header) => self.header = Some(header),
                Item::Record(key, value) => self.count(&key, value.len()),
                Item::End(trailer) => self.trailer = Some(trailer),
            }
        }
        Ok(())
    }

    /// What was in it, where it was whole.
    pub fn finish(self) -> Result<Summary, Fault> {
        self.decoder.finish()?;
        let (Some(header), Some(trailer)) = (self.header, self.trailer) else {
            return Err(Fault::Foreign);
        };
        Ok(Summary {
            header,
            records: trailer.records,
            bytes: trailer.bytes,
            checksum: hex::encode(trailer.checksum),
            seals: self.seals,
            folders: self.folders,
        })
    }

    fn count(&mut self, key: &str, value: usize) {
        if let Some(seal) = key.strip_prefix(crate::lifecycle::SEALS) {
            self.seals.push(seal.to_owned());
        }
        let mut name = folder(key);
        if self.folders.len() >= FOLDERS && !self.folders.contains_key(name) {
            name = OTHERS;
        }
        let folder = match self.folders.get_mut(name) {
            Some(folder) => folder,
            None => self.folders.entry(name.to_owned()).or_default(),
        };
        folder.records += 1;
        folder.bytes += (key.len() + value) as u64;
    }
}

/// The first two segments of a key that lies deeper, or the first of one that does not.
fn folder(key: &str) -> &str {
    let mut slashes = key.match_indices('/').map(|(at, _)| at + 1);
    let (first, second) = (slashes.next(), slashes.next());
    let end = second.or(first).unwrap_or(key.len());
    key.get(..end).unwrap_or(key)
}
