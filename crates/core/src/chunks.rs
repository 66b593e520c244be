//! Bodies that are not held in memory: they come, or go, piece by piece.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::error::Error;

/// Bytes that come piece by piece.
#[async_trait]
pub trait Chunks: Send {
    /// The next piece; none at the end. An error says that the end will not come.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error>;
}

/// Pieces that one may have, once.
pub struct Stream(Mutex<Option<Box<dyn Chunks>>>);

impl Stream {
    /// Of these.
    pub fn new(chunks: impl Chunks + 'static) -> Self {
        Self(Mutex::new(Some(Box::new(chunks))))
    }

    /// Them, for the first who asks.
    pub fn take(&self) -> Option<Box<dyn Chunks>> {
        // It is there or not after every operation.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
