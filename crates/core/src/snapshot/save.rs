//! An open vault's snapshot, as it is read.

use async_trait::async_trait;
use keyfold_keys::kdf::MacKey;

use super::encode::Encoder;
use super::format::Header;
use super::key;
use crate::chunks::Chunks;
use crate::error::Error;
use crate::lifecycle::Unsealed;
use crate::ports::storage::Whole;

/// A snapshot of one commit, whatever is written meanwhile. It takes the memory of one portion.
pub struct Saving {
    header: Header,
    whole: Box<dyn Whole>,
    key: MacKey,
    encoder: Option<Encoder>,
    begun: bool,
}

impl Unsealed {
    /// Begins a snapshot.
    pub async fn snapshot(&self) -> Result<Saving, Error> {
        let key = key::settle(&self.system).await?;
        let whole = self.barrier.storage().whole().await?;
        Ok(Saving {
            header: Header {
                store: self.cluster.id.clone(),
                created: self.clock.now().rfc3339(),
                revision: whole.revision().0,
                program: format!("keyfold {}", env!("CARGO_PKG_VERSION")),
            },
            whole,
            key,
            encoder: Some(Encoder::default()),
            begun: false,
        })
    }
}

impl Saving {
    /// What it says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }
}

#[async_trait]
impl Chunks for Saving {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let Some(encoder) = &mut self.encoder else {
            return Ok(None);
        };
        if !self.begun {
            self.begun = true;
            return encoder.begin(&self.header).map(Some);
        }
        let portion = self.whole.next().await?;
        if !portion.is_empty() {
            return encoder.records(&portion).map(Some);
        }
        let end = self.encoder.take().map(|encoder| encoder.end(&self.key));
        Ok(end)
    }
}
