//! The extension points, one trait a file. `backends` has one folder for each.
//!
//! Seals that open without people and further auth methods get their ports with their first
//! implementor: a trait with none would only be a guess.

pub mod audit;
pub mod engine;
pub mod storage;
