//! The extension points, one trait a file. `backends` has one folder for each.

pub mod audit;
pub mod auth;
pub mod engine;
pub mod fetch;
pub mod host;
pub mod managed;
pub mod nodes;
mod pattern;
pub mod period;
pub mod seal;
pub mod storage;
pub mod whole;
