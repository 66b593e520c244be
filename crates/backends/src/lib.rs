//! What core is handed at start: storages, engines, auth methods, audit devices.
#![forbid(unsafe_code)]

pub mod audit;
pub mod auth;
pub mod engines;
pub mod managed;
mod pkcs11;
pub mod seals;
pub mod storage;
