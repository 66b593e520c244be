//! The server: HTTP in and out, configuration, wiring, signals.
//!
//! ```text
//!   files ─► config ─► wiring ─► Core
//!   socket ─► http::listener ─► http::service ─► Core::handle ─► bytes
//! ```
//!
//! [`run()`] is the whole `keyfold server`; [`Server`] is one inside another program, such as a test.
#![forbid(unsafe_code)]

mod chores;
pub mod config;
mod develop;
pub mod diagnose;
pub mod drill;
mod folder;
mod host;
mod http;
mod idle;
mod levels;
mod logging;
pub mod migrate;
mod run;
mod schedule;
mod server;
mod signals;
pub mod snapshot;
mod web;
mod wiring;

pub use self::config::{Config, ConfigError};
pub use self::develop::{Dev, KeepToken};
pub use self::http::listener::{Address, ListenError};
pub use self::http::tls::TlsError;
pub use self::run::{ServerArgs, run};
pub use self::server::{Server, StartError};
/// A policy's text, for those who check it without a server.
pub use keyfold_core::policy::{Policy, PolicyError};
/// What a request does, and which of them demand `sudo`: for those who write policies.
pub use keyfold_core::{Op, pipeline::demands_sudo};
