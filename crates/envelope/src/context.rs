//! The encryption context: pairs that whoever decrypts must know.

use std::collections::BTreeMap;

use crate::hash::sha256;

/// Name and value pairs bound to an envelope. Only their hash is stored, so that a reader has to
/// bring the same pairs; a wrong one is noticed before any key is asked for.
///
/// The hash is no secret-keeping: whoever can guess the pairs can check the guess.
#[derive(Default)]
pub struct Context {
    pairs: BTreeMap<String, String>,
}

/// Why a pair was not taken. No variant holds the pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// There is no `=`.
    #[error("an encryption context pair is written name=value")]
    NoValue,
    /// The name is empty.
    #[error("an encryption context pair has an empty name")]
    EmptyName,
    /// The name was given before.
    #[error("an encryption context name was given twice")]
    Twice,
}

impl Context {
    /// A context without pairs: nothing is bound.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A context of `name=value` texts; the value may hold more `=`, and be empty.
    pub fn from_pairs<T: AsRef<str>>(
        pairs: impl IntoIterator<Item = T>,
    ) -> Result<Self, ContextError> {
        let mut context = Self::new();
        for pair in pairs {
            let (name, value) = pair.as_ref().split_once('=').ok_or(ContextError::NoValue)?;
            context.insert(name, value)?;
        }
        Ok(context)
    }

    /// Adds one pair.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), ContextError> {
        if name.is_empty() {
            return Err(ContextError::EmptyName);
        }
        if self.pairs.contains_key(name) {
            return Err(ContextError::Twice);
        }
        self.pairs.insert(name.to_owned(), value.to_owned());
        Ok(())
    }

    /// True without pairs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// SHA-256 of the canonical form, or 32 zero bytes without pairs.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        if self.is_empty() {
            [0; 32]
        } else {
            sha256(&[&self.canonical()])
        }
    }

    /// Each pair as `length of name | name | length of value | value`, lengths as u64 big-endian,
    /// pairs sorted by the bytes of their names.
    fn canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for text in self.pairs.iter().flat_map(|(name, value)| [name, value]) {
            out.extend_from_slice(&(text.len() as u64).to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_given_does_not_matter_and_the_split_does() {
        let one = Context::from_pairs(["a=1", "b=2"]).unwrap();
        let two = Context::from_pairs(["b=2", "a=1"]).unwrap();
        assert_eq!(one.hash(), two.hash());
        let shifted = Context::from_pairs(["a=", "1b=2"]).unwrap();
        assert_ne!(one.hash(), shifted.hash());
        assert_ne!(Context::from_pairs(["a=1"]).unwrap().hash(), one.hash());
    }

    #[test]
    fn no_pairs_hash_to_zero() {
        assert_eq!(Context::new().hash(), [0; 32]);
        assert_ne!(Context::from_pairs(["a="]).unwrap().hash(), [0; 32]);
    }

    #[test]
    fn refuses_malformed_pairs() {
        assert_eq!(
            Context::from_pairs(["a"]).err(),
            Some(ContextError::NoValue)
        );
        assert_eq!(
            Context::from_pairs(["=a"]).err(),
            Some(ContextError::EmptyName)
        );
        assert_eq!(
            Context::from_pairs(["a=1", "a=1"]).err(),
            Some(ContextError::Twice)
        );
    }
}
