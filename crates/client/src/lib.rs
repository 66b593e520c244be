//! Talks to any Vault-compatible server, and wraps DEKs with its transit engine.
//!
//! ```text
//! ClientConfig (flags, KEYFOLD_* · BAO_* · VAULT_*, ~/.vault-token) ──→ Setup
//!      └→ Client ──request──→ Response | ClientError ──Setup──→ the next step
//!            └→ TransitKeys: the envelope's KeyService
//! ```
//!
//! Nothing here is particular to Keyfold: a stock OpenBao or Vault server does as well. Where they
//! differ ([`TransitKeys`] asks once), the code says so.
#![forbid(unsafe_code)]

mod address;
mod blocking;
mod client;
mod config;
mod error;
mod hint;
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
pub use pace::RateLimit;
pub use request::{Method, Request};
pub use response::Response;
pub use token_file::TokenFile;
pub use transfer::TransferError;
pub use transit::TransitKeys;
