//! A body that is read while the request is carried out.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use keyfold_core::Error;
use keyfold_core::chunks::Chunks;
use tokio::sync::Mutex;

/// Pieces as they come in.
pub struct Upload {
    incoming: Arc<Mutex<Incoming>>,
    /// How long the next piece may take.
    patience: Duration,
}

/// The rest of a body that nobody wants.
pub struct Rest {
    incoming: Arc<Mutex<Incoming>>,
    patience: Duration,
    /// Bytes of it that are read nevertheless.
    limit: usize,
}

/// A body, and what of it will be left over.
pub fn open(incoming: Incoming, patience: Duration, limit: usize) -> (Upload, Rest) {
    let incoming = Arc::new(Mutex::new(incoming));
    let rest = Rest {
        incoming: Arc::clone(&incoming),
        patience,
        limit,
    };
    (Upload { incoming, patience }, rest)
}

#[async_trait]
impl Chunks for Upload {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let mut incoming = self.incoming.lock().await;
        loop {
            let frame = tokio::time::timeout(self.patience, incoming.frame()).await;
            let frame = frame.map_err(|_| {
                let secs = self.patience.as_secs();
                Error::bad(format!("nothing of the request body came in for {secs} s"))
            })?;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|_| Error::bad("failed to read the request body"))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data.into()));
            }
        }
    }
}

impl Rest {
    /// Reads it, as far as that is bearable: a client that still sends would miss the answer.
    pub async fn drain(self) {
        let mut incoming = self.incoming.lock().await;
        let mut left = self.limit;
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(self.patience, incoming.frame()).await
        {
            let bytes = frame.data_ref().map_or(0, bytes::Bytes::len);
            match left.checked_sub(bytes) {
                Some(less) => left = less,
                None => return,
            }
        }
    }
}
