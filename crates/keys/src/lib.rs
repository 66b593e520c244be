//! The key hierarchy of a Keyfold server as types, and the format of each wrapped thing.
//!
//! ```text
//!   Share ×n ──→ UnsealKey ──→ RootKey ──→ Keyring (a Kek per term) ──→ Dek (per mount) ──→ Record
//!            give         wraps       wraps                        wraps              wraps
//! ```
//!
//! Each arrow that wraps is one `impl` of [`Wraps`]; there is no other way to put one key under
//! another, so a root key that wraps a DEK does not compile. What a key wraps is bound to the place
//! where it is stored: moved elsewhere it does not open.
//!
//! | to | take |
//! |---|---|
//! | collect shares and unseal | [`Share`], [`UnsealKey::from_shares`], [`Wraps::unwrap`] |
//! | rotate the KEK | [`Keyring::rotate`], re-wrap each [`Dek`], [`Keyring::retire`] |
//! | store and read a value | [`Dek::seal`], [`Dek::open`], [`record::version`] |
//! | know what a wrapped DEK is under, without a key | [`Wrapped::term`] |
//!
//! No I/O, no clock, no async. Keys live in protected pages; no type that holds one can be printed
//! or cloned.
#![forbid(unsafe_code)]

pub mod aead;
mod dek;
pub mod der;
pub mod digest;
mod error;
mod gf256;
#[cfg(test)]
mod golden;
mod hierarchy;
pub mod kdf;
mod kek;
pub mod kem;
mod keyring;
mod message;
mod part;
pub mod record;
#[cfg(test)]
mod residue;
pub mod rng;
mod root_key;
pub mod shamir;
pub mod statement;
pub mod transit;
mod unseal_key;
pub mod xaes;

pub use dek::Dek;
pub use error::{Error, ShareError};
pub use hierarchy::{Wrapped, Wraps};
pub use kek::Kek;
pub use keyring::{Keyring, State, Term, TermInfo};
pub use record::{Location, Record};
pub use root_key::RootKey;
pub use unseal_key::{Share, UnsealKey};
