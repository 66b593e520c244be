//! The shares' record: how many there are, and the root key wrapped by what they combine to.
//!
//! `core/seal/shamir` is JSON in clear. Shares and threshold are bound into the wrap, so a record
//! whose numbers were changed does not open.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyfold_keys::{RootKey, Share, UnsealKey, Wrapped, Wraps, rng};
use serde::{Deserialize, Serialize};

use super::quorum::Membership;
use super::wraps::FOLDER;
use crate::error::Error;

const SALT_LEN: usize = 16;
/// Sets of former shares that are still known as such.
const FORMER: usize = 4;

/// The name of the record below [`FOLDER`].
pub const NAME: &str = "shamir";

/// Where a second set of shares lies, as long as it is not known that it was told: the same record.
pub(in crate::lifecycle) const NEXT: &str = "core/shares-next";

/// A seal that people open.
#[derive(Clone, Serialize, Deserialize)]
pub struct ShamirSeal {
    /// `shamir`.
    #[serde(rename = "type")]
    kind: String,
    /// Shares that were handed out.
    pub shares: u8,
    /// Shares that open it.
    pub threshold: u8,
    /// Base64 of the wrapped root key; absent where the shares are not to open the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root_key: Option<String>,
    /// Base64 of the wrapped part, where the shares open together with seals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part: Option<String>,
    /// The split that the part is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of: Option<Membership>,
    /// Hex: tells the right unseal key where it wraps nothing. Older versions stored it only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
    /// By which a custodian's share is told to be one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checks: Option<Checks>,
    /// Those of the shares that these took the place of, the last ones first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former: Vec<Checks>,
}

/// One-way images of the shares, in the order in which they were handed out.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Checks {
    /// Hex.
    pub salt: String,
    /// Hex.
    shares: Vec<String>,
}

impl Checks {
    fn of(shares: &[Share]) -> Self {
        let salt = rng::bytes::<SALT_LEN>();
        let shares = shares.iter().map(|share| hex::encode(share.check(&salt)));
        Self {
            salt: hex::encode(salt),
            shares: shares.collect(),
        }
    }

    /// Whether it is one of them; `None` where the record is damaged.
    fn knows(&self, share: &Share) -> Option<bool> {
        let salt = hex::decode(&self.salt).ok()?;
        Some(self.find(&hex::encode(share.check(&salt))).is_some())
    }

    /// The share whose image it is, from 0.
    pub(super) fn find(&self, check: &str) -> Option<usize> {
        // Images of what can't be guessed: the time of a comparison tells nothing of a share.
        self.shares.iter().position(|known| known == check)
    }
}

/// What the unseal key of shares is to hold.
pub(crate) enum Holds<'a> {
    /// The root key.
    Root(&'a RootKey),
    /// A part of what opens it.
    Part(Share, Membership),
    /// Nothing: the shares prove who holds them.
    Nothing,
}

/// What an unseal key is to a [`ShamirSeal`].
pub enum Tried {
    /// The one: it opens the root key.
    Opens(RootKey),
    /// The one: it opens a part, which opens the root key with others.
    Part(Share),
    /// The one, but these shares are not to open the store.
    Proves,
    /// Another one.
    Wrong,
}

impl ShamirSeal {
    /// The record of shares of an unseal key. Those that are not to open the store prove who their
    /// holders are.
    pub(in crate::lifecycle) fn new(
        (unseal, shares): (&UnsealKey, &[Share]),
        threshold: u8,
        holds: Holds<'_>,
    ) -> Result<Self, Error> {
        let many = |_| Error::Bug("more shares than there can be");
        let count = u8::try_from(shares.len()).map_err(many)?;
        let bare = Self {
            kind: NAME.to_owned(),
            shares: count,
            threshold,
            root_key: None,
            part: None,
            of: None,
            proof: None,
            checks: Some(Checks::of(shares)),
            former: Vec::new(),
        };
        bare.holding(unseal, holds)
    }

