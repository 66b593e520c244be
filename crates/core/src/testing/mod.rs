//! What the tests of several crates share. Nothing here runs in a server.

mod faulty;
mod faulty_seal;
mod shared;
pub mod storage_suite;

pub use faulty::{FaultyStorage, Moment};
pub use faulty_seal::FaultySeal;
pub use shared::{BOUND, LOCKED, SharedStorage};
pub use storage_suite::{Stores, storage_suite};
