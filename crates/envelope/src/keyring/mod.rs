//! Keyrings: one service DEK for many objects, kept wrapped in a file, a table or a server's KV.
//!
//! ```text
//!   KEK ──wraps──→ service DEK 1, 2, 3 …        the keyring: one row each, all that a rotation touches
//!                      ├──→ the DEKs of envelopes      (slots of type 2)
//!                      └──→ the values of columns      (value::ValueKey)
//! ```
//!
//! Data names the DEK it belongs to by number or id. A million objects cost one call of the server
//! a process and a few minutes, and moving all of them under a new version of the KEK is one call
//! and one row. The price is that one DEK opens them all: so a new one is made each day, and after
//! so many objects and bytes ([`DekLimits`]).
//!
//! A keyring is not secret, and nothing about it is signed: a row proves itself, by its wrap and by
//! the commitment of its DEK. But whoever may write to a keyring *and* wrap with a key that its
//! readers may unwrap with can put a DEK of his own there: pin the key ([`DekOptions::key`]) and
//! grant it to the service alone.
//!
//! The order to read: [`row`](Row) and [`document`](Keyring) (the format), [`store`](KeyringStore)
//! (where it lives), [`ServiceDeks`] (what a program uses), [`rewrap_keyring`].

mod dek;
mod document;
mod error;
mod file;
mod limits;
#[cfg(test)]
mod moves;
#[cfg(test)]
mod race;
mod reserve;
mod rewrap;
mod row;
mod service;
mod slot;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;
mod values;

pub use dek::ServiceDek;
pub use document::{BadRow, Keyring, MAX_KEYRING};
pub use error::KeyringError;
pub use file::FileStore;
pub use limits::{DekLimits, DekOptions};
pub use rewrap::{KeyringRewrap, move_keyring, rewrap_keyring};
pub use row::{DekState, Row};
pub use service::ServiceDeks;
pub use slot::{KeyringRecipient, keyring_reference};
pub use store::{Change, KeyringStore, Plan};
