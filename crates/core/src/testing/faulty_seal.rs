//! A seal that a test breaks and mends.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use keyfold_keys::aead::{Algorithm, Key, NONCE_LEN};
use keyfold_keys::{Share, rng};
use tokio::sync::Notify;

use crate::ports::seal::{Blob, Seal, SealError};

/// A key in memory, which may be away. The key is one byte over and over: what a test calls it.
pub struct FaultySeal(Mutex<State>);

struct State {
    key: u8,
    error: Option<SealError>,
    calls: usize,
    held: Option<Arc<Notify>>,
}

impl FaultySeal {
    /// One that works, with a key of that byte.
    pub fn new(key: u8) -> Self {
        Self(Mutex::new(State {
            key,
            error: None,
            calls: 0,
            held: None,
        }))
    }

    /// From here on it fails so, or works again.
    pub fn fail(&self, error: Option<SealError>) {
        self.state(|state| state.error = error);
    }

    /// Somebody puts another key in its place.
    pub fn replace_key(&self, key: u8) {
        self.state(|state| state.key = key);
    }

    /// The next answer of what it unwraps is on its way until it is let go.
    pub fn hold_next(&self) -> Arc<Notify> {
        let held = Arc::new(Notify::new());
        self.state(|state| state.held = Some(held.clone()));
        held
    }

    /// How often it was asked.
    pub fn calls(&self) -> usize {
        self.state(|state| state.calls)
    }

    /// The key, unless it is away.
    fn key(&self) -> Result<(u8, Key), SealError> {
        self.state(|state| {
            state.calls += 1;
            match &state.error {
                Some(error) => Err(error.clone()),
                None => {
                    let key = Key::new(Algorithm::Aes256Gcm, &[state.key; 32]);
                    let refused = |_| SealError::Refused("no key".into());
                    Ok((state.key, key.map_err(refused)?))
                }
            }
        })
    }

    fn state<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Seal for FaultySeal {
    async fn wrap(&self, share: &Share) -> Result<Blob, SealError> {
        let (id, key) = self.key()?;
        let nonce = rng::bytes::<NONCE_LEN>();
        let mut sealed = share.as_bytes().to_vec();
        let refused = |_| SealError::Refused("it does not encrypt".into());
        key.seal(nonce, &[], &mut sealed).map_err(refused)?;
        Ok(Blob {
            key_id: id.to_string(),
            bytes: [nonce.as_slice(), &sealed].concat(),
        })
    }

    async fn unwrap(&self, blob: &Blob) -> Result<Share, SealError> {
        let (_, key) = self.key()?;
        let foreign = || SealError::Foreign("not of this key".into());
        let (nonce, sealed) = blob.bytes.split_first_chunk().ok_or_else(foreign)?;
        let mut sealed = sealed.to_vec();
        let share = key.open(*nonce, &[], &mut sealed).map_err(|_| foreign())?;
        let share = Share::from_bytes(share).map_err(|_| foreign())?;
        if let Some(held) = self.state(|state| state.held.take()) {
            held.notified().await;
        }
        Ok(share)
    }
}
