//! `require = k`: the root key under an unseal key that no way to open has alone.
//!
//! ```text
//!   core/quorum   { id, require, root_key }     JSON in clear
//! ```
//!
//! Each way has a part of that unseal key: the seals in their wraps, the share holders in theirs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_keys::{RootKey, Share, UnsealKey, Wrapped, Wraps};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::id;

/// Where the record is stored.
pub(in crate::lifecycle) const KEY: &str = "core/quorum";

/// A root key that several ways open together.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Quorum {
    /// Names the split: parts of two splits do not go together.
    pub id: String,
    /// Ways that have to come together.
    pub require: u8,
    /// Base64 of the wrapped root key.
    root_key: String,
}

/// What a wrap says of the part in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    /// The split.
    pub quorum: String,
    /// The part's number in it.
    pub number: u8,
}

impl Quorum {
    /// A new split of a new unseal key over `ways`, and its parts.
    pub(super) fn new(
        root: &RootKey,
        require: u8,
        ways: usize,
    ) -> Result<(Self, Vec<Share>), Error> {
        let wrong = || {
            Error::bad(format!(
                "seals {{ require = {require} }}: there are {ways} ways to open, and require has to \
                 be from 2 to their number"
            ))
        };
        let count = u8::try_from(ways).map_err(|_| wrong())?;
        if require < 2 || require > count {
            return Err(wrong());
        }
        let unseal = UnsealKey::generate();
        let id = id::uuid();
        let wrapped = unseal.wrap(root, &context(&id, require))?;
        let parts = unseal.split(count, require)?;
        let root_key = STANDARD.encode(wrapped.as_bytes());
        Ok((
            Self {
                id,
                require,
                root_key,
            },
            parts,
        ))
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let quorum: Self = serde_json::from_slice(bytes).ok()?;
        (quorum.require >= 2).then_some(quorum)
    }

    /// What a wrap of a part notes.
    pub(in crate::lifecycle) fn membership(&self, part: &Share) -> Result<Membership, Error> {
        let number = part.number().ok_or(Error::Bug("a part has no number"))?;
        Ok(Membership {
            quorum: self.id.clone(),
            number,
        })
    }

    /// The root key that the parts open together. With one more than are required, one may be
    /// damaged.
    pub(super) fn open(&self, parts: &[Share]) -> Option<(RootKey, Vec<Share>)> {
        let require = usize::from(self.require);
        if parts.len() < require {
            return None;
        }
        // Each run of neighbours in a ring: one of them leaves out any one part.
        for start in 0..parts.len() {
            let run = parts.iter().cycle().skip(start).take(require);
            let run: Option<Vec<_>> = run.map(copy).collect();
            let run = run?;
            if let Some(root) = self.attempt(&run) {
                return Some((root, run));
            }
        }
        None
    }

    /// Whether a part goes with others that opened the root key.
    pub(super) fn fits(&self, part: &Share, run: &[Share]) -> bool {
        if let Some(known) = run.iter().find(|known| known.number() == part.number()) {
            return known.ct_eq(part);
        }
        let others = run.iter().skip(1).chain([part]);
        let run: Option<Vec<_>> = others.map(copy).collect();
        run.is_some_and(|run| self.attempt(&run).is_some())
    }

    /// What as many parts as are required open.
    fn attempt(&self, run: &[Share]) -> Option<RootKey> {
        let bytes = STANDARD.decode(&self.root_key).ok()?;
        let wrapped = Wrapped::<RootKey>::from_bytes(bytes);
        let unseal = UnsealKey::from_shares(run).ok()?;
        unseal
            .unwrap(&wrapped, &context(&self.id, self.require))
            .ok()
    }
}

/// A part has one owner; so has the copy.
pub(in crate::lifecycle) fn copy(part: &Share) -> Option<Share> {
    Share::from_bytes(part.as_bytes()).ok()
}

fn context(id: &str, require: u8) -> Vec<u8> {
    format!("{KEY} {id} {require}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_parts_open_and_one_of_many_may_be_damaged() {
        let root = RootKey::generate();
        let (quorum, parts) = Quorum::new(&root, 2, 3).ok().unwrap();
        let pick = |at: &[usize]| {
            at.iter()
                .filter_map(|n| copy(&parts[*n]))
                .collect::<Vec<_>>()
        };
        for pair in [[0, 1], [1, 2], [2, 0]] {
            let (opened, _) = quorum.open(&pick(&pair)).unwrap();
            assert!(opened.ct_eq(&root));
        }
        assert!(quorum.open(&pick(&[1])).is_none());
        for at in 0..3 {
            let mut all = pick(&[0, 1, 2]);
            let mut bytes = all[at].as_bytes().to_vec();
            bytes[3] ^= 1;
            all[at] = Share::from_bytes(&bytes).ok().unwrap();
            let (_, run) = quorum.open(&all).unwrap();
            for (number, part) in all.iter().enumerate() {
                assert_eq!(
                    quorum.fits(part, &run),
                    number != at,
                    "part {at} is damaged"
                );
            }
        }
        let mut two = pick(&[0, 1]);
        two[1] = copy(&two[0]).unwrap();
        assert!(quorum.open(&two).is_none());
    }

    #[test]
    fn counts() {
        let root = RootKey::generate();
        for (require, ways) in [(1, 3), (4, 3), (2, 1), (0, 0), (2, 300)] {
            assert!(
                Quorum::new(&root, require, ways).is_err(),
                "{require} of {ways}"
            );
        }
    }
}
