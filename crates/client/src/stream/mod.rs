//! Envelopes over asynchronous streams: readers that encrypt or decrypt what is read through them.
//!
//! ```text
//! plaintext ──AsyncRead──→ SealStream ──AsyncRead──→ an envelope
//! an envelope ──AsyncRead──→ OpenStream ──AsyncRead──→ authentic plaintext, or an error at its end
//! ```
//!
//! The key service blocks, so it is asked on a thread for that. Chunks are sealed and opened where they are polled: a read
//! of 64 KiB takes some 20 µs of that, less than handing it to another thread and back.
//!
//! ```
//! use keyfold_client::stream;
//! use keyfold_envelope::{Context, Labels, MemoryKeys};
//! use std::sync::Arc;
//! use tokio::io::{AsyncReadExt, copy};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! // TransitKeys::new(Client::new(ClientConfig::from_env()?)?)?, where there is a server.
//! let keys = Arc::new(MemoryKeys::new());
//! let tenant = || Context::from_pairs(["tenant=acme"]);
//!
//! let (plain, mut object) = (&b"of a request's body"[..], Vec::new());
//! let key = "transit/uploads".parse()?;
//! let mut sealed = stream::seal(keys.clone(), key, tenant()?, Labels::default(), plain).await?;
//! copy(&mut sealed, &mut object).await?;
//!
//! let mut text = String::new();
//! let mut opened = stream::open(keys, tenant()?, &object[..]).await?;
//! opened.read_to_string(&mut text).await?;
//! assert_eq!(text, "of a request's body");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })
//! # }
//! ```

mod flow;
mod open;
mod seal;
#[cfg(test)]
mod tests;

use std::io;

use keyfold_envelope::Error;
use tokio::task::spawn_blocking;

pub use open::{OpenStream, open};
pub use seal::{SealStream, seal};

/// Runs what blocks on a thread where that is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = spawn_blocking(work).await;
    // It panicked, or the runtime ends.
    done.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}
