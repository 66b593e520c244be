//! The HTTP contract, as bytes and types: request bodies with the wire's weak typing, the
//! response envelope, errors, durations, timestamps, and the configuration language HCL.
//!
//! Everything here is synchronous and does no I/O. A request goes
//! `sanitize → complexity → body::decode → (engine) → Envelope::write`; a configuration or a
//! policy goes `hcl::parse_any → blocks`. Every decoder is total: no bytes make it panic, and no
//! error text repeats what the bytes said, because a body may hold secrets.

#![forbid(unsafe_code)]

pub mod base64;
pub mod body;
pub mod duration;
pub mod envelope;
pub mod error;
pub mod hcl;
pub mod json;
pub mod time;
pub mod weak;

pub use body::{BodyError, Decoded};
pub use duration::Seconds;
pub use envelope::{Auth, Envelope, WrapInfo};
