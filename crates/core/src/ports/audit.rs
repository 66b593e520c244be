//! Where audit lines go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A device that keeps audit lines.
///
/// [`AuditDevice::write`] returns `Ok` only when all lines are handed to the device's medium (for a
/// file: the kernel has them). The broker lets a request go on when at least one device says so. A device must not block longer than [`WRITE_DEADLINE`].
pub trait AuditDevice: Send + Sync + 'static {
    /// Appends whole lines, each with its newline.
    fn write(&self, lines: &[u8]) -> std::io::Result<()>;

    /// SIGHUP: open the medium anew, for log rotation.
    fn reopen(&self) -> std::io::Result<()>;
}

/// How long a device may take for a line.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(2);

/// Checks the options and opens a device; the error names the option.
pub type OpenDevice =
    fn(options: &BTreeMap<String, String>) -> Result<Arc<dyn AuditDevice>, String>;

/// A kind of device: how the configuration calls it and how one is made.
pub struct AuditKind {
    /// `file`, …
    pub name: &'static str,
    /// Makes one.
    pub open: OpenDevice,
}
