//! The way to a PostgreSQL server, as its own programs find it: what an address says, libpq's
//! variables, `.pgpass`, TLS.
//!
//! A crate of its own, since both a place of wrapped keys and a server's storage need it, and neither
//! the other.
#![forbid(unsafe_code)]

mod error;
mod password;
mod server;
mod tls;

pub use error::{is_lost, whole};
pub use server::{Passwords, Server, Tls, decoded};
