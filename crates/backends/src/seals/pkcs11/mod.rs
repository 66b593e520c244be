//! `seal "pkcs11"`: a key that stays in an HSM, an AES key (AES-GCM) or an RSA pair (OAEP).
//!
//! ```text
//!   what it wraps: 1 │ nonce 12 │ ciphertext │ tag 16      under an AES key
//!                  hash │ ciphertext                       under an RSA key; hash: 2 SHA-1 … 6 SHA-512
//! ```
//!
//! The HSM's library is loaded when the seal is used first: one that is missing keeps no server from
//! starting. A PIN that was refused is not tried again, since a few refusals lock a token.

mod cipher;
mod fault;
mod terms;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use keyfold_core::ports::seal::{Blob, Seal, SealError, SealKind, Setting, SettingError, Settings};
use keyfold_keys::Share;

use self::terms::Terms;
use crate::pkcs11::{Fault, Open};

/// The kind, for the wiring.
pub const KIND: SealKind = SealKind {
    name: "pkcs11",
    settings: &[
        Setting::new("lib", &["BAO_HSM_LIB", "VAULT_HSM_LIB"]),
        Setting::new("slot", &["BAO_HSM_SLOT", "VAULT_HSM_SLOT"]),
        Setting::new(
            "token_label",
            &["BAO_HSM_TOKEN_LABEL", "VAULT_HSM_TOKEN_LABEL"],
        ),
        Setting::new("pin", &["BAO_HSM_PIN", "VAULT_HSM_PIN"]),
        Setting::new("key_label", &["BAO_HSM_KEY_LABEL", "VAULT_HSM_KEY_LABEL"]),
        Setting::new("key_id", &["BAO_HSM_KEY_ID", "VAULT_HSM_KEY_ID"]),
        Setting::new("mechanism", &["BAO_HSM_MECHANISM", "VAULT_HSM_MECHANISM"]),
        Setting::new(
            "rsa_oaep_hash",
            &["BAO_HSM_RSA_OAEP_HASH", "VAULT_HSM_RSA_OAEP_HASH"],
        ),
    ],
    idle: &[
        "default_hmac_key_label",
        "default_key_label",
        "disable_software_encryption",
        "force_rw_session",
        "generate_key",
        "hmac_key_id",
        "hmac_key_label",
        "hmac_mechanism",
        "max_parallel",
        "rsa_encrypt_local",
    ],
    make,
};

/// A key of an HSM.
struct Pkcs11 {
    terms: Arc<Terms>,
    /// The token refused the PIN.
    barred: Arc<AtomicBool>,
}

fn make(settings: &Settings) -> Result<Arc<dyn Seal>, SettingError> {
    Ok(Arc::new(Pkcs11 {
        terms: Arc::new(Terms::read(settings)?),
        barred: Arc::default(),
    }))
}

impl Pkcs11 {
    /// Does something with the open token, where waiting is allowed.
    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Open, &Terms) -> Result<T, SealError> + Send + 'static,
    ) -> Result<T, SealError> {
        let (terms, barred) = (self.terms.clone(), self.barred.clone());
        let done = tokio::task::spawn_blocking(move || {
            if barred.load(Ordering::Acquire) {
                return Err(fault::barred());
            }
            let open = Open::new(&terms.place).inspect_err(|fault| {
                if *fault == Fault::Pin {
                    barred.store(true, Ordering::Release);
                }
            });
            act(&open.map_err(fault::told)?, &terms)
        });
        let broken = |_| SealError::Down("the HSM's library broke off".into());
        done.await.map_err(broken)?
    }
}

#[async_trait]
impl Seal for Pkcs11 {
    async fn wrap(&self, share: &Share) -> Result<Blob, SealError> {
        // A share has one owner; the copy for the other thread is one as well.
        let odd = |_| SealError::Refused("the share can't be copied".into());
        let share = Share::from_bytes(share.as_bytes()).map_err(odd)?;
        self.with(move |open, terms| cipher::wrap(open, terms, &share))
            .await
    }

    async fn unwrap(&self, blob: &Blob) -> Result<Share, SealError> {
        let bytes = blob.bytes.clone();
        self.with(move |open, terms| cipher::unwrap(open, terms, &bytes))
            .await
    }
}
