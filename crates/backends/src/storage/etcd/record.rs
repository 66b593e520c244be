//! What the last commit left for those who follow: which keys it touched.
//!
//! Each commit replaces the record of the one before, so that whoever watches the one key has all
//! commits, in order, and none of the values.

use keyfold_core::ports::storage::{Change, Revision};
use serde::{Deserialize, Serialize};

/// A commit's own name, made by chance.
pub(super) type Origin = [u8; 16];

/// See the module.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// [`Origin`] in hex.
    origin: String,
    /// What was read before may be wrong after it: whoever made it waits for the other nodes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks: bool,
    /// It put something else in the place of everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    replaced: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
}

impl Record {
    /// Of a batch that touches these keys.
    pub fn touching(origin: &Origin, keys: Vec<String>, asks: bool) -> Self {
        Self {
            origin: hex::encode(origin),
            asks,
            replaced: false,
            keys,
        }
    }

    /// Of a stage that takes the place of everything.
    pub fn replacing(origin: &Origin) -> Self {
        Self {
            asks: true,
            replaced: true,
            ..Self::touching(origin, Vec::new(), true)
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// `None` for what no version of this program wrote.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub fn origin(&self) -> Option<Origin> {
        let mut origin = Origin::default();
        hex::decode_to_slice(&self.origin, &mut origin).ok()?;
        Some(origin)
    }

    pub fn into_change(self, revision: u64) -> Change {
        Change {
            revision: Revision(revision),
            keys: self.keys,
            replaced: self.replaced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_a_strange_one_does_not() {
        let keys = vec!["a/b".to_owned(), "ü\"".to_owned()];
        let record = Record::touching(&[7; 16], keys.clone(), true);
        let read = Record::read(&record.to_bytes()).unwrap();
        assert_eq!(read, record);
        assert_eq!(read.origin(), Some([7; 16]));
        assert_eq!(read.into_change(5).keys, keys);
        let all = Record::read(&Record::replacing(&[1; 16]).to_bytes()).unwrap();
        assert!(all.asks && all.into_change(6).replaced);
        for bad in [&b""[..], b"{}", b"[]", b"\xff"] {
            assert!(Record::read(bad).is_none());
        }
        let strange = Record::read(br#"{"origin":"xy"}"#).unwrap();
        assert_eq!(strange.origin(), None);
    }
}
