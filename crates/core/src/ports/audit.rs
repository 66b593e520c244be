//! Where audit lines go.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A device that keeps audit lines.
///
/// [`AuditDevice::write`] returns `Ok` only when all lines are handed to the device's medium (for a
/// file: the kernel has them). The broker lets a request go on when at least one device says so.
pub trait AuditDevice: Send + Sync + 'static {
    /// Appends whole lines, each with its newline.
    fn write(&self, lines: &[u8]) -> io::Result<()>;

    /// Opens the medium anew: at SIGHUP, for log rotation, and after a failed write.
    fn reopen(&self) -> io::Result<()>;

    /// None where a write takes microseconds: the request's own thread does it. Else the device
    /// gets a thread of its own, and this is how long a request waits for it at most; a write that
    /// takes longer should fail.
    fn waits(&self) -> Option<Duration> {
        None
    }

    /// Bytes of the longest line that the medium can take, its newline included. A longer one is
    /// not offered to the device: it would fail alone, and must not fail others with it.
    fn longest(&self) -> usize {
        usize::MAX
    }
}

/// How long a device that waits for somebody may take, where nothing else is configured.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(2);

/// Options of a device, by name.
pub type DeviceOptions = BTreeMap<String, String>;

/// Who wants a device.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// The configuration: whoever writes it decides about every file of this server anyway.
    Operator,
    /// A request, which may do what these rules say.
    Api(&'a ApiRules),
}

/// What a device may be that is made over the API.
#[derive(Debug, Clone, Default)]
pub struct ApiRules {
    /// The folder that files have to lie in; without one there are no files over the API.
    pub file_dir: Option<PathBuf>,
    /// Devices that keep nothing (`discard`, `stdout`) and raw lines over the network are allowed.
    pub lax: bool,
    /// Lines may begin with a configured text.
    pub prefix: bool,
}

/// Checks the options and makes a device; the error names the option. A device that waits for
/// others is not connected yet: [`AuditDevice::reopen`] does that.
pub type OpenDevice =
    fn(options: &DeviceOptions, origin: Origin<'_>) -> Result<Arc<dyn AuditDevice>, String>;

/// A kind of device: how the configuration calls it and how one is made.
pub struct AuditKind {
    /// `file`, …
    pub name: &'static str,
    /// Its lines leave the machine, or the hands of this server.
    pub remote: bool,
    /// Makes one.
    pub open: OpenDevice,
}
