//! HTTP in and out.
//!
//! ```text
//!   listener ─► connection ─► service ─► decode + body ─► Core::handle ─► encode
//!   (tcp, unix)  (tls, h1, h2)               └─────────── failure ───────────┘
//! ```

mod admission;
mod body;
mod connection;
mod cors;
mod decode;
mod detached;
mod encode;
mod failure;
mod index;
pub mod listener;
mod outgoing;
mod path;
mod query;
mod rate;
mod service;
mod streamed;
pub mod tls;
mod underway;
mod unix;
mod unreadable;
mod upload;

pub use service::Site;
pub use underway::Underway;
