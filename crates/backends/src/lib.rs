//! What core is handed at start: storages, engines, audit devices.
#![forbid(unsafe_code)]

pub mod audit;
pub mod engines;
pub mod storage;
