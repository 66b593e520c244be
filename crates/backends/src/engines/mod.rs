//! What is mounted: one folder for each engine.

pub mod kv;
pub mod transit;