    /// The same shares, whose unseal key holds something else.
    pub(in crate::lifecycle) fn holding(
        &self,
        unseal: &UnsealKey,
        holds: Holds<'_>,
    ) -> Result<Self, Error> {
        let context = context(self.shares, self.threshold);
        let mut seal = Self {
            root_key: None,
            part: None,
            of: None,
            proof: Some(hex::encode(unseal.proof(&context)?)),
            ..self.clone()
        };
        match holds {
            Holds::Root(root) => {
                let wrapped = unseal.wrap(root, &context)?;
                seal.root_key = Some(STANDARD.encode(wrapped.as_bytes()));
            }
            Holds::Part(part, of) => {
                let wrapped = unseal.wrap(&part, &part_context(&context, &of))?;
                seal.part = Some(STANDARD.encode(wrapped.as_bytes()));
                seal.of = Some(of);
            }
            Holds::Nothing => {}
        }
        Ok(seal)
    }

    /// The same shares, which are to open nothing from now on and still prove who holds them. `None`
    /// where an older version has stored nothing by which they could.
    pub(super) fn idle(&self) -> Option<Self> {
        self.proof.as_ref()?;
        Some(Self {
            root_key: None,
            part: None,
            of: None,
            ..self.clone()
        })
    }

    /// Whether the shares open the store, alone or with others.
    pub fn opens(&self) -> bool {
        self.root_key.is_some() || self.part.is_some()
    }

    /// Whether it is one of these shares, as far as its check tells: `None` where the shares are
    /// older than the checks of shares.
    pub(in crate::lifecycle) fn knows(&self, share: &Share) -> Option<bool> {
        self.checks.as_ref()?.knows(share)
    }

    /// Whether it was one of the shares before these, as far as that is known.
    pub(super) fn knew(&self, share: &Share) -> bool {
        let mut former = self.former.iter();
        former.any(|checks| checks.knows(share) == Some(true))
    }

    /// The same shares, now that they are in the place of others.
    pub(in crate::lifecycle) fn instead_of(mut self, gone: &Self) -> Self {
        let before = gone.checks.iter().chain(&gone.former).cloned();
        let own = std::mem::take(&mut self.former);
        self.former = before.chain(own).take(FORMER).collect();
        self
    }

    pub(super) fn membership(&self) -> Option<&Membership> {
        self.of.as_ref()
    }

    pub(super) fn checks(&self) -> Option<&Checks> {
        self.checks.as_ref()
    }

    /// Tries an unseal key. A damaged record is an error.
    pub fn attempt(&self, unseal: &UnsealKey) -> Result<Tried, Error> {
        let corrupt = || Error::corrupt(key());
        let context = context(self.shares, self.threshold);
        if let Some(text) = &self.root_key {
            let bytes = STANDARD.decode(text).map_err(|_| corrupt())?;
            let wrapped = Wrapped::<RootKey>::from_bytes(bytes);
            return match unseal.unwrap(&wrapped, &context) {
                Ok(root) => Ok(Tried::Opens(root)),
                Err(keyfold_keys::Error::WrongKey) => Ok(Tried::Wrong),
                Err(_) => Err(corrupt()),
            };
        }
        if let (Some(text), Some(of)) = (&self.part, &self.of) {
            let bytes = STANDARD.decode(text).map_err(|_| corrupt())?;
            let wrapped = Wrapped::<Share>::from_bytes(bytes);
            return match unseal.unwrap(&wrapped, &part_context(&context, of)) {
                Ok(part) if part.number() == Some(of.number) => Ok(Tried::Part(part)),
                Err(keyfold_keys::Error::WrongKey) => Ok(Tried::Wrong),
                Ok(_) | Err(_) => Err(corrupt()),
            };
        }
        let proof = self.proof.as_ref().ok_or_else(corrupt)?;
        let given = hex::encode(unseal.proof(&context)?);
        // Both are public functions of a key that can't be guessed: their time tells nothing.
        Ok(if *proof == given {
            Tried::Proves
        } else {
            Tried::Wrong
        })
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let seal: Self = serde_json::from_slice(bytes).ok()?;
        let sound = seal.kind == NAME && seal.threshold >= 1 && seal.threshold <= seal.shares;
        sound.then_some(seal)
    }
}

/// Where the record is stored.
pub(in crate::lifecycle) fn key() -> String {
    format!("{FOLDER}{NAME}")
}

fn part_context(context: &[u8], of: &Membership) -> Vec<u8> {
    let of = format!(" part {} of {}", of.number, of.quorum);
    [context, of.as_bytes()].concat()
}

fn context(shares: u8, threshold: u8) -> Vec<u8> {
    format!("{FOLDER}{NAME} {threshold} of {shares}").into_bytes()
}
