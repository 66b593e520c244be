//! [`Blocking`]: lets a thread wait for asynchronous work.

use std::future::Future;
use std::io;
use std::sync::mpsc;

use tokio::runtime::{Builder, Runtime};

/// A runtime of its own, with one thread, so that waiting is possible from anywhere: also from a
/// thread that belongs to another runtime, which is then blocked but does not panic.
pub(crate) struct Blocking {
    runtime: Option<Runtime>,
}

impl Blocking {
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("keyfold-client")
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
        })
    }

    /// The result of `work`, or `None` where it panicked.
    pub(crate) fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (done, result) = mpsc::sync_channel(1);
        self.runtime.as_ref()?.spawn(async move {
            // The receiver waits below, so there is one.
            let _ = done.send(work.await);
        });
        result.recv().ok()
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        // Dropping a runtime inside another one panics; this does not, and nothing is left to do.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_waits() {
        assert_eq!(Blocking::new().unwrap().wait(async { 7 }), Some(7));
    }

    #[tokio::test]
    async fn it_waits_inside_another_runtime() {
        let blocking = Blocking::new().unwrap();
        let slept = blocking.wait(async {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            7
        });
        assert_eq!(slept, Some(7));
        drop(blocking);
    }
}
