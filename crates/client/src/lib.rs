//! Talks to any Vault-compatible server, and wraps DEKs with its transit engine.
//!
//! ```text
//! ClientConfig (flags, KEYFOLD_* · BAO_* · VAULT_*, ~/.vault-token) ──→ Setup
//!      └→ Client ──request──→ Response | ClientError ──Setup──→ the next step
//!            ├→ TransitKeys: the envelope's KeyService ──→ stream: envelopes over asynchronous readers
//!            └→ KvKeyring: the envelope's KeyringStore
//! ```
//!
//! ```no_run
//! use keyfold_client::{Client, ClientConfig, TransitKeys};
//! use keyfold_envelope::{Context, EncryptOptions, NoProgress, TransitKey, encrypt_file};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // KEYFOLD_ADDR and KEYFOLD_TOKEN, or those of existing clients.
//! let keys = TransitKeys::new(Client::new(ClientConfig::from_env()?)?)?;
//! let (name, context) = ("transit/reports".parse()?, Context::new());
//! let key = TransitKey::new(&keys, &name);
//! let (input, output) = ("report.pdf".as_ref(), "report.pdf.kf".as_ref());
//! let options = EncryptOptions::default();
//! encrypt_file(&[&key], &context, input, output, &options, &NoProgress)?;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here is particular to Keyfold: a stock OpenBao or Vault server does as well. Where they
//! differ ([`TransitKeys`] asks once), the code says so.
#![forbid(unsafe_code)]

pub mod stream;

mod address;
mod blocking;
mod client;
mod config;
mod error;
mod hint;
mod keyring;
mod pace;
mod request;
mod response;
mod retry;
mod server_name;
#[cfg(test)]
mod testing;
mod tls;
mod token_file;
mod transfer;
mod transit;

pub use address::Address;
pub use client::Client;
pub use config::{ClientConfig, ConfigError};
pub use error::ClientError;
pub use hint::Setup;
pub use keyring::KvKeyring;
pub use pace::RateLimit;
pub use request::{Method, Request};
pub use response::Response;
pub use token_file::TokenFile;
pub use transfer::TransferError;
pub use transit::TransitKeys;
