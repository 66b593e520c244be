//! Writes a snapshot, piece by piece.

use keyfold_keys::digest::Sha256;
use keyfold_keys::kdf::MacKey;

use super::format::{END, Header, MAGIC, RECORD, VERSION, mac};
use crate::error::Error;
use crate::ports::whole::Portion;

/// A snapshot that is being written. What each call gives goes out in the order of the calls.
#[derive(Default)]
pub struct Encoder {
    hash: Sha256,
    records: u64,
    bytes: u64,
}

impl Encoder {
    /// The beginning.
    pub fn begin(&mut self, header: &Header) -> Result<Vec<u8>, Error> {
        let json = crate::barrier::json(header)?;
        let length = length(json.len())?;
        let out = [&MAGIC[..], &[VERSION], &length, &json].concat();
        self.hash.update(&out);
        Ok(out)
    }

    /// Records, whose keys follow on those before in byte order.
    pub fn records(&mut self, portion: &Portion) -> Result<Vec<u8>, Error> {
        let size = |(key, value): &(String, Vec<u8>)| 9 + key.len() + value.len();
        let mut out = Vec::with_capacity(portion.iter().map(size).sum());
        for (key, value) in portion {
            out.push(RECORD);
            out.extend_from_slice(&length(key.len())?);
            out.extend_from_slice(&length(value.len())?);
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(value);
            self.records += 1;
            self.bytes += (key.len() + value.len()) as u64;
        }
        self.hash.update(&out);
        Ok(out)
    }

    /// The end.
    pub fn end(mut self, key: &MacKey) -> Vec<u8> {
        let (records, bytes) = (self.records.to_be_bytes(), self.bytes.to_be_bytes());
        let counts = [&[END][..], &records, &bytes].concat();
        self.hash.update(&counts);
        let checksum = self.hash.finish();
        [&counts[..], &checksum, &mac(key, &checksum)].concat()
    }
}

fn length(of: usize) -> Result<[u8; 4], Error> {
    let length = u32::try_from(of).map_err(|_| Error::Bug("a record beyond all limits"))?;
    Ok(length.to_be_bytes())
}
