//! Callers, told apart without naming them.
//!
//! The accessor of a token is a handle that revokes it, so no record and no answer of the census has
//! it: it has SipHash-2-4 of it under a salt of the mount. 64 bits tell far fewer than an accessor
//! has, so nobody finds one by its hash; whoever knows an accessor asks `census/caller` for its hash.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use keyfold_core::mounts::MountRecord;
use keyfold_core::ports::engine::Call;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use siphasher::sip::SipHasher24;

/// The key of a mount's hashes: the 128 bits that name its storage.
pub(super) struct Salt([u8; 16]);

impl Salt {
    /// That of a mount; calls outside of one have none.
    pub fn of(mount: Option<&MountRecord>) -> Self {
        let name = mount.map(|mount| mount.uuid.replace('-', ""));
        let bits = name.and_then(|name| u128::from_str_radix(&name, 16).ok());
        Self(bits.unwrap_or_default().to_be_bytes())
    }

    /// The hash of an accessor.
    pub fn hash(&self, accessor: &str) -> CallerHash {
        let hash = SipHasher24::new_with_key(&self.0).hash(accessor.as_bytes());
        CallerHash(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
    }
}

/// A caller as the census has it: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CallerHash(NonZeroU64);

impl CallerHash {
    /// As a number that is not zero.
    pub fn number(self) -> u64 {
        self.0.get()
    }

    /// From such a number.
    pub fn of(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }
}

impl fmt::Display for CallerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for CallerHash {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let number = u64::from_str_radix(text, 16).map_err(|_| ())?;
        Self::of(number).ok_or(())
    }
}

impl Serialize for CallerHash {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CallerHash {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse()
            .map_err(|()| serde::de::Error::custom("no hash of a caller"))
    }
}

/// Whom the uses of one call are counted for, and when.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct User {
    /// Calls without a token, and with a batch token, which has no accessor, have none.
    pub(super) caller: Option<CallerHash>,
    /// Seconds.
    pub(super) at: u64,
}

impl User {
    /// Whoever calls.
    pub(super) fn of(call: &Call<'_>, salt: &Salt) -> Self {
        let token = call.caller.token.as_ref();
        let accessor = token.map(|token| &*token.accessor);
        let accessor = accessor.filter(|accessor| !accessor.is_empty());
        Self {
            caller: accessor.map(|accessor| salt.hash(accessor)),
            at: call.now.secs(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_of_accessor_and_salt() {
        let (one, two) = (Salt([1; 16]), Salt([2; 16]));
        let hash = one.hash("hmac.accessor");
        assert_eq!(hash, one.hash("hmac.accessor"));
        assert_ne!(hash, one.hash("hmac.accessos"));
        assert_ne!(hash, two.hash("hmac.accessor"));
        assert_eq!(hash.to_string().len(), 16);
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for text in ["", "0", "xyz", "00000000000000000"] {
            assert_eq!(text.parse::<CallerHash>(), Err(()), "{text}");
        }
    }
}
