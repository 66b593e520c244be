//! What is mounted: one folder for each engine.

pub mod transit;
