//! Places that hold envelopes and wrapped keys, beside the directories that the `envelope` crate knows:
//! each a [`Store`](keyfold_envelope::Store), so that `rewrap` and `census` do in them what they do to
//! files; and one for keyrings, a [`KeyringStore`](keyfold_envelope::keyring::KeyringStore).
//!
//! A crate of its own, so that whoever only seals files links no client of a database or of a bucket.
#![forbid(unsafe_code)]

mod error;
mod postgres;
mod s3;

pub use error::OpenError;
pub use postgres::{Postgres, PostgresKeyring, Row};
pub use s3::{Bucket, Object, Payload, Sidecar};
