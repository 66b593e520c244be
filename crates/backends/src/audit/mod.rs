//! Where audit lines go: the implementations of [`keyfold_core::ports::audit::AuditDevice`].

pub mod file;
mod line;
mod options;
pub mod socket;
mod stream;
pub mod syslog;

use keyfold_core::ports::audit::AuditKind;

/// Every kind of device.
pub static KINDS: [AuditKind; 3] = [file::KIND, socket::KIND, syslog::KIND];
