//! A share as a *part*: one of several ways to open that have to come together.
//!
//! Each way, a seal or the holders of shares, has one share of a common unseal key. A seal encrypts
//! its part itself; the part of the share holders is wrapped by the unseal key that their own shares
//! give.

use crate::error::{Error, ShareError};
use crate::hierarchy::{Wrapped, Wraps};
use crate::shamir;
use crate::unseal_key::{Share, UnsealKey};

const FORMAT: u8 = 2;

impl Share {
    /// Its number in its set, no secret; `None` for the one share that is the key itself.
    pub fn number(&self) -> Option<u8> {
        match self.as_bytes() {
            [_, .., x] if self.as_bytes().len() == crate::unseal_key::KEY_LEN + 1 => Some(*x),
            _ => None,
        }
    }
}

impl UnsealKey {
    /// One more share of the set that `shares`, as many as its threshold, define; with a number
    /// that is neither theirs nor in `taken`.
    ///
    /// # Errors
    ///
    /// As [`UnsealKey::from_shares`]; [`ShareError::Counts`] when all 255 numbers are taken.
    pub fn further_share(shares: &[Share], taken: &[u8]) -> Result<Share, Error> {
        let used = |x: u8| taken.contains(&x) || shares.iter().any(|s| s.number() == Some(x));
        let number = (1..=u8::MAX)
            .find(|x| !used(*x))
            .ok_or(ShareError::Counts {
                shares: u8::MAX,
                threshold: u8::MAX,
            })?;
        let shares: Vec<&[u8]> = shares.iter().map(Share::as_bytes).collect();
        Share::from_bytes(shamir::further(&shares, number)?.expose())
    }
}

/// `format 2 | nonce 12 | ciphertext | tag 16`, AES-256-GCM, AAD = format ‖ context.
impl Wraps<Share> for UnsealKey {
    type Context<'a> = &'a [u8];

    fn wrap(&self, child: &Share, context: &[u8]) -> Result<Wrapped<Share>, Error> {
        let sealed = self.seal(FORMAT, context, child.as_bytes())?;
        Ok(Wrapped::from_bytes(sealed))
    }

    fn unwrap(&self, wrapped: &Wrapped<Share>, context: &[u8]) -> Result<Share, Error> {
        let malformed = Error::Malformed("wrapped share");
        let share = self.reveal((FORMAT, malformed), context, wrapped.as_bytes())?;
        Share::from_bytes(share.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root_key::RootKey;

    const AT: &[u8] = b"core/seal/shamir of a quorum";

    #[test]
    fn parts_come_together_and_one_more_joins() {
        let common = UnsealKey::generate();
        let parts = common.split(3, 2).ok().unwrap();
        let wrapped = common.wrap(&RootKey::generate(), b"at").unwrap();
        let taken: Vec<u8> = parts.iter().filter_map(Share::number).collect();
        let more = UnsealKey::further_share(&parts[..2], &taken).ok().unwrap();
        assert!(!taken.contains(&more.number().unwrap()));
        let third = Share::from_bytes(parts[2].as_bytes()).ok().unwrap();
        let again = UnsealKey::from_shares(&[third, more]).ok().unwrap();
        let root: Result<RootKey, Error> = again.unwrap(&wrapped, b"at");
        assert!(root.is_ok());
        let all: Vec<u8> = (1..=255).collect();
        assert!(UnsealKey::further_share(&parts[..2], &all).is_err());
    }

    #[test]
    fn a_part_comes_back_from_its_place_only() {
        let (own, other) = (UnsealKey::generate(), UnsealKey::generate());
        let parts = own.split(2, 2).ok().unwrap();
        let wrapped = own.wrap(&parts[0], AT).unwrap();
        let again: Share = own.unwrap(&wrapped, AT).ok().unwrap();
        assert!(again.ct_eq(&parts[0]));
        let went: Result<Share, Error> = own.unwrap(&wrapped, b"elsewhere");
        assert_eq!(went.err(), Some(Error::WrongKey));
        let went: Result<Share, Error> = other.unwrap(&wrapped, AT);
        assert_eq!(went.err(), Some(Error::WrongKey));
        for len in 0..wrapped.as_bytes().len() {
            let cut = Wrapped::<Share>::from_bytes(wrapped.as_bytes()[..len].to_vec());
            assert!(own.unwrap(&cut, AT).is_err(), "cut to {len}");
        }
        // A root key is no part, nor the other way round.
        let root = own.wrap(&RootKey::generate(), AT).unwrap();
        let root = Wrapped::<Share>::from_bytes(root.into_bytes());
        assert!(own.unwrap(&root, AT).is_err());
    }
}
