//! Where audit lines go: the implementations of [`keyfold_core::ports::audit::AuditDevice`].

pub mod file;
mod line;

use keyfold_core::ports::audit::AuditKind;

/// Every kind of device that can be configured.
pub static KINDS: [AuditKind; 1] = [file::KIND];
