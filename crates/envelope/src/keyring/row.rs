//! Rows of a keyring: one service DEK each, wrapped.

use keyfold_keys::rng;
use keyfold_secret::Protected;

use super::dek;
use super::error::KeyringError;
use crate::hash::sha256;
use crate::key_service::{Aad, KeyService, WrappedDek};
use crate::locator::Locator;
use crate::slot::kek_id;

/// Longest wrap, in bytes.
const MAX_WRAP: usize = 4096;

/// What a DEK is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DekState {
    /// Encrypts and decrypts. Of several active DEKs, the one with the greatest number encrypts.
    Active,
    /// Decrypts.
    Retired,
    /// Nothing: its wrap was destroyed, and what it encrypted is noise.
    Destroyed,
}

/// One service DEK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Names the DEK within the keyring, from 1; what values carry.
    pub dek_no: u32,
    /// Names it everywhere; random. What envelopes carry.
    pub dek_id: [u8; 16],
    /// What it is good for.
    pub state: DekState,
    /// The KEK.
    pub key: Locator,
    /// Which KEK of which cluster, see [`kek_id`].
    pub kek_id: [u8; 16],
    /// The wrap; `None` where it was destroyed.
    pub wrapped: Option<WrappedDek>,
    /// True where the wrap is bound to its row by additional data, see [`Row::aad`].
    pub bound: bool,
    /// When it was made, seconds since 1970.
    pub created: u64,
    /// What the DEK commits to: only one DEK fits a row.
    pub commitment: [u8; 32],
    /// Objects that were, or may have been, encrypted under it.
    pub uses: u64,
    /// Bytes of these objects.
    pub bytes: u64,
}

impl Row {
    /// A new DEK in a new row, wrapped by the newest version of `key`. Only the row leaves this
    /// function.
    pub(super) fn make(
        keys: &dyn KeyService,
        service: &str,
        key: &Locator,
        dek_no: u32,
        now: u64,
    ) -> Result<Self, KeyringError> {
        let dek = Protected::<32>::init_with(|dek| rng::fill(dek));
        let dek_id = rng::bytes();
        let bound = keys.binds_aad();
        let aad = bound.then(|| aad(service, &dek_id));
        let wrapped = keys.wrap(key, &dek, aad.as_ref())?;
        Ok(Self {
            dek_no,
            dek_id,
            state: DekState::Active,
            key: key.clone(),
            kek_id: kek_id(&keys.cluster_id()?, key),
            wrapped: Some(wrapped),
            bound,
            created: now,
            commitment: dek::commitment(&dek, service, dek_no, &dek_id),
            uses: 0,
            bytes: 0,
        })
    }

    /// Additional data of the wrap: SHA-256 of `keyfold/1 keyring`, the service's name and the
    /// DEK's id; `None` where the server that wrapped it binds none.
    #[must_use]
    pub fn aad(&self, service: &str) -> Option<Aad> {
        self.bound.then(|| self.binding(service))
    }

    /// The same, for a wrap that is to be bound.
    pub(super) fn binding(&self, service: &str) -> Aad {
        aad(service, &self.dek_id)
    }

    /// What is wrong with the row by itself, if anything is: the field and why.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.dek_no == 0 {
            return Err("dek_no: numbers begin with 1".to_owned());
        }
        let Some(wrapped) = &self.wrapped else {
            return match self.state {
                DekState::Destroyed => Ok(()),
                _ => Err("wrapped: there is one, unless the DEK is destroyed".to_owned()),
            };
        };
        if self.state == DekState::Destroyed || wrapped.blob.is_empty() {
            return Err("wrapped: there is one, unless the DEK is destroyed".to_owned());
        }
        if wrapped.blob.len() > MAX_WRAP {
            return Err(format!("wrapped: longer than {MAX_WRAP} bytes"));
        }
        if wrapped.version == 0 {
            return Err("version: from 1, and 0 where the DEK is destroyed".to_owned());
        }
        Ok(())
    }

    /// The version of the KEK; `None` where the wrap was destroyed.
    #[must_use]
    pub fn version(&self) -> Option<u32> {
        self.wrapped.as_ref().map(|wrapped| wrapped.version)
    }
}

fn aad(service: &str, dek_id: &[u8; 16]) -> Aad {
    let len = (service.len() as u64).to_be_bytes();
    sha256(&[b"keyfold/1 keyring", &len, service.as_bytes(), dek_id])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn row(dek_no: u32) -> Row {
        let key: Locator = "transit/payments".parse().unwrap();
        Row {
            dek_no,
            dek_id: [dek_no as u8; 16],
            state: DekState::Active,
            kek_id: kek_id("cluster", &key),
            key,
            wrapped: Some(WrappedDek {
                version: 3,
                blob: vec![0xab; 60],
            }),
            bound: true,
            created: 1_800_000_000,
            commitment: [9; 32],
            uses: 5,
            bytes: 700,
        }
    }

    #[test]
    fn the_binding_keeps_service_and_id_apart() {
        let other = |service: &str, dek_no| row(dek_no).aad(service).unwrap();
        assert_ne!(other("a", 1), other("b", 1));
        assert_ne!(other("a", 1), other("a", 2));
        let unbound = Row {
            bound: false,
            ..row(1)
        };
        assert_eq!(unbound.aad("a"), None);
    }
}
