//! `seal "tpm2"`: the chip of this machine, or one in software. Only in a build with the feature
//! `tpm2`, which links the TSS library of the system.
//!
//! ```text
//!   owner hierarchy → primary storage key (P-256, made anew each time) → sealed object: the share
//! ```
//!
//! The TPM keeps nothing: the primary key comes from its seed, which stays the same until the TPM is
//! cleared, and the sealed object's two halves are the wrap. On request the object opens only while
//! chosen PCRs have the values that they had when it was made. What goes over the bus to the chip is
//! encrypted for the primary key.

mod chip;
mod fault;
mod pcrs;
mod terms;
mod wrapped;

use std::sync::Arc;

use async_trait::async_trait;
use keyfold_core::ports::seal::{Blob, Seal, SealError, SealKind, Setting, SettingError, Settings};
use keyfold_keys::Share;
use tokio::sync::Mutex;

use self::chip::Chip;
use self::terms::Terms;
use self::wrapped::Wrapped;

/// The kind, for the wiring.
pub const KIND: SealKind = SealKind {
    name: "tpm2",
    settings: &[
        Setting::new("tcti", &["TPM2TOOLS_TCTI"]),
        Setting::new("pcrs", &[]),
        Setting::new("pcr_bank", &[]),
        Setting::new("owner_auth", &[]),
    ],
    idle: &[],
    make,
};

/// A TPM.
struct Tpm2 {
    terms: Arc<Terms>,
    /// One at a time: without a resource manager before it, a TPM has room for few objects. Who waits
    /// here waits for a chip that may hang, and gives up without leaving a thread behind.
    turn: Arc<Mutex<()>>,
}

fn make(settings: &Settings) -> Result<Arc<dyn Seal>, SettingError> {
    Ok(Arc::new(Tpm2 {
        terms: Arc::new(Terms::read(settings)?),
        turn: Arc::default(),
    }))
}

impl Tpm2 {
    /// Does something with the TPM, where waiting is allowed.
    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Chip, &Terms) -> Result<T, SealError> + Send + 'static,
    ) -> Result<T, SealError> {
        let terms = self.terms.clone();
        let turn = self.turn.clone().lock_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            act(&mut Chip::open(&terms)?, &terms)
        });
        let broken = |_| SealError::Down("the TPM's library broke off".into());
        done.await.map_err(broken)?
    }
}

#[async_trait]
impl Seal for Tpm2 {
    async fn wrap(&self, share: &Share) -> Result<Blob, SealError> {
        // A share has one owner; the copy for the other thread is one as well.
        let odd = |_| SealError::Refused("the share can't be copied".into());
        let share = Share::from_bytes(share.as_bytes()).map_err(odd)?;
        self.with(move |chip, terms| {
            let sealed = chip.seal(&share, terms.pcrs)?;
            Ok(Blob {
                key_id: key_id(chip.name(), terms),
                bytes: sealed.encode(),
            })
        })
        .await
    }

    async fn unwrap(&self, blob: &Blob) -> Result<Share, SealError> {
        let foreign = |what: &str| SealError::Foreign(what.into());
        let wrapped = Wrapped::decode(&blob.bytes);
        let wrapped = wrapped.ok_or_else(|| foreign("the wrap is none of a TPM"))?;
        let key_id = blob.key_id.clone();
        self.with(move |chip, _| {
            // Also who sits on the bus and gives a key of his own for the TPM's.
            if !key_id.starts_with(chip.name()) {
                return Err(foreign(
                    "the wrap is of another TPM, or the TPM was cleared since",
                ));
            }
            let share = chip.unseal(&wrapped)?;
            Share::from_bytes(&share).map_err(|_| foreign("what the TPM opened is no share"))
        })
        .await
    }
}

/// The primary key's name, and what its objects are bound to: where that is changed, the seal's wrap
/// is made anew.
fn key_id(primary: &str, terms: &Terms) -> String {
    match terms.pcrs {
        None => primary.to_owned(),
        Some(pcrs) => format!("{primary} {pcrs}"),
    }
}
