//! Proofs that a managed key is still the one that a version was made with.
//!
//! No public half tells a key that encrypts: AES has none, and for RSA the device encrypts with the one that it
//! finds. So each version seals a constant when it is made. Before its managed key is used it opens that: once
//! after the vault was opened, after the record was written, after the device was away. A key that took its place,
//! which nobody who decrypts would ever see, does not open it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use keyfold_api::base64;
use keyfold_core::managed::Usable;
use keyfold_core::ports::managed::{Job, ManagedError, Use};
use keyfold_core::ports::storage::Revision;
use keyfold_secret::Secret;

/// What is sealed.
const CONSTANT: &[u8] = b"keyfold/managed-key/1";
/// Versions that are remembered; beyond, all prove themselves again.
const MOST: usize = 1_024;

/// The proof of a key, in base64. None of keys that sign, whose signatures are verified, and of those that their
/// usages or their device do not let both seal and open.
pub(super) async fn make(usable: &Usable) -> Result<Option<String>, ManagedError> {
    if !usable.key.allows(Use::Encrypt) || !usable.key.allows(Use::Decrypt) {
        return Ok(None);
    }
    let seal = Job::Encrypt {
        plaintext: Secret::new(CONSTANT.to_vec()),
        aad: Vec::new(),
    };
    let proof = base64::encode(only(usable, seal).await?.expose());
    match opens(usable, &proof).await? {
        true => Ok(Some(proof)),
        false => Err(refused("it does not open what it seals")),
    }
}

/// The versions whose managed keys have proven themselves, by their proofs.
#[derive(Default)]
pub(in super::super) struct Proven(Mutex<BTreeMap<String, Revision>>);

impl Proven {
    /// Has a key prove itself, unless it has since its record was written.
    pub(super) async fn check(&self, usable: &Usable, proof: &str) -> Result<(), ManagedError> {
        if self.all().get(proof) == Some(&usable.revision) {
            return Ok(());
        }
        if !opens(usable, proof).await? {
            return Err(refused(
                "the key that it leads to is not the one that this version was made with",
            ));
        }
        let mut all = self.all();
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(proof.to_owned(), usable.revision);
        Ok(())
    }

    /// Something may have happened to the device.
    pub(super) fn forget(&self, proof: &str) {
        self.all().remove(proof);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Revision>> {
        // A map is whole after every operation.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn opens(usable: &Usable, proof: &str) -> Result<bool, ManagedError> {
    let open = Job::Decrypt {
        sealed: base64::decode(proof).unwrap_or_default(),
        aad: Vec::new(),
    };
    match only(usable, open).await {
        Ok(opened) => Ok(opened.ct_eq(CONSTANT)),
        Err(ManagedError::Foreign) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn only(usable: &Usable, job: Job) -> Result<Secret<Vec<u8>>, ManagedError> {
    let done = usable.key.run(vec![job]).await?.into_iter().next();
    done.unwrap_or_else(|| Err(ManagedError::Away("it gave no answer".to_owned())))
}

fn refused(why: &str) -> ManagedError {
    ManagedError::Refused(why.to_owned())
}
