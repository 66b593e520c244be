//! What one node does by itself from time to time: it removes what has expired, and finishes what was
//! cut off.

use std::sync::Weak;
use std::time::Duration;

use super::Unsealed;
use super::fence::under;
use crate::barrier::Rotated;
use crate::{mounts, tokens};

/// One node sweeps at a time; the lock outlives a sweep by far and ends with the process.
const LOCK: (&str, Duration) = ("expiry", Duration::from_secs(30));

/// Revokes what expires, and once clears what removed mounts left.
pub(super) async fn sweep(vault: Weak<Unsealed>) {
    let mut cleared = false;
    loop {
        let Some(open) = vault.upgrade() else { return };
        if open.is_stopping() {
            return;
        }
        let storage = open.barrier.storage().clone();
        let (name, ttl) = LOCK;
        match storage.lock(name, ttl).await {
            Ok(Some(lock)) => {
                under(name, &*lock, swept(&open)).await;
                drop(open);
                if !std::mem::replace(&mut cleared, true)
                    && let Err(error) = mounts::clear_noise(&*storage).await
                {
                    tracing::warn!(%error, "records of removed mounts remain");
                }
            }
            Ok(None) => drop(open),
            Err(error) => {
                drop(open);
                tracing::warn!(%error, "no sweep of expired tokens");
            }
        }
        // Neither the vault nor its store may be held for the time of a nap.
        drop(storage);
        tokio::time::sleep(tokens::expiry::EVERY).await;
    }
}

async fn swept(open: &Unsealed) {
    if let Err(error) = open.tokens.finish_revocations().await {
        tracing::warn!(%error, "trees of revoked tokens remain");
    }
    if let Err(error) = open.tokens.remove_disowned().await {
        tracing::warn!(%error, "tokens of removed auth methods remain stored");
    }
    if let Err(error) = open.tokens.finish_prefixes().await {
        tracing::warn!(%error, "leases of revoked paths remain");
    }
    if let Err(error) = open.tokens.sweep().await {
        tracing::warn!(%error, "expired tokens remain stored");
    }
    if let Err(error) = open.identity.sweep().await {
        tracing::warn!(%error, "members of removed groups remain");
    }
    if let Err(error) = open.tokens.tidy_if_asked().await {
        tracing::warn!(%error, "tokens were not tidied");
    }
    if let Err(error) = open.policies.sweep().await {
        tracing::warn!(%error, "expired policies remain stored");
    }
    match open.rotate_if_due().await {
        Ok(None) => {}
        Ok(Some(Rotated { term, deks })) => {
            tracing::info!(term, deks, "the kek was rotated: its time had come");
        }
        Err(error) => tracing::warn!(%error, "the kek was not rotated in time"),
    }
    if let Err(error) = open.barrier.end_hand_overs().await {
        tracing::warn!(%error, "keyrings that were handed over remain");
    }
}
