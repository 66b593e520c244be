//! The vault itself: seal lifecycle, barrier, request pipeline, tokens, policy, mounts, audit
//! broker, and the port traits. No HTTP: the server crate turns bytes into a [`Request`] and an
//! [`Error`] into a status.
#![forbid(unsafe_code)]

pub mod audit;
pub mod barrier;
pub mod chunks;
pub mod clock;
pub mod cors;
mod cubbyhole;
pub mod error;
pub mod id;
pub mod identity;
pub mod initialize;
mod kept;
pub mod lifecycle;
pub mod lockout;
pub mod managed;
pub mod metrics;
pub mod mounts;
mod openpgp;
pub mod passwords;
pub mod pipeline;
pub mod policies;
pub mod policy;
pub mod ports;
pub mod quotas;
pub mod renewal;
pub mod reply;
pub mod request;
pub mod rotation;
pub mod snapshot;
pub mod sys;
pub mod testing;
pub mod tokens;
pub mod tools;

pub use error::Error;
pub use lifecycle::Core;
pub use reply::Reply;
pub use request::{Op, Request};
