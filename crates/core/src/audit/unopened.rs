//! A stored device that could not be opened when the vault was: it is tried again until it can.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::ports::audit::{AuditDevice, WRITE_DEADLINE};

type Open = dyn Fn() -> Result<Arc<dyn AuditDevice>, String> + Send + Sync;

/// Fails until it is open. It has a thread of its own, which does the trying.
pub(super) struct Unopened {
    open: Box<Open>,
    device: Mutex<Option<Arc<dyn AuditDevice>>>,
}

impl Unopened {
    pub(super) fn new(
        open: impl Fn() -> Result<Arc<dyn AuditDevice>, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            open: Box::new(open),
            device: Mutex::default(),
        }
    }

    fn device(&self) -> Option<Arc<dyn AuditDevice>> {
        let device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        device.clone()
    }
}

impl AuditDevice for Unopened {
    fn write(&self, lines: &[u8]) -> io::Result<()> {
        match self.device() {
            Some(device) => device.write(lines),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn reopen(&self) -> io::Result<()> {
        if let Some(device) = self.device() {
            return device.reopen();
        }
        let device = (self.open)().map_err(io::Error::other)?;
        *self.device.lock().unwrap_or_else(PoisonError::into_inner) = Some(device);
        Ok(())
    }

    fn waits(&self) -> Option<Duration> {
        Some(WRITE_DEADLINE)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Nothing;

    impl AuditDevice for Nothing {
        fn write(&self, _: &[u8]) -> io::Result<()> {
            Ok(())
        }

        fn reopen(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn opened_at_the_third_try() {
        let tries = AtomicU32::new(0);
        let device = Unopened::new(move || match tries.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err("not yet".to_owned()),
            _ => Ok(Arc::new(Nothing)),
        });
        for _ in 0..2 {
            assert!(device.write(b"x\n").is_err());
            assert!(device.reopen().is_err());
        }
        device.reopen().unwrap();
        device.write(b"x\n").unwrap();
        device.reopen().unwrap();
    }
}
