//! The extension points, one trait a file. `backends` has one folder for each.
//!
//! Seals that open without people get their port with their first implementor: a trait with none
//! would only be a guess.

pub mod audit;
pub mod auth;
pub mod engine;
pub mod fetch;
pub mod host;
mod pattern;
pub mod storage;
